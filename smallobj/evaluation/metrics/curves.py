"""Precision against recall, and average precision, from one matching; weighted by image if asked.

A weight says how often an image counts, so a bootstrap over images needs no second matching: it
draws weights and calls the functions below with B rows of them.

I: images. K: classes. N: detections that count, of one class or all. M: labels that count.
B: rows of image weights. T: IoU thresholds. R: right ones of the N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from smallobj.checks import check_choice
from smallobj.evaluation.metrics.matching import EVERY_AREA, Matches, match_detections
from smallobj.evaluation.reading.tables import EvaluationSet

# Rounded, since 0.5 + 0.05 * 7 is not the float 0.85.
COCO_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
# Not n / 100: pycocotools takes linspace, and a last bit decides at a recall that is met exactly.
COCO_RECALLS = np.linspace(0, 1, 101)
Rule = Literal["coco", "area"]
# Weights of detections held in memory at a time.
_BLOCK = 2_000_000


class Ranking(NamedTuple):
    """The detections that count, of one class or of all, from the most confident on.

    Attributes:
        scores: (N,) float64, falling.
        right: (N,) bool, finds a label; else it's a false positive.
        images: (N,) int64, index of the image of each detection.
        detections: (N,) int64, row of each one in the table of detections.
        label_images: (M,) int64, image of each label that is to be found.
    """

    scores: np.ndarray
    right: np.ndarray
    images: np.ndarray
    detections: np.ndarray
    label_images: np.ndarray


class Curve(NamedTuple):
    """Precision and recall after each detection, from the most confident on; (N,) float64 each."""

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def pooled_ranking(data: EvaluationSet, matches: Matches) -> Ranking:
    """All classes in one list; for a matching across classes, too.

    Ignored detections and labels are left out. Of equal scores the first image comes first, and
    within an image the first detection, as pycocotools has it (it takes images in the order of
    their ids).
    """
    counting = matches.order[~matches.ignored[matches.order]]
    images, scores = data.detections.images[counting], data.detections.scores[counting]
    # lexsort is stable: within an image the order of ``matches`` stays.
    sequence = np.lexsort((images, -scores))
    counting = counting[sequence]
    return Ranking(
        scores[sequence],
        matches.label[counting] >= 0,
        images[sequence],
        counting,
        data.labels.images[~matches.ignored_label],
    )


def class_rankings(data: EvaluationSet, matches: Matches) -> list[Ranking]:
    """One ranking for each of the K classes, from a matching by class; order as pooled."""
    pooled = pooled_ranking(data, matches)
    found = data.detections.categories[pooled.detections]
    wanted = data.labels.categories[~matches.ignored_label]
    return [
        Ranking(
            pooled.scores[found == k],
            pooled.right[found == k],
            pooled.images[found == k],
            pooled.detections[found == k],
            pooled.label_images[wanted == k],
        )
        for k in range(len(data.class_names))
    ]


def iou_rankings(
    data: EvaluationSet,
    iou_thresholds: Sequence[float] = COCO_IOUS,
    *,
    area_range: tuple[float, float] = EVERY_AREA,
    max_detections: int = 100,
) -> list[list[Ranking]]:
    """T lists of K rankings; match once, then weigh the images as often as needed.

    Args:
        data: labels and detections.
        iou_thresholds: T smallest IoUs of a match; COCO's .50 to .95 by default.
        area_range: px², both ends belong to it.
        max_detections: most confident detections of an image and class that count.
    """
    return [
        class_rankings(
            data,
            match_detections(data, iou, area_range=area_range, max_detections=max_detections),
        )
        for iou in iou_thresholds
    ]


def precision_recall(ranking: Ranking, weights: np.ndarray | None = None) -> Curve:
    """The raw curve: no interpolation, not monotone.

    Args:
        ranking: N detections, M labels.
        weights: (I,) how often each image counts; None counts each once.

    Returns:
        a point for each detection. Precision is 0 while the weights add up to 0; recall is NaN
        without labels.
    """
    counts, total = weighted_counts(ranking, weights)
    hits, everything = np.cumsum(counts * ranking.right), np.cumsum(counts)
    # The first detections may all lie in images of weight 0.
    precision = np.divide(hits, everything, out=np.zeros(len(hits)), where=everything > 0)
    recall = hits / total if total > 0 else np.full(len(hits), np.nan)
    return Curve(ranking.scores, precision, recall)


def interpolated_precision(ranking: Ranking, weights: np.ndarray | None = None) -> np.ndarray:
    """(101,) float64, COCO's precision at recalls 0, .01 to 1; NaN without labels.

    At each recall it is the best precision at that recall or a higher one, 0 where the recall is
    never reached.
    """
    curve = precision_recall(ranking, weights)
    if not weighted_counts(ranking, weights)[1] > 0:
        return np.full(len(COCO_RECALLS), np.nan)
    # The 0 behind the end is what a recall gets that is never reached.
    envelope = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0.0)
    sampled: np.ndarray = envelope[np.searchsorted(curve.recall, COCO_RECALLS, side="left")]
    return sampled


def average_precision(
    ranking: Ranking, weights: np.ndarray | None = None, rule: Rule = "coco"
) -> np.ndarray:
    """AP in [0, 1] for each row of image weights; NaN where no label counts.

    Whole weights give the AP of a set in which each image, with its labels and detections, is
    there that often, where the copies of a detection follow each other. Copies that are images of
    their own give the same unless an image has detections of one class with equal scores, of
    which some are right and some wrong: their order in the copied set then differs. Weights that
    are not whole sum with rounding errors, which may move one of the 101 points at a recall that
    is met exactly.

    Args:
        ranking: N detections, M labels.
        weights: (I,) or (B, I), not negative; None counts each image once.
        rule: "coco": mean of the monotone precision at 101 recalls (pycocotools). "area": the
            whole area under the monotone curve (VOC since 2010, the challenge).

    Returns:
        float64, () or (B,).

    Raises:
        ValueError: an unknown rule, weights that are negative or not finite, or too few of them.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV
        2015 (area); pycocotools, COCOeval.accumulate (101 points).
    """
    check_choice("rule", rule, ("coco", "area"))
    given = _every_image(ranking) if weights is None else np.asarray(weights)
    rows = np.atleast_2d(given)
    # A row of weights grows to one value a detection, and to one a label.
    columns = max(len(ranking.images), len(ranking.label_images))
    parts = [_block_ap(ranking, block, rule) for block in _blocks(rows, columns)]
    result = np.concatenate(parts) if parts else np.zeros(0)
    return result if given.ndim == 2 else result[0]


def recall(ranking: Ranking, weights: np.ndarray | None = None) -> np.ndarray:
    """Found labels among all, by image weight; (), or (B,) for (B, I) weights; NaN without labels.

    Args:
        ranking: N detections, M labels.
        weights: as in ``average_precision``.
    """
    rows = _every_image(ranking) if weights is None else weights
    hits = _of_images(rows, ranking.images[ranking.right]).sum(axis=-1)
    total = _of_images(rows, ranking.label_images).sum(axis=-1)
    return np.divide(hits, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def class_average_precision(
    rankings: Sequence[Ranking], weights: np.ndarray | None = None, rule: Rule = "coco"
) -> np.ndarray:
    """AP of each class: (K,), or (B, K) for (B, I) weights; as ``average_precision``."""
    return np.stack([average_precision(ranking, weights, rule) for ranking in rankings], axis=-1)


def mean_average_precision(
    rankings: Sequence[Sequence[Ranking]], weights: np.ndarray | None = None, rule: Rule = "coco"
) -> np.ndarray:
    """Mean AP over T IoU thresholds and the classes that have labels, COCO's AP for its ten.

    Args:
        rankings: T lists of K, as ``iou_rankings`` makes them.
        weights: as in ``average_precision``.
        rule: as in ``average_precision``.

    Returns:
        (), or (B,) for (B, I) weights; NaN where no class has labels.
    """
    every = [class_average_precision(by_class, weights, rule) for by_class in rankings]
    return mean_of_defined(np.concatenate(every, axis=-1))


def mean_recall(
    rankings: Sequence[Sequence[Ranking]], weights: np.ndarray | None = None
) -> np.ndarray:
    """Mean recall over T IoU thresholds and the classes with labels, COCO's AR; (), or (B,)."""
    every = [recall(ranking, weights) for by_class in rankings for ranking in by_class]
    return mean_of_defined(np.stack(every, axis=-1))


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what isn't NaN; NaN where all is."""
    # Not np.nanmean: it warns where all values are NaN, as they may well be here.
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(np.shape(count), np.nan), where=count > 0)


def weighted_counts(
    ranking: Ranking, weights: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """How much each detection counts, (N,) float64, and all labels together.

    Args:
        ranking: N detections, M labels.
        weights: (I,) how often each image counts; None counts each once.

    Raises:
        ValueError: weights that are negative or not finite, or too few of them.
    """
    if weights is None:
        return np.ones(len(ranking.images)), float(len(ranking.label_images))
    labels = _of_images(weights, ranking.label_images)
    return _of_images(weights, ranking.images), float(labels.sum())


def _block_ap(ranking: Ranking, weights: np.ndarray, rule: Rule) -> np.ndarray:
    """(B,) AP for (B, I) weights, which fit into memory times N."""
    positions = np.flatnonzero(ranking.right)
    counts = _of_images(weights, ranking.images)
    hits = counts[:, positions]
    total = _of_images(weights, ranking.label_images).sum(axis=1)
    # Recall rises at right detections only, and precision peaks there: the R of them will do.
    found, everything = np.cumsum(hits, axis=1), np.cumsum(counts, axis=1)[:, positions]
    precision = np.divide(found, everything, out=np.zeros(found.shape), where=everything > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    known = total > 0
    # Any divisor will do without labels: the result is NaN.
    whole = np.where(known, total, 1.0)
    if rule == "area":
        mean = np.einsum("br,br->b", envelope, hits) / whole
    else:
        # Of the 101 recalls, each right detection is the first to reach some.
        # The quotient, as in pycocotools: a sum of steps of 1 / labels would round differently, and
        # could miss a recall that is met exactly.
        reached = np.searchsorted(COCO_RECALLS, found / whole[:, None], side="right")
        new = np.diff(reached, axis=1, prepend=0)
        mean = np.einsum("br,br->b", envelope, new.astype(np.float64)) / len(COCO_RECALLS)
    return np.where(known, mean, np.nan)


def _blocks(rows: np.ndarray, columns: int) -> Iterator[np.ndarray]:
    step = max(_BLOCK // max(columns, 1), 1)
    for first in range(0, len(rows), step):
        yield rows[first : first + step]


def _every_image(ranking: Ranking) -> np.ndarray:
    """Weights of 1, as many as the ranking needs."""
    ends = (ranking.images.max(initial=-1), ranking.label_images.max(initial=-1))
    return np.ones(int(max(ends)) + 1)


def _of_images(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(..., N) float64, in which whole numbers stay exact, for N images of (..., I) weights.

    What isn't needed isn't touched: a bootstrap calls this hundreds of times on large weights.
    """
    weights = np.asarray(weights)
    if images.max(initial=-1) >= weights.shape[-1]:
        raise ValueError(
            f"image weights must be one for each image, got {weights.shape[-1]} of at least "
            f"{images.max() + 1}"
        )
    # Only what is taken becomes float64: callers keep weights as int8 or int32 to save memory.
    taken: np.ndarray = weights[..., images].astype(np.float64)
    wrong = ~(np.isfinite(taken) & (taken >= 0))
    if wrong.any():
        raise ValueError(f"image weights must be finite and not negative, got {taken[wrong][0]}")
    return taken
