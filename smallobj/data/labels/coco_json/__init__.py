"""COCO JSON, and exports that hold it."""
