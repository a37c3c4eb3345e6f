"""What detections are worth: evaluators, metrics, statistics."""
