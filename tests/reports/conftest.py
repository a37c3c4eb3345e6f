"""Labels with made detections: the bundled photographs, and a large set without pictures."""

import json
from pathlib import Path

import numpy as np
import pytest

from smallobj.data.classes import CHALLENGE_CLASSES_EN
from smallobj.evaluation.reading.ground_truth import ImageLabels
from smallobj.evaluation.reading.image_detections import ImageDetections
from smallobj.evaluation.reading.tables import EvaluationSet
from smallobj.reports.build import ReportOptions, build_report
from smallobj.reports.page import write_page

SAMPLES = Path(__file__).resolve().parents[2] / "datasets" / "samples"
SAMPLE_SIZE = (2100, 2800)


def perturbed(labels, num_classes, extra, seed=0):
    """Detections as a middling detector would give: some miss, double, confuse, invent."""
    rng = np.random.default_rng(seed)
    found = {}
    for image in labels:
        kept = rng.random(len(image.boxes)) > 0.2
        source = np.repeat(np.flatnonzero(kept), 1 + (rng.random(kept.sum()) < 0.2))
        sides = np.tile(image.boxes[source, 2:] - image.boxes[source, :2], 2)
        near = image.boxes[source] + rng.normal(0, 0.07, sides.shape) * sides
        corner = rng.random((extra, 2)) * (image.size[1] - 120, image.size[0] - 120)
        wild = np.concatenate([corner, corner + rng.uniform(10, 90, (extra, 2))], axis=1)
        same = rng.random(len(source)) < 0.85
        other = rng.integers(num_classes, size=len(source))
        classes = np.where(same, image.categories[source], other)
        found[image.image_id] = ImageDetections(
            np.concatenate([near, wild]),
            np.concatenate([rng.beta(5, 2, len(source)), rng.beta(2, 5, extra)]),
            np.concatenate([classes, rng.integers(num_classes, size=extra)]),
        )
    return found


def image_labels(image_id, size, boxes, categories):
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    crowd = np.zeros(len(boxes), dtype=bool)
    return ImageLabels(image_id, size, boxes, np.asarray(categories, np.int64), crowd, areas)


@pytest.fixture(scope="session")
def sample_set():
    content = json.loads((SAMPLES / "labels.json").read_text())
    labels = []
    for name, rows in content.items():
        rows = np.array(rows)
        boxes = np.concatenate([rows[:, 1:3], rows[:, 1:3] + rows[:, 3:]], axis=1)
        labels.append(image_labels(name, SAMPLE_SIZE, boxes, rows[:, 0]))
    files = [str(SAMPLES / name) for name in content]
    found = perturbed(labels, len(CHALLENGE_CLASSES_EN), extra=6, seed=1)
    return EvaluationSet.of(labels, found, CHALLENGE_CLASSES_EN, files)


@pytest.fixture(scope="session")
def large_page(tmp_path_factory):
    """The page of 5,000 images, 10 objects and 20 or more detections each; no image files."""
    rng = np.random.default_rng(0)
    labels = []
    for number in range(5000):
        corner = rng.random((10, 2)) * (2600, 1900)
        boxes = np.concatenate([corner, corner + rng.uniform(10, 90, (10, 2))], axis=1)
        labels.append(image_labels(number, SAMPLE_SIZE, boxes, rng.integers(30, size=10)))
    files = [f"val/photograph_{number:05d}.jpg" for number in range(5000)]
    found = perturbed(labels, 30, extra=12)
    data = EvaluationSet.of(labels, found, CHALLENGE_CLASSES_EN, files)
    path = tmp_path_factory.mktemp("large") / "report.html"
    write_page(build_report(data, ReportOptions(with_pictures=False)), path)
    return path
