"""The tables of a report, as parts of the page's dict: headline, sizes, seams, classes, errors.

K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from smallobj.evaluation.metrics.challenge import challenge_map
from smallobj.evaluation.metrics.curves import (
    COCO_IOUS,
    Ranking,
    class_average_precision,
    class_rankings,
    iou_rankings,
    mean_average_precision,
    mean_recall,
    pooled_ranking,
)
from smallobj.evaluation.metrics.error_costs import error_costs
from smallobj.evaluation.metrics.errors import Errors
from smallobj.evaluation.metrics.misses import log_average_miss_rate, miss_curve
from smallobj.evaluation.metrics.operating_points import (
    OperatingPoint,
    best_point,
    operating_curve,
    operating_curves,
)
from smallobj.evaluation.metrics.size_bins import SizeBin, size_bin_scores
from smallobj.evaluation.reading.tables import EvaluationSet
from smallobj.evaluation.statistics.seam_figures import zone_figures
from smallobj.reports.charts import defined

Intervals = Mapping[str, tuple[float, float]]
_ERROR_ROWS = (
    ("classification", "wrong class", "correct box, wrong class"),
    ("localisation", "badly located", "correct class, IoU too low"),
    ("both", "wrong class and badly located", "near an object of another class"),
    ("duplicate", "duplicate", "a more confident detection matches the object"),
    ("background", "background", "no object is near"),
    ("missed", "missed", "objects without a matching or nearly matching detection"),
    ("false_positives", "all false positives", "if all of them were removed"),
    ("false_negatives", "all false negatives", "if all of them were detected"),
)


class Rankings(NamedTuple):
    """Matched detections for all metrics: by class at COCO's IoUs, and all classes at IoU 0.5."""

    by_iou: list[list[Ranking]]
    pooled: Ranking

    @property
    def by_class(self) -> list[Ranking]:
        """K rankings at IoU 0.5."""
        return self.by_iou[COCO_IOUS.index(0.5)]


def make_rankings(data: EvaluationSet, errors: Errors, max_detections: int) -> Rankings:
    """Matches at each of COCO's IoU thresholds; at 0.5 takes the matches of ``errors``."""
    others = iou_rankings(data, COCO_IOUS[1:], max_detections=max_detections)
    half = class_rankings(data, errors.matches)
    return Rankings([half, *others], pooled_ranking(data, errors.matches))


def headline(data: EvaluationSet, rankings: Rankings, intervals: Intervals) -> list[dict[str, Any]]:
    """Rows of the headline table.

    Args:
        data: labels and detections.
        rankings: of ``make_rankings``.
        intervals: (low, high) by key of a row, as of ``statistics.bootstrap``: AP, AP50, AP75, AR,
            challenge_mAP50, precision, recall, F1, LAMR; optional for each row.
    """
    best = best_point(operating_curve(rankings.pooled))
    half, three_quarters = COCO_IOUS.index(0.5), COCO_IOUS.index(0.75)
    note_at_best = "" if best is None else f"at the score with the best F1, {best.confidence:.3g}"
    rows = [
        ("AP", mean_average_precision(rankings.by_iou), "COCO's AP, mean over IoU 0.50 to 0.95"),
        ("AP50", mean_average_precision(rankings.by_iou[half : half + 1]), "at IoU 0.50"),
        (
            "AP75",
            mean_average_precision(rankings.by_iou[three_quarters : three_quarters + 1]),
            "at IoU 0.75",
        ),
        ("AR", mean_recall(rankings.by_iou), "largest recall, mean over IoU 0.50 to 0.95"),
        (
            "challenge_mAP50",
            challenge_map(data).mean,
            "by the 2021 Small Object AI Challenge's rules",
        ),
        ("precision", None if best is None else best.precision, note_at_best),
        ("recall", None if best is None else best.recall, note_at_best),
        ("F1", None if best is None else best.f1, note_at_best),
        (
            "LAMR",
            _miss_rate(rankings.pooled, len(data.image_ids)),
            "log-average miss rate over 0.01 to 1 false positives per image; lower is better",
        ),
    ]
    table = []
    for key, value, note in rows:
        row = {"name": key.replace("_", " "), "value": defined(value), "unit": "percent"}
        row["note"] = note
        if key in intervals:
            row["low"], row["high"] = (defined(end) for end in intervals[key])
        table.append(row)
    return table


def _miss_rate(pooled: Ranking, images: int) -> float | None:
    return log_average_miss_rate(miss_curve(pooled, images)) if images else None


def best_score(rankings: Rankings) -> float:
    """The score with the best F1 over all classes; 0 if no detection is correct."""
    best = best_point(operating_curve(rankings.pooled))
    return 0.0 if best is None else best.confidence


def by_size(
    data: EvaluationSet, bins: Sequence[SizeBin], max_detections: int, intervals: Intervals
) -> dict[str, Any]:
    """AP and recall by size of the objects; the key of an interval is "AP50_<bin>"."""
    rows = []
    for scores in size_bin_scores(data, bins, max_detections=max_detections):
        summary = scores.summary()
        values = [defined(summary[key]) for key in ("ap50", "recall50", "ap")]
        row = {"name": _size_name(scores.bin), "values": [int(summary["labels"]), *values]}
        interval = intervals.get("AP50_" + scores.bin.name.replace(" ", "_"))
        if interval is not None and None not in map(defined, interval):
            row["note"] = f"AP50 from {100 * interval[0]:.1f} to {100 * interval[1]:.1f} % (95 %)"
        rows.append(row)
    return {
        "note": "Size is the square root of an object's area.",
        "columns": [
            {"name": "Objects", "unit": "", "bar": False, "fit": True},
            *(_share(name) for name in ("AP50", "Recall at IoU 0.5", "AP")),
        ],
        "rows": rows,
    }


def _size_name(size_bin: SizeBin) -> str:
    if size_bin.high >= 1e5:
        return f"{size_bin.low:g} px and more"
    return f"{size_bin.low:g} to {size_bin.high:g} px"


_ZONE_ROWS = {
    "off": ("away from edges", "further from every edge than the object's length"),
    "beside": ("beside an edge", "nearer to an edge than the object's length"),
    "cut": ("cut by an edge", "an edge runs through the object"),
}


def seams(data: EvaluationSet, min_score: float, draws: int) -> dict[str, Any] | None:
    """Recall and duplicates by the position of objects in tiles; None without tiles.

    Args:
        data: labels and detections.
        min_score: least score of the detections.
        draws: bootstrap resamples for the intervals; 0: no intervals.
    """
    if not data.tiles:
        return None
    rows = []
    for zone in zone_figures(data, min_score, draws=draws):
        name, note = _ZONE_ROWS[zone.name]
        found = [defined(zone.recall.value), defined(zone.duplicates.value)]
        values = [zone.objects, defined(zone.side), defined(zone.views), *found]
        if defined(zone.recall.low) is not None:
            note += (
                f"; recall {100 * zone.recall.low:.1f} to {100 * zone.recall.high:.1f} %, "
                f"duplicates {zone.duplicates.low:.3f} to {zone.duplicates.high:.3f} (95 %)"
            )
        rows.append({"name": name, "note": note, "values": values})
    number = {"unit": "", "bar": False, "fit": True}
    return {
        "note": "Objects by their distance from edges of tiles inside the image; detections of "
        f"score {min_score:.3g} and more. Objects near edges are larger on average, which by "
        "itself changes their recall; tools/seams.py compares the same objects in both places.",
        "columns": [
            {"name": "Objects", **number},
            {"name": "Mean size, px", **number},
            {"name": "Tiles that show it whole", **number},
            _share("Recall at IoU 0.5"),
            {"name": "Duplicates per object", "unit": "", "bar": True, "fit": True},
        ],
        "rows": rows,
    }


def by_class(data: EvaluationSet, rankings: Rankings, errors: Errors) -> dict[str, Any]:
    """AP and the best operating point of each class that has labels or detections."""
    half = class_average_precision(rankings.by_class)
    every = np.mean([class_average_precision(by_class) for by_class in rankings.by_iou], axis=0)
    points = [best_point(curve) for curve in operating_curves(data, errors.matches)[0]]
    rows = []
    for k, name in enumerate(data.class_names):
        ranking = rankings.by_class[k]
        if not len(ranking.label_images) and not len(ranking.scores):
            continue
        values = [len(ranking.label_images), defined(half[k]), defined(every[k])]
        rows.append({"name": name, "values": [*values, *_point(points[k])]})
    return {
        "note": "Precision, recall and F1 at the score with the class's best F1. "
        "Click on a column's head to sort.",
        "columns": [
            {"name": "Objects", "unit": "", "bar": False, "fit": True},
            *(_share(name) for name in ("AP50", "AP")),
            {"name": "Best score", "unit": "", "bar": False, "fit": True},
            *(_share(name, bar=False) for name in ("Precision", "Recall", "F1")),
        ],
        "rows": rows,
    }


def _point(point: OperatingPoint | None) -> list[float | None]:
    if point is None:
        return [None] * 4
    return [defined(value) for value in (point.confidence, point.precision, point.recall, point.f1)]


def error_rows(data: EvaluationSet, errors: Errors, edges: Sequence[float] = ()) -> dict[str, Any]:
    """Number of errors of each type, and the gain in AP50 if they were fixed.

    Args:
        data: labels and detections.
        errors: of ``find_errors``.
        edges: edges of size bins in px; each bin has a column with its gain.
    """
    costs = error_costs(data, errors, edges).as_dict()
    rows = []
    for key, name, note in _ERROR_ROWS:
        kinds = [costs["types"][key], *(size_bin["types"][key] for size_bin in costs["bins"])]
        values = [kinds[0]["count"], *(kind["gain"] for kind in kinds)]
        rows.append({"name": name, "note": note, "values": values})
    gains = [
        "Gain in AP50",
        *(f"{size_bin['low']:g} to {size_bin['high']:g} px" for size_bin in costs["bins"]),
    ]
    return {
        "note": "How far AP50 would rise if only one type of error were fixed "
        "(TIDE, arXiv 2008.08115). The gains do not add up to 100 % minus AP50.",
        "columns": [
            {"name": "Number", "unit": "", "bar": False, "fit": True},
            *({**_share(name, bar=not k), "fit": True} for k, name in enumerate(gains)),
        ],
        "rows": rows,
    }


def _share(name: str, bar: bool = True) -> dict[str, Any]:
    return {"name": name, "unit": "percent", "bar": bar, "fit": False}
