"""Figures of labels and detections: pure functions of an EvaluationSet."""
