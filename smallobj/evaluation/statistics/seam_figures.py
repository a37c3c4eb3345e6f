"""What one tiled run did near the edges of its tiles: recall and duplicates, zone by zone.

Zones, found objects and duplicates are those of ``metrics.seams``, which also
compares the same objects near edges and off them. A single run can't: objects near edges are larger
than those off them, so a difference between zones is a hint, not a measurement of the seams.

I: images. Z: the three zones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smallobj.evaluation.metrics.seams import BESIDE, CUT, OFF, join, observe
from smallobj.evaluation.reading.tables import EvaluationSet
from smallobj.evaluation.statistics.bootstrap import Interval, draw_weights, percentile_interval
from smallobj.geometry.tiling import plan_tiles

ZONES = {"off": OFF, "beside": BESIDE, "cut": CUT}


class ZoneFigures(NamedTuple):
    """The objects of one zone.

    Attributes:
        name: a key of ``ZONES``.
        objects: how many lie there.
        side: mean square root of their areas in px, NaN without objects; so are those below.
        views: mean number of tiles that hold an object whole.
        recall: share of objects that are found.
        duplicates: for each object, how many detections belong to it beyond the first.
    """

    name: str
    objects: int
    side: float
    views: float
    recall: Interval
    duplicates: Interval


def with_planned_tiles(data: EvaluationSet, tile: int, overlap: int) -> EvaluationSet:
    """The set with the tiles that :class:`smallobj.inference.tiled.TiledDetector` plans.

    Args:
        data: labels and detections.
        tile, overlap: TEST.TILE.SIZE and TEST.TILE.OVERLAP of the run.

    Raises:
        ValueError: as :func:`smallobj.geometry.tiling.plan_tiles`.
    """
    return data.with_tiles([plan_tiles((h, w), tile, overlap) for h, w in data.sizes.tolist()])


def zone_figures(
    data: EvaluationSet, min_score: float, *, draws: int = 0, seed: int = 0
) -> list[ZoneFigures]:
    """The figures of each zone, in the order of ``ZONES``.

    Args:
        data: labels and detections, with ``tiles``; at least one image.
        min_score: lowest score of a detection that counts.
        draws: of the bootstrap over images behind the intervals; 0 leaves their ends NaN.
        seed: of the draws.
    """
    assert len(data.tiles) == len(data.image_ids) > 0, "tiles of each image are needed"
    by_image = list(data.by_image())
    seen = join(
        [
            observe(
                labels,
                detections,
                np.asarray(data.tiles[number], dtype=np.float64),
                (height, width),
                min_score=min_score,
                photograph=number,
                first_object=0,
            )
            for number, ((labels, detections), (height, width)) in enumerate(
                zip(by_image, data.sizes.tolist(), strict=True)
            )
        ]
    )
    # In the order of the observations, which leave out crowds as well.
    sides = np.concatenate([np.sqrt(labels.areas[~labels.crowd]) for labels, _ in by_image])
    images = len(data.image_ids)
    weights = draw_weights(images, draws, seed) if draws else np.zeros((0, images))
    zones = []
    for name, zone in ZONES.items():
        own = seen.zone == zone
        # Sums by image, so that a draw of images is one product with the weights.
        sums = [
            np.bincount(seen.photograph[own], values[own], images)
            for values in (np.ones(len(own)), seen.found, seen.duplicates)
        ]
        zones.append(
            ZoneFigures(
                name,
                int(own.sum()),
                float(sides[own].mean()) if own.any() else np.nan,
                float(seen.views[own].mean()) if own.any() else np.nan,
                _ratio(sums[1], sums[0], weights),
                _ratio(sums[2], sums[0], weights),
            )
        )
    return zones


def _ratio(parts: np.ndarray, wholes: np.ndarray, weights: np.ndarray) -> Interval:
    """Of two sums over images, (I,) each, with its interval over the draws (B, I)."""
    # The first row is the set itself. A quotient of sums, not a mean of the images' quotients: an
    # image without objects in the zone has none.
    rows = np.vstack([np.ones(len(parts)), weights])
    shares = np.full(len(rows), np.nan)
    np.divide(rows @ parts, rows @ wholes, out=shares, where=rows @ wholes > 0)
    return percentile_interval(float(shares[0]), shares[1:])
