"""Files of labelling tools: LabelMe, CVAT, Label Studio."""
