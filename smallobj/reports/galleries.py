"""Selection and captions of the misses and false positives in the galleries."""

from __future__ import annotations

from typing import Any

import numpy as np

from smallobj.evaluation.metrics.errors import Errors
from smallobj.evaluation.reading.tables import EvaluationSet
from smallobj.reports.columns import (
    DETECTION_KINDS,
    LABEL_KINDS,
    Packed,
    detection_kinds,
    label_kinds,
)
from smallobj.reports.photographs import crop_frame

_MISSES_NOTE = (
    "Objects that no detection matches, the largest first, since they should be the easiest. "
    "Crops have full resolution and link to the whole image."
)
_FALSE_NOTE = (
    "Detections that match no object, the most confident first. They reduce average precision "
    "the most, unless they are objects without a label."
)


def missed_labels(data: EvaluationSet, errors: Errors) -> np.ndarray:
    """Rows of the undetected labels, the largest first, without crowds."""
    missed = np.flatnonzero(errors.undetected & ~data.labels.crowd)
    rows: np.ndarray = missed[np.argsort(-data.labels.areas[missed], kind="stable")]
    return rows


def wrong_detections(data: EvaluationSet, errors: Errors) -> np.ndarray:
    """Rows of the false positives of all kinds, the most confident first."""
    wrong = np.flatnonzero(errors.false_positives)
    rows: np.ndarray = wrong[np.argsort(-data.detections.scores[wrong], kind="stable")]
    return rows


def worst_misses(data: EvaluationSet, errors: Errors, packed: Packed, most: int) -> dict[str, Any]:
    """The gallery of the largest undetected labels, without crowds."""
    kinds, missed = label_kinds(data, errors), missed_labels(data, errors)
    items = []
    for row in missed[:most].tolist():
        box, category = data.labels.boxes[row], int(data.labels.categories[row])
        kind = LABEL_KINDS[kinds[row]]["name"]
        items.append(
            {
                **_place(data, int(data.labels.images[row]), category, int(kinds[row]), box),
                "label": int(packed.label_rows[row]),
                "text": f"{data.class_names[category]}, {_sides(box)}, {kind}",
            }
        )
    return {"name": "Misses", "note": _MISSES_NOTE, "total": len(missed), "items": items}


def worst_false_positives(
    data: EvaluationSet, errors: Errors, packed: Packed, most: int
) -> dict[str, Any]:
    """The gallery of the most confident false positives of all kinds."""
    kinds, scores = detection_kinds(errors), data.detections.scores
    wrong = wrong_detections(data, errors)
    chosen = wrong[packed.detection_rows[wrong] >= 0][:most]
    items = []
    for row in chosen.tolist():
        box, category = data.detections.boxes[row], int(data.detections.categories[row])
        text = f"{data.class_names[category]} {scores[row]:.2f}, {_sides(box)}, "
        text += DETECTION_KINDS[kinds[row]]["name"]
        concerned = int(errors.label[row])
        if concerned >= 0 and data.labels.categories[concerned] != category:
            text += f" (label: {data.class_names[data.labels.categories[concerned]]})"
        items.append(
            {
                **_place(data, int(data.detections.images[row]), category, int(kinds[row]), box),
                "detection": int(packed.detection_rows[row]),
                "text": text,
            }
        )
    return {"name": "False positives", "note": _FALSE_NOTE, "total": len(wrong), "items": items}


def _place(
    data: EvaluationSet, image: int, category: int, kind: int, box: np.ndarray
) -> dict[str, Any]:
    height, width = data.sizes[image].tolist()
    frame = crop_frame(box.tolist(), (height, width))
    return {"image": image, "class": category, "kind": kind, "frame": list(frame)}


def _sides(box: np.ndarray) -> str:
    return f"{box[2] - box[0]:.0f}×{box[3] - box[1]:.0f} px"
