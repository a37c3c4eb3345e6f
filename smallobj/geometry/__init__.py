"""Boxes, masks, tiles, regions and anchors: pure functions, no config, no state."""
