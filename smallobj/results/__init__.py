"""What becomes of detections: result files, pictures, labels on pictures."""
