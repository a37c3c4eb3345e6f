"""Scenes to merge, and slow, obvious references that several mergers share."""

import math

import pytest
import torch
from detectron2.structures import Boxes, Instances


def make_instances(boxes, scores, classes):
    """Instances that carry their own number, so that a test sees which ones come out."""
    found = Instances((40_000, 40_000))
    found.pred_boxes = Boxes(torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    found.scores = torch.as_tensor(scores, dtype=torch.float32)
    found.pred_classes = torch.as_tensor(classes, dtype=torch.int64)
    found.number = torch.arange(len(found))
    return found


SCENES = ["crowd", "grid", "equal", "huge", "many_classes", "one"]


def make_scene(kind, count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(3, (count,), generator=generator)
    scores = torch.rand(count, generator=generator)
    corner = torch.rand(count, 2, generator=generator) * 60
    sides = 5 + torch.rand(count, 2, generator=generator) * 20
    if kind == "grid":  # equal scores, equal boxes and equal overlaps
        corner, sides = (corner / 6).floor(), (sides / 5).floor()
        scores = (scores * 4).ceil() / 4
    elif kind == "equal":
        corner, sides, scores = corner.floor() * 0, sides * 0 + 7, scores * 0 + 0.5
    elif kind == "huge":
        corner += 39_000
    elif kind == "many_classes":
        classes = torch.randint(1000, (count,), generator=generator) // 50 * 10**9
    elif kind == "one":
        corner, sides, scores, classes = corner[:1], sides[:1], scores[:1], classes[:1]
    return make_instances(torch.cat([corner, corner + sides], dim=1), scores, classes)


def slow_overlap(a, b, metric):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    if metric == "nwd":
        moved = math.dist((a[0] + a[2], a[1] + a[3]), (b[0] + b[2], b[1] + b[3])) / 2
        grown = math.dist((a[2] - a[0], a[3] - a[1]), (b[2] - b[0], b[3] - b[1])) / 2
        return math.exp(-math.hypot(moved, grown) / 12.8) if width * height > 0 else 0.0
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    whole = min(areas) if metric == "ios" else sum(areas) - width * height
    return width * height / whole


def slow_ranking(found):
    scores = found.scores.tolist()
    return sorted(range(len(scores)), key=lambda i: -scores[i])


def slow_clusters(found, threshold, metric, agnostic):
    """[(best box, [(box that it takes, overlap), ...]), ...] by the numbers of the boxes."""
    boxes, classes = found.pred_boxes.tensor.tolist(), found.pred_classes.tolist()
    left, clusters = slow_ranking(found), []
    while left:
        best, *others = left
        taken, left = [], []
        for i in others:
            overlap = slow_overlap(boxes[best], boxes[i], metric)
            if overlap > threshold and (agnostic or classes[i] == classes[best]):
                taken.append((i, overlap))
            else:
                left.append(i)
        clusters.append((best, taken))
    return clusters


@pytest.fixture(name="make_instances", scope="session")
def make_instances_fixture():
    return make_instances


@pytest.fixture(name="make_scene", scope="session")
def make_scene_fixture():
    return make_scene


@pytest.fixture(params=SCENES)
def scene(request):
    return make_scene(request.param)


@pytest.fixture(name="slow_overlap", scope="session")
def slow_overlap_fixture():
    return slow_overlap


@pytest.fixture(name="slow_ranking", scope="session")
def slow_ranking_fixture():
    return slow_ranking


@pytest.fixture(name="slow_clusters", scope="session")
def slow_clusters_fixture():
    return slow_clusters


@pytest.fixture(params=[False, True], ids=["by_class", "agnostic"])
def agnostic(request):
    return request.param


@pytest.fixture(params=["iou", "ios", "nwd"])
def metric(request):
    return request.param


@pytest.fixture(params=[0.0, 0.3, 1.0])
def threshold(request):
    return request.param
