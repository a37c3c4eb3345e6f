"""Pictures of an evaluation for TensorBoard: curves, and the worst misses and false positives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from detectron2.utils.events import get_event_storage
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from smallobj.data.image_file import read_image
from smallobj.evaluation.metrics.curves import class_rankings, pooled_ranking, precision_recall
from smallobj.evaluation.metrics.errors import Errors
from smallobj.evaluation.metrics.operating_points import best_point, operating_curve
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.reports.galleries import missed_labels, wrong_detections
from smallobj.reports.photographs import crop_frame
from smallobj.results.text_labels import write_text

_ITEMS, _COLUMNS, _CROP, _TEXT = 24, 6, 192, 22
_LABEL, _DETECTION, _SUBJECT = (0, 200, 255), (255, 160, 60), (60, 60, 255)  # BGR
_PAPER, _INK = 32, (230, 230, 230)


class _Subject(NamedTuple):
    """The subject of a crop: index of the image, box XYXY in its pixels, and a text."""

    image: int
    box: np.ndarray
    text: str


def put_evaluation_pictures(name: str, data: EvaluationSet, errors: Errors) -> None:
    """Puts pictures of an evaluation into the event storage; does nothing outside training.

    Args:
        name: name of the dataset; part of the pictures' names.
        data: labels and detections.
        errors: errors of the detections at IoU 0.5.
    """
    try:
        storage = get_event_storage()
    except AssertionError:
        return
    pictures = {"curves": draw_curves(data, errors), **draw_galleries(data, errors)}
    for kind, picture in pictures.items():
        storage.put_image(f"{name}/{kind}", picture[:, :, ::-1].transpose(2, 0, 1).copy())


def draw_curves(data: EvaluationSet, errors: Errors) -> np.ndarray:
    """Precision-recall curves at IoU 0.5: a thin one for each class, a thick one for all together.

    Args:
        data: labels and detections.
        errors: errors of the detections.

    Returns:
        (h, w, 3) uint8, BGR.
    """
    figure = Figure(figsize=(7, 6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for ranking in class_rankings(data, errors.matches):
        curve = precision_recall(ranking)
        axes.plot(curve.recall, curve.precision, color="0.7", linewidth=0.8)
    curve = precision_recall(pooled_ranking(data, errors.matches))
    axes.plot(curve.recall, curve.precision, color="#0b5fa5", linewidth=2.5, label="all together")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title("IoU 0.5; grey: each class")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, 2::-1].copy()


def draw_galleries(data: EvaluationSet, errors: Errors) -> dict[str, np.ndarray]:
    """Crops around the largest missed objects and the most confident false positives.

    Labels are yellow. Detections are blue; those below the confidence score with the best F1 are
    not drawn. The subject of a crop is red. Images that can't be read are left out.

    Args:
        data: labels and detections; ``file_names`` are the paths of the images.
        errors: errors of the detections.

    Returns:
        A dict with "misses" and "false positives", (h, w, 3) uint8 BGR each; a key is absent if
        there are none.
    """
    best = best_point(operating_curve(pooled_ranking(data, errors.matches)))
    shown = data.detections[data.detections.scores >= (best.confidence if best else 0)]
    labels, detections = data.labels, data.detections
    subjects = {
        "misses": [
            _Subject(labels.images[row], labels.boxes[row], data.class_names[category])
            for row, category in _worst(missed_labels(data, errors), labels.categories)
        ],
        "false positives": [
            _Subject(
                detections.images[row],
                detections.boxes[row],
                f"{data.class_names[category]} {detections.scores[row]:.2f}",
            )
            for row, category in _worst(wrong_detections(data, errors), detections.categories)
        ],
    }
    sheets = {}
    for name, subjects_of_sheet in subjects.items():
        crops = [crop for crop in _crops(data, shown, subjects_of_sheet) if crop is not None]
        if crops:
            sheets[name] = _sheet(crops)
    return sheets


def _worst(rows: np.ndarray, categories: np.ndarray) -> zip[tuple[int, int]]:
    rows = rows[:_ITEMS]
    return zip(rows.tolist(), categories[rows].tolist(), strict=True)


def _crops(
    data: EvaluationSet, shown: DetectionTable, subjects: Sequence[_Subject]
) -> Iterator[np.ndarray | None]:
    """A crop for each subject, None if its image can't be read; each image is read once."""
    by_image = sorted(range(len(subjects)), key=lambda n: subjects[n].image)
    crops: list[np.ndarray | None] = [None] * len(subjects)
    last, image = -1, None
    for number in by_image:
        subject = subjects[number]
        if subject.image != last:
            last, image = subject.image, _read(data.file_names[subject.image])
        if image is not None:
            crops[number] = _crop(data, shown, subject, image)
    yield from crops


def _read(path: str) -> np.ndarray | None:
    try:
        return read_image(path)
    except (FileNotFoundError, ValueError):
        return None


def _crop(
    data: EvaluationSet, shown: DetectionTable, subject: _Subject, image: np.ndarray
) -> np.ndarray:
    """(_CROP + _TEXT, _CROP, 3) uint8: the crop, its boxes, and a line of text below."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = crop_frame(subject.box.tolist(), (height, width))
    scale = _CROP / max(x1 - x0, y1 - y0)
    size = (round((x1 - x0) * scale), round((y1 - y0) * scale))
    picture = np.full((_CROP + _TEXT, _CROP, 3), _PAPER, dtype=np.uint8)
    inside = picture[: size[1], : size[0]]
    cv2.resize(image[y0:y1, x0:x1], size, dst=inside, interpolation=cv2.INTER_CUBIC)
    drawn = [
        (data.labels.boxes[data.labels.images == subject.image], _LABEL),
        (shown.boxes[shown.images == subject.image], _DETECTION),
        (subject.box[None], _SUBJECT),
    ]
    for boxes, colour in drawn:
        corners = ((boxes - [x0, y0, x0, y0]) * scale).round().astype(int)
        for left, top, right, bottom in corners.tolist():
            cv2.rectangle(inside, (left, top), (right, bottom), colour, 1)
    write_text(picture, subject.text, 3, _CROP + 4, _INK, 12)
    return picture


def _sheet(crops: list[np.ndarray]) -> np.ndarray:
    rows = []
    for first in range(0, len(crops), _COLUMNS):
        row = crops[first : first + _COLUMNS]
        row += [np.full_like(crops[0], _PAPER)] * (_COLUMNS - len(row))
        rows.append(np.hstack(row))
    return np.vstack(rows)
