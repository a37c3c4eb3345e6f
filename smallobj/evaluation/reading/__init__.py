"""Labels and detections, from registered data sets and from results files."""
