"""Listing the images in a folder."""

from __future__ import annotations

import logging
import os
import re

from smallobj.image_paths import is_hidden, is_image_name, passed_over

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
    paths, others = [], []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in names:
            if is_image_name(name):
                paths.append(os.path.relpath(os.path.join(parent, name), folder))
            else:
                others.append(name)
    if passed := passed_over(others):
        _logger.warning("%s: passed over %s, formats that are not read", folder, passed)
    return sorted(paths, key=natural_key)
