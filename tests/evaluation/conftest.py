"""Small sets of labels and detections, and data sets of them, that several tests share."""

import numpy as np
import pytest

import smallobj  # isort: skip  # noqa: F401  (first: makes Detectron2 import)

from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable


@pytest.fixture(scope="session")
def small_set():
    """Makes a set of one image from a few labels and detections."""
    return _small_set


@pytest.fixture(scope="session")
def random_set():
    """Makes a set of some images from a seed."""
    return _random_set


@pytest.fixture
def register(request):
    """``register(dicts)``: name of a data set of these; classes are the test module's NAMES."""
    names = []

    def add(dicts, **metadata):
        name = f"{request.node.name}_{len(names)}"
        names.append(name)
        DatasetCatalog.register(name, lambda: dicts)
        MetadataCatalog.get(name).set(**{"thing_classes": request.module.NAMES, **metadata})
        return name

    yield add
    for name in names:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def _small_set(labels, detections):
    """From (class, box) or (class, box, crowd), and (class, box, score), all in one image."""
    boxes = np.array([one[1] for one in labels], dtype=np.float64).reshape(-1, 4)
    found = np.array([one[1] for one in detections], dtype=np.float64).reshape(-1, 4)
    return EvaluationSet(
        [7],
        ["7.jpg"],
        np.full((1, 2), 1000),
        ["nut", "bolt", "coin"],
        LabelTable(
            np.zeros(len(labels), np.int64),
            np.array([one[0] for one in labels], dtype=np.int64),
            boxes,
            (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
            np.array([len(one) > 2 and one[2] for one in labels], dtype=bool),
        ),
        DetectionTable(
            np.zeros(len(detections), np.int64),
            np.array([one[0] for one in detections], dtype=np.int64),
            found,
            np.array([one[2] for one in detections], dtype=np.float64),
        ),
    )


def _random_set(seed, classes=3, images=5, crowds=True):
    """Whole-numbered boxes and rounded scores, so that IoUs and scores tie; one image is empty."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 8, images)
    counts[0] = 0
    number = np.repeat(np.arange(images), counts)
    corner = rng.integers(0, 50, (len(number), 2))
    boxes = np.concatenate([corner, corner + rng.integers(6, 30, (len(number), 2))], axis=1) * 1.0
    labels = LabelTable(
        number,
        rng.integers(0, classes, len(number)),
        boxes,
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        rng.random(len(number)) < (0.15 if crowds else 0),
    )
    copies = rng.integers(0, len(number), 4 * len(number)) if len(number) else np.zeros(0, int)
    moved = boxes[copies] + rng.integers(-6, 7, (len(copies), 4))
    exact = rng.random(len(copies)) < 0.3
    moved[exact] = boxes[copies[exact]]
    moved[rng.random(len(copies)) < 0.1] += 60
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    right = rng.random(len(copies)) < 0.6
    drawn = rng.integers(0, classes, len(copies))
    detections = DetectionTable(
        number[copies],
        np.where(right, labels.categories[copies], drawn),
        moved,
        rng.random(len(copies)).round(1),
    )
    names = [f"class {k}" for k in range(classes)]
    ids = list(range(images))
    return EvaluationSet(
        ids, [str(i) for i in ids], np.full((images, 2), 100), names, labels, detections
    )
