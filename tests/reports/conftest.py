"""Labels with simulated detections: the bundled images, and a large dataset without images."""

import json
from pathlib import Path

import numpy as np
import pytest

from smallobj.data.classes import CHALLENGE_CLASSES_EN
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.reports.build import ReportOptions, build_report
from smallobj.reports.page import write_page

SAMPLES = Path(__file__).resolve().parents[2] / "datasets" / "samples"
SAMPLE_SIZE = (2100, 2800)


def with_perturbed(data, extra, seed=0):
    """Simulated detections, with misses, duplicates, wrong classes and false positives."""
    rng = np.random.default_rng(seed)
    detections, num_classes = {}, len(data.class_names)
    for image_id, size, (labels, _) in zip(
        data.image_ids, data.sizes, data.by_image(), strict=True
    ):
        kept = rng.random(len(labels)) > 0.2
        source = np.repeat(np.flatnonzero(kept), 1 + (rng.random(kept.sum()) < 0.2))
        sides = np.tile(labels.boxes[source, 2:] - labels.boxes[source, :2], 2)
        near = labels.boxes[source] + rng.normal(0, 0.07, sides.shape) * sides
        corner = rng.random((extra, 2)) * (size[1] - 120, size[0] - 120)
        wild = np.concatenate([corner, corner + rng.uniform(10, 90, (extra, 2))], axis=1)
        same = rng.random(len(source)) < 0.85
        other = rng.integers(num_classes, size=len(source))
        classes = np.where(same, labels.categories[source], other)
        detections[image_id] = DetectionTable.single_image(
            np.concatenate([near, wild]),
            np.concatenate([rng.beta(5, 2, len(source)), rng.beta(2, 5, extra)]),
            np.concatenate([classes, rng.integers(num_classes, size=extra)]),
        )
    return data.with_image_detections(detections)


def labelled(labels, files):
    """A dataset of images with labels (boxes, categories) and the given file names."""
    tables = [LabelTable.single_image(*boxes_and_categories) for boxes_and_categories in labels]
    return EvaluationSet(
        [Path(file).name for file in files],
        files,
        np.full((len(files), 2), SAMPLE_SIZE),
        CHALLENGE_CLASSES_EN,
        LabelTable.from_images(dict(enumerate(tables))),
        DetectionTable.empty(),
    )


@pytest.fixture(scope="session")
def sample_set():
    content = json.loads((SAMPLES / "labels.json").read_text())
    labels = []
    for rows in content.values():
        rows = np.array(rows)
        boxes = np.concatenate([rows[:, 1:3], rows[:, 1:3] + rows[:, 3:]], axis=1)
        labels.append((boxes, rows[:, 0]))
    files = [str(SAMPLES / name) for name in content]
    return with_perturbed(labelled(labels, files), extra=6, seed=1)


@pytest.fixture(scope="session")
def large_page(tmp_path_factory):
    """The page of 5,000 images, 10 objects and 20 or more detections each; no image files."""
    rng = np.random.default_rng(0)
    labels = []
    for _ in range(5000):
        corner = rng.random((10, 2)) * (2600, 1900)
        boxes = np.concatenate([corner, corner + rng.uniform(10, 90, (10, 2))], axis=1)
        labels.append((boxes, rng.integers(30, size=10)))
    files = [f"val/photograph_{number:05d}.jpg" for number in range(5000)]
    data = with_perturbed(labelled(labels, files), extra=12)
    path = tmp_path_factory.mktemp("large") / "report.html"
    write_page(build_report(data, ReportOptions(with_pictures=False)), path)
    return path
