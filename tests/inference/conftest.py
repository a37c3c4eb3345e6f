"""A detector that sees exactly, and photographs of squares for it."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances
from torch import nn


class ExactDetector(nn.Module):
    """Boxes each bright spot to the pixel; class 1 is bright in the second channel too.

    A spot's edge lies where brightness passes one half, so scaling, which blurs it, leaves it where
    it was. Scores are in no special order, except that equal pixels give equal scores.
    """

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.shapes = []

    def forward(self, items):
        self.shapes.append([tuple(item["image"].shape[1:]) for item in items])
        return [{"instances": self.look(item)} for item in items]

    @staticmethod
    def look(item):
        height, width = item["image"].shape[1:]
        bright = (item["image"] >= 128).numpy().astype(np.uint8)
        count, _, stats, centres = cv2.connectedComponentsWithStats(bright[0], connectivity=4)
        boxes, scores, classes = [], [], []
        for index in range(1, count):
            x, y, w, h, area = stats[index].tolist()
            boxes.append([x, y, x + w, y + h])
            scores.append(0.5 + (area * 37 + x) % 100 / 250)
            cx, cy = centres[index].astype(int)
            classes.append(int(bright[1, cy, cx]))
        order = np.argsort([-score for score in scores], kind="stable")
        found = Instances((height, width))
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)[order])
        found.scores = torch.tensor(scores, dtype=torch.float32)[order]
        found.pred_classes = torch.tensor(classes, dtype=torch.int64)[order]
        return detector_postprocess(found, item.get("height", height), item.get("width", width))


def planted(seed=0, size=(400, 600), count=12, grid=20, longest=60):
    """A photograph (3, H, W) uint8 and its objects: boxes (N, 4), classes (N,).

    All sides are multiples of ``grid``, and no two objects touch, so that they lie on whole pixels
    at scales like 0.6 or 1.75.
    """
    rng = np.random.default_rng(seed)
    image = np.zeros((*size, 3), np.uint8)
    taken = np.zeros(size, bool)
    boxes, classes = [], []
    for _ in range(count):
        w, h = (rng.integers(1, longest // grid + 1, 2) * grid).tolist()
        x, y = (
            int(rng.integers((n - s) // grid + 1)) * grid for n, s in ((size[1], w), (size[0], h))
        )
        around = np.s_[max(y - grid, 0) : y + h + grid, max(x - grid, 0) : x + w + grid]
        if taken[around].any():
            continue
        taken[y : y + h, x : x + w] = True
        classes.append(int(rng.integers(2)))
        image[y : y + h, x : x + w] = (255, 255 * classes[-1], 90)
        boxes.append([x, y, x + w, y + h])
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    truth = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {"image": pixels}, truth, torch.tensor(classes, dtype=torch.int64)


def rows(boxes, classes):
    """Boxes and classes in an order that doesn't depend on scores."""
    return sorted([*box, c] for box, c in zip(boxes.tolist(), classes.tolist(), strict=True))


@pytest.fixture(name="exact_detector")
def exact_detector_fixture():
    return ExactDetector


@pytest.fixture(name="planted")
def planted_fixture():
    return planted


@pytest.fixture(name="rows")
def rows_fixture():
    return rows
