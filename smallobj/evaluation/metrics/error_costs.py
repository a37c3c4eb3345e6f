"""What each type of error costs: how far AP would rise if only that type were fixed.

Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020,
arXiv 2008.08115), section 2.

G: labels. D: detections. B: size bins. C: the columns of ``COLUMNS``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from smallobj.evaluation.metrics.curves import (
    class_average_precision,
    class_rankings,
    mean_of_defined,
)
from smallobj.evaluation.metrics.errors import ERROR_TYPES, Errors, Outcome, find_errors
from smallobj.evaluation.metrics.matching import Matches
from smallobj.evaluation.reading.tables import EvaluationSet

# The six types, and the two coarse ones: every false positive, every undetected label.
FALSE_POSITIVES, FALSE_NEGATIVES = "false_positives", "false_negatives"
COLUMNS = (*(outcome.name.lower() for outcome in ERROR_TYPES), FALSE_POSITIVES, FALSE_NEGATIVES)
# Fixed by turning a false positive into a correct detection; the others are dropped.
_TURNED = ("classification", "localisation")
# Duplicates and background have no label of their own: their size is the detection's.
_SIZED_ALONE = (Outcome.DUPLICATE, Outcome.BACKGROUND)


class ErrorRow(NamedTuple):
    """Errors of one range of sizes.

    Attributes:
        counts: (C,) int64.
        gains: (C,) float64, the paper's ΔAP in [0, 1]. They don't add up to what AP lacks.
    """

    counts: np.ndarray
    gains: np.ndarray


@dataclass(frozen=True)
class ErrorCosts:
    """Counts and gains by error type.

    Attributes:
        ap: mean AP at the IoU threshold, in [0, 1]; NaN, as are the gains, without any label.
        total: errors of every size.
        edges: B + 1 sizes in px.
        bins: B rows; a size on an edge belongs to the bin above, so that no error counts twice.
    """

    ap: float
    total: ErrorRow
    edges: Sequence[float]
    bins: Sequence[ErrorRow]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: {"ap", "types": {column: {"count", "gain"}}, "bins": [{"low", "high", ...}]}.

        A bin without an upper end has "high" None, and a gain that isn't defined is None.
        """
        ends = [float(edge) if np.isfinite(edge) else None for edge in self.edges]
        bins = [
            {"low": low, "high": high, "types": _named(row)}
            for low, high, row in zip(ends[:-1], ends[1:], self.bins, strict=True)
        ]
        return {"ap": _defined(self.ap), "types": _named(self.total), "bins": bins}


def _named(row: ErrorRow) -> dict[str, dict[str, float | None]]:
    return {
        name: {"count": int(count), "gain": _defined(gain)}
        for name, count, gain in zip(COLUMNS, row.counts, row.gains, strict=True)
    }


def _defined(value: float) -> float | None:
    # JSON has no NaN.
    return None if np.isnan(value) else float(value)


def error_costs(
    data: EvaluationSet, errors: Errors | None = None, edges: Sequence[float] = ()
) -> ErrorCosts:
    """Counts the errors and computes what AP would gain if each type were fixed.

    AP is COCO's with 101 points, at the IoU threshold of ``errors``, averaged over the classes that
    have labels. Each type is fixed separately, and all other detections stay unchanged:

    - classification, localisation: of the errors that concern the same undetected label, the most
      confident one becomes correct (in the label's class); the others are dropped, and so are all
      that concern a label which is found anyway.
    - both, duplicate, background, and all false positives: dropped.
    - missed, and false negatives: the labels are taken out. A class that loses all its labels so
      leaves the mean; if every class does, AP is 1, since nothing is left to be found.

    In a size bin only its errors are fixed, while AP is still over all sizes, so gains can be
    compared across bins. No gain is negative, apart from rounding.

    Args:
        data: labels and detections.
        errors: of ``find_errors``; None finds them with its defaults.
        edges: B + 1 rising sizes in px (see ``error_sizes``), of B bins; none makes no bins.

    Raises:
        ValueError: edges that don't rise.

    Source: TIDE (arXiv 2008.08115), section 2.
    """
    if np.isnan(edges).any() or (np.diff(edges) <= 0).any() or len(edges) == 1:
        raise ValueError(f"edges must be two rising sizes or more, or none, got {list(edges)}")
    errors = find_errors(data) if errors is None else errors
    # All sizes, for the bins, too: gains of bins are then parts of one AP and can be compared.
    before = _mean_ap(data, errors.matches)
    detection_sizes, label_sizes = error_sizes(data, errors)
    bins = []
    for low, high in itertools.pairwise(edges):
        inside = [(low <= sizes) & (sizes < high) for sizes in (detection_sizes, label_sizes)]
        bins.append(_row(data, errors, before, inside[0], inside[1]))
    everything = np.ones(len(data.detections), bool), np.ones(len(data.labels), bool)
    return ErrorCosts(before, _row(data, errors, before, *everything), list(edges), bins)


def error_sizes(data: EvaluationSet, errors: Errors) -> tuple[np.ndarray, np.ndarray]:
    """The size by which each detection (D,) and label (G,) goes into a bin: √area in px.

    For a detection it is that of the label concerned; its own for a duplicate, on the background,
    or if it's ignored.
    """
    label_sizes, sizes = np.sqrt(data.labels.areas), np.sqrt(data.detections.areas)
    by_label = (errors.label >= 0) & ~errors.of_type(*_SIZED_ALONE, Outcome.IGNORED)
    sizes[by_label] = label_sizes[errors.label[by_label]]
    return sizes, label_sizes


def _row(
    data: EvaluationSet,
    errors: Errors,
    before: float,
    detections: np.ndarray,
    labels: np.ndarray,
) -> ErrorRow:
    """Counts and gains of the errors among the chosen detections (D,) and labels (G,)."""
    counts, gains = [], []
    for column in COLUMNS:
        wrong, unfound = _members(errors, column)
        wrong, unfound = wrong & detections, unfound & labels
        counts.append(int(wrong.sum() + unfound.sum()))
        # Without an error to fix AP stays as it is and need not be computed again.
        after = before
        if counts[-1]:
            after = _mean_ap(*_fixed(data, errors, wrong, unfound, column in _TURNED))
        gains.append(after - before)
    return ErrorRow(np.array(counts, dtype=np.int64), np.array(gains))


def _members(errors: Errors, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Detections (D,) and labels (G,) of a column, bool."""
    no_detection, no_label = np.zeros(len(errors.outcome), bool), np.zeros(len(errors.missed), bool)
    if column == FALSE_POSITIVES:
        return errors.false_positives, no_label
    if column == FALSE_NEGATIVES:
        return no_detection, errors.undetected
    kind = Outcome[column.upper()]
    if kind == Outcome.MISSED:
        return no_detection, errors.missed
    return errors.of_type(kind), no_label


def _fixed(
    data: EvaluationSet, errors: Errors, wrong: np.ndarray, unfound: np.ndarray, turned: bool
) -> tuple[EvaluationSet, Matches]:
    """The set and its matching with these detections and labels fixed."""
    matches = errors.matches
    # Ignored detections are left out of the curve, so this drops all; some come back below.
    # The matching is not repeated: all other detections must stay as they are.
    ignored, label = matches.ignored | wrong, matches.label.copy()
    categories = data.detections.categories.copy()
    if turned:
        ranked = matches.order[wrong[matches.order]]
        # A found label has its correct detection: one more would only be a duplicate.
        ranked = ranked[errors.undetected[errors.label[ranked]]]
        # np.unique gives the first place of each label, its most confident error.
        best = ranked[np.unique(errors.label[ranked], return_index=True)[1]]
        ignored[best], label[best] = False, errors.label[best]
        # A classification error moves from the curve of its own class to that of the label's.
        categories[best] = data.labels.categories[label[best]]
    changed = matches._replace(
        label=label, ignored=ignored, ignored_label=matches.ignored_label | unfound
    )
    return data.with_detections(replace(data.detections, categories=categories)), changed


def _mean_ap(data: EvaluationSet, matches: Matches) -> float:
    """Mean AP in [0, 1]; NaN for a set that never had a label, 1 where none is left to find."""
    # np.stack needs at least one class.
    if not data.class_names:
        return float("nan")
    ap = float(mean_of_defined(class_average_precision(class_rankings(data, matches))))
    # Crowds are never to be found, so a set of crowds alone stays NaN.
    had_labels = bool((~data.labels.crowd).any())
    return 1.0 if np.isnan(ap) and had_labels else ap
