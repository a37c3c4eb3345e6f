"""The error of an image file that can't be read."""

from __future__ import annotations


class BrokenImageError(ValueError):
    """A file is no image, is truncated or broken, or is of a kind that is not read."""
