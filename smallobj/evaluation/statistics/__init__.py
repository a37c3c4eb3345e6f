"""How sure figures are: intervals, and comparisons of two sets of detections."""
