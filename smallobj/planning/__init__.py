"""Advice before training: tile, overlap and anchors for a dataset, and what they cost."""
