"""Planning before training: tile size, overlap and anchors for a dataset, and their cost."""
