"""Listing the images in a folder."""

from __future__ import annotations

import logging
import os
import re

from smallobj.image_paths import is_image_name, passed_over, visible_files

_logger = logging.getLogger(__name__)


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sort key that puts "9.jpg" before "10.jpg".

    >>> sorted(["10.jpg", "9.jpg"], key=natural_key)
    ['9.jpg', '10.jpg']
    """
    # Of two numbers without leading zeros the one with more digits is larger.
    parts = re.split(r"0*([0-9]+)", name)
    return [(bool(at % 2), len(part) if at % 2 else 0, part) for at, part in enumerate(parts)]


def list_images(folder: str) -> list[str]:
    """Paths of the images in a folder and below it, relative to it, in natural order.

    Hidden files and folders are passed over, and so are images that are not read; how many of
    those there are is logged.
    """
    files = visible_files(folder)
    if passed := passed_over(files):
        _logger.warning("%s: passed over %s, formats that are not read", folder, passed)
    paths = [os.path.relpath(path, folder) for path in files if is_image_name(path)]
    return sorted(paths, key=natural_key)
