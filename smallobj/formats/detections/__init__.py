"""Files of detections: reading them, and matching their images and classes to a data set."""
