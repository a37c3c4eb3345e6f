"""Output of detections: results files, and pictures with labelled boxes."""
