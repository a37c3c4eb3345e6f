"""Labels and detections as compact columns for a page: arrays in base64.

G labels, D detections.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from smallobj.evaluation.metrics.errors import Errors, Outcome
from smallobj.evaluation.reading.tables import EvaluationSet

_TYPES = {"u1": np.uint8, "u2": np.uint16, "u4": np.uint32, "f4": np.float32}

# The kinds of boxes; the columns contain indices into these lists.
LABEL_KINDS: Sequence[dict[str, Any]] = (
    {"key": "found", "name": "detected", "wrong": False, "note": "matched by a detection"},
    {
        "key": "missed",
        "name": "missed",
        "wrong": True,
        "note": "no detection matches it, or nearly does",
    },
    {
        "key": "near",
        "name": "nearly detected",
        "wrong": True,
        "note": "only a detection of a wrong class, or of too low an IoU, is near",
    },
    {"key": "crowd", "name": "crowd", "wrong": False, "note": "a region that is not evaluated"},
)
DETECTION_KINDS: Sequence[dict[str, Any]] = (
    {"key": "right", "name": "correct", "wrong": False, "note": "matches an object"},
    {"key": "class", "name": "wrong class", "wrong": True, "note": "correct box, wrong class"},
    {"key": "location", "name": "badly located", "wrong": True, "note": "IoU too low"},
    {
        "key": "both",
        "name": "wrong class and badly located",
        "wrong": True,
        "note": "wrong class and IoU too low",
    },
    {
        "key": "duplicate",
        "name": "duplicate",
        "wrong": True,
        "note": "a more confident detection matches the object",
    },
    {"key": "background", "name": "background", "wrong": True, "note": "no object is near"},
    {
        "key": "ignored",
        "name": "ignored",
        "wrong": False,
        "note": "on a crowd, or beyond the limit",
    },
)
_OUTCOMES = (
    Outcome.CORRECT,
    Outcome.CLASSIFICATION,
    Outcome.LOCALISATION,
    Outcome.BOTH,
    Outcome.DUPLICATE,
    Outcome.BACKGROUND,
    Outcome.IGNORED,
)


class Packed(NamedTuple):
    """Both tables for the page, and the positions of their rows in it.

    Attributes:
        labels, detections: packed array by name of the column.
        label_rows: (G,) int64, row in the page of each label.
        detection_rows: (D,) int64, row in the page of each detection; -1 if it is left out.
    """

    labels: dict[str, Any]
    detections: dict[str, Any]
    label_rows: np.ndarray
    detection_rows: np.ndarray


def pack(values: np.ndarray, kind: str) -> dict[str, str]:
    """{"type", "data"}: an array in base64, little endian, as ``kind`` ("u1", "u2", "u4", "f4").

    >>> pack(np.array([1, 2]), "u2")
    {'type': 'u2', 'data': 'AQACAA=='}
    """
    little = np.ascontiguousarray(values, dtype=np.dtype(_TYPES[kind]).newbyteorder("<"))
    return {"type": kind, "data": base64.b64encode(little.tobytes()).decode("ascii")}


def label_kinds(data: EvaluationSet, errors: Errors) -> np.ndarray:
    """(G,) uint8, index into ``LABEL_KINDS`` of each label."""
    kinds = np.where(errors.undetected, 2, 0)
    kinds[errors.missed] = 1
    kinds[data.labels.crowd] = 3
    return kinds.astype(np.uint8)


def detection_kinds(errors: Errors) -> np.ndarray:
    """(D,) uint8, index into ``DETECTION_KINDS`` of each detection."""
    kinds = np.zeros(len(errors.outcome), dtype=np.uint8)
    for number, outcome in enumerate(_OUTCOMES):
        kinds[errors.outcome == outcome] = number
    return kinds


def pack_tables(data: EvaluationSet, errors: Errors, most_detections: int) -> Packed:
    """Columns of all labels and of the most confident detections, ordered by image.

    Args:
        data: labels and detections.
        errors: of ``find_errors`` on ``data``.
        most_detections: largest number of detections in the page, of all images together.
    """
    images = len(data.image_ids)
    label_order = np.argsort(data.labels.images, kind="stable")
    kept = np.argsort(-data.detections.scores, kind="stable")[:most_detections]
    kept = kept[np.argsort(data.detections.images[kept], kind="stable")]
    detection_rows = np.full(len(data.detections), -1, dtype=np.int64)
    detection_rows[kept] = np.arange(len(kept))
    label_rows = np.empty(len(data.labels), dtype=np.int64)
    label_rows[label_order] = np.arange(len(label_order))
    labels, detections = data.labels[label_order], data.detections[kept]
    return Packed(
        {
            "count": pack(np.bincount(labels.images, minlength=images), "u4"),
            "class": pack(labels.categories, "u2"),
            "box": pack(labels.boxes, "f4"),
            "kind": pack(label_kinds(data, errors)[label_order], "u1"),
        },
        {
            "count": pack(np.bincount(detections.images, minlength=images), "u4"),
            "class": pack(detections.categories, "u2"),
            "box": pack(detections.boxes, "f4"),
            "kind": pack(detection_kinds(errors)[kept], "u1"),
            "score": pack(detections.scores, "f4"),
        },
        label_rows,
        detection_rows,
    )
