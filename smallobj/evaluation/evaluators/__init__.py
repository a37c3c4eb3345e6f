"""Detectron2 evaluators; ``build`` makes those that TEST.METRICS names."""
