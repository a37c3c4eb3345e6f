"""Which misses and false positives are shown, and how each is described.

G: labels. D: detections.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smallobj.evaluation.errors import Errors
from smallobj.evaluation.tables import EvaluationSet
from smallobj.reports.columns import (
    DETECTION_KINDS,
    LABEL_KINDS,
    Packed,
    detection_kinds,
    label_kinds,
)
from smallobj.reports.photographs import crop_frame

_MISSES_NOTE = (
    "Objects that no detection finds, the largest first: they should have been the easiest. "
    "A crop shows the photograph's own pixels; it leads to the whole photograph."
)
_FALSE_NOTE = (
    "Detections that find nothing, the most confident first: these cost the most average "
    "precision, or are labels that somebody forgot."
)


def worst_misses(data: EvaluationSet, errors: Errors, packed: Packed, most: int) -> dict[str, Any]:
    """The gallery of the largest undetected labels, crowds left out."""
    kinds, areas = label_kinds(data, errors), data.labels.areas
    missed = np.flatnonzero(errors.undetected & ~data.labels.crowd)
    chosen = missed[np.argsort(-areas[missed], kind="stable")][:most]
    items = []
    for row in chosen.tolist():
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
    """The gallery of the most confident false positives of every kind."""
    kinds, scores = detection_kinds(errors), data.detections.scores
    wrong = np.flatnonzero(errors.false_positives)
    chosen = wrong[np.argsort(-scores[wrong], kind="stable")]
    chosen = chosen[packed.detection_rows[chosen] >= 0][:most]
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
