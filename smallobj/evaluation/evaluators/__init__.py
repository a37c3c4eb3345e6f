"""Detectron2 evaluators; ``registry`` makes those that TEST.METRICS names."""
