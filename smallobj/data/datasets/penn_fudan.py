"""Converts the Penn-Fudan pedestrian dataset, with instance masks in PNG files, to COCO JSON.

Any dataset with the same layout works: PNGImages/NAME.png and PedMasks/NAME_mask.png, where each
instance has a different value and 0 is background.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch

from smallobj.data.labels.problems import DatasetError, Problem
from smallobj.geometry.masks import coco_annotation, mask_rles

IMAGES, MASKS = "PNGImages", "PedMasks"
# Pillow's modes with one channel: grey, palette indices, and integers of 32 or 16 bits.
_MODES = ("L", "P", "I", "I;16")

FOLDER_RULE = "the folder must exist"
SOME_RULE = "there must be at least one image, NAME.png"
PAIR_RULE = f"each {IMAGES}/NAME.png must have a {MASKS}/NAME_mask.png, and the other way round"
READABLE_RULE = "the file must be a readable image"
CHANNEL_RULE = "a mask must have one channel, each instance a value of its own"
SIZE_RULE = "a mask must have the size of its image"
INSTANCE_RULE = "a mask must show at least one instance, a value over 0"


def split_names(names: Sequence[str], test: int, seed: int) -> tuple[list[str], list[str]]:
    """Splits names into training and test names: the last ``test`` names of the shuffled list.

    Both lists are in the shuffled order. The shuffling is that of torch.randperm, which with seed 1
    gives the same split as the tutorial.

    Raises:
        ValueError: no name would be left on one of the sides.
    """
    if not 0 < test < len(names):
        raise ValueError(
            f"--test must leave images on both sides of the split; got {test} of {len(names)}"
        )
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled = [names[index] for index in order]
    return shuffled[:-test], shuffled[-test:]


def list_names(root: str) -> list[str]:
    """Sorted names of the images, without their ending.

    Raises:
        DatasetError: a folder, an image or a mask is missing; lists all of them.
    """
    names_by_folder: list[set[str]] = []
    problems = []
    for folder, ending in ((IMAGES, ".png"), (MASKS, "_mask.png")):
        path = os.path.join(root, folder)
        if not os.path.isdir(path):
            problems.append(Problem(path, "whole folder", FOLDER_RULE, "no such folder"))
            continue
        files = os.listdir(path)
        names = {
            name.removesuffix(ending) for name in files if name.endswith(ending) and name[0] != "."
        }
        names_by_folder.append(names)
    if not problems:
        images, masks = names_by_folder
        for name in sorted(images ^ masks):
            has, lacks = (IMAGES, MASKS) if name in images else (MASKS, IMAGES)
            file = os.path.join(root, has, f"{name}{'.png' if name in images else '_mask.png'}")
            problems.append(Problem(file, "whole file", PAIR_RULE, f"none in {lacks}"))
        if not images:
            path = os.path.join(root, IMAGES)
            problems.append(Problem(path, "whole folder", SOME_RULE, "none"))
    if problems:
        raise DatasetError(problems)
    return sorted(names_by_folder[0])


def coco_content(root: str, names: Sequence[str]) -> dict[str, Any]:
    """COCO JSON of the named images, with run-length masks and the tight boxes around them.

    Raises:
        DatasetError: files can't be read, or masks break a rule; lists them.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for image_id, name in enumerate(names, 1):
        path = os.path.join(root, IMAGES, f"{name}.png")
        mask_path = os.path.join(root, MASKS, f"{name}_mask.png")
        mask = _read_mask(path, mask_path, problems)
        if mask is None:
            continue
        height, width = mask.shape
        images.append(
            {"id": image_id, "file_name": f"{name}.png", "width": width, "height": height}
        )
        for rle in _instances(mask):
            annotations.append(coco_annotation(len(annotations) + 1, image_id, 1, rle))
    if problems:
        raise DatasetError(problems)
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }


def _instances(mask: np.ndarray) -> list[dict[str, Any]]:
    values = [value for value in np.unique(mask).tolist() if value]
    bitmaps = (torch.from_numpy(mask == value)[None] for value in values)
    return [rle for bitmap in bitmaps for rle in mask_rles(bitmap)]


def _read_mask(path: str, mask_path: str, problems: list[Problem]) -> np.ndarray | None:
    """(H, W) instance numbers; None after reporting a problem."""

    def report(file: str, rule: str, value: str) -> None:
        problems.append(Problem(file, "whole file", rule, value))

    try:
        with PIL.Image.open(path) as image:
            size = image.size
    except (OSError, ValueError) as error:
        report(path, READABLE_RULE, str(error))
        return None
    try:
        with PIL.Image.open(mask_path) as image:
            mode, mask_size = image.mode, image.size
            mask = np.array(image) if mode in _MODES else None
    except (OSError, ValueError, SyntaxError) as error:  # the last for some broken PNGs
        report(mask_path, READABLE_RULE, str(error))
        return None
    if mask is None:
        report(mask_path, CHANNEL_RULE, f"an image of mode {mode}")
    elif mask_size != size:
        value = f"{mask_size[0]}x{mask_size[1]}; the image has {size[0]}x{size[1]}"
        report(mask_path, SIZE_RULE, value)
    elif not mask.any():
        report(mask_path, INSTANCE_RULE, "background alone")
    else:
        return mask
    return None
