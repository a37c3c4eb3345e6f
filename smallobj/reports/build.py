"""Builds the dict of a report, for ``smallobj.reports.page``, from labels and detections."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smallobj.evaluation.metrics.errors import Errors, find_errors
from smallobj.evaluation.metrics.size_bins import DEFAULT_BINS, SizeBin
from smallobj.evaluation.reading.tables import EvaluationSet
from smallobj.reports import charts, figures
from smallobj.reports.columns import DETECTION_KINDS, LABEL_KINDS, pack_tables
from smallobj.reports.galleries import worst_false_positives, worst_misses
from smallobj.reports.page import render
from smallobj.reports.photographs import Frame, Pictures, add_views, read_pictures
from smallobj.reports.training import read_training
from smallobj.results.class_colors import PALETTE

# The page contains at least this many images, if they fit, even if no gallery links to them.
_FEW_VIEWS = 60


@dataclass(frozen=True)
class ReportOptions:
    """Contents of a report.

    Attributes:
        title: of the page.
        size_bins: sizes of objects that are evaluated separately.
        max_detections: number of detections, the most confident, evaluated per image and class.
        gallery_items: largest number of crops in a gallery.
        most_detections: largest number of detections in the page, the most confident of all images.
        page_bytes: largest size of the page; images are reduced until they fit.
        with_pictures: whether to read the image files.
        draws: bootstrap resamples for the intervals at the edges of tiles; 0: no intervals.
    """

    title: str = "Evaluation"
    size_bins: Sequence[SizeBin] = DEFAULT_BINS
    max_detections: int = 1000
    gallery_items: int = 120
    most_detections: int = 600_000
    page_bytes: int = 48_000_000
    with_pictures: bool = True
    draws: int = 1000


def build_report(
    data: EvaluationSet,
    options: ReportOptions | None = None,
    *,
    facts: Sequence[tuple[str, str]] = (),
    intervals: figures.Intervals | None = None,
    training: Path | None = None,
) -> dict[str, Any]:
    """Computes all metrics, chooses the crops of the galleries, and reads the images.

    Args:
        data: labels and detections; ``file_names`` are the paths of the images.
        options: contents of the report.
        facts: further lines under the title, (name, text).
        intervals: 95 % intervals (low, high) by headline key; see ``figures.headline``.
        training: folder with a metrics.json.

    Returns:
        The dict that ``smallobj.reports.page`` describes.

    Raises:
        ValueError: metrics.json is missing or broken.
    """
    options = options or ReportOptions()
    errors = find_errors(data, max_detections=options.max_detections)
    rankings = figures.make_rankings(data, errors, options.max_detections)
    bins = options.size_bins
    edges = [bins[0].low, *(size_bin.high for size_bin in bins)] if _adjoining(bins) else []
    report: dict[str, Any] = {
        "title": options.title,
        "facts": [[name, text] for name, text in (*facts, *_counts(data))],
        "classes": list(data.class_names),
        "class_colours": [PALETTE[index % len(PALETTE)] for index in range(len(data.class_names))],
        "headline": figures.headline(data, rankings, intervals or {}),
        "curves": charts.curves(data, rankings.pooled, rankings.by_class),
        "curves_note": "At IoU 0.5. Point at a chart, or use the arrow keys, to read its values.",
        "size_bins": figures.by_size(data, bins, options.max_detections, intervals or {}),
        "seams": figures.seams(data, figures.best_score(rankings), options.draws),
        "per_class": figures.by_class(data, rankings, errors),
        "confusion": charts.confusion(data, figures.best_score(rankings)),
        "errors": figures.error_rows(data, errors, edges),
        "misses": charts.misses(rankings.pooled, len(data.image_ids)),
        "calibration": charts.calibration(rankings.pooled),
        # Rounded down, so that a detection with this score passes.
        "shown_score": math.floor(figures.best_score(rankings) * 1e4) / 1e4,
    }
    report = {name: part for name, part in report.items() if part is not None}
    if training is not None:
        report["training"] = read_training(training)
    _add_images(report, data, errors, options)
    return report


def _adjoining(bins: Sequence[SizeBin]) -> bool:
    return all(a.high == b.low for a, b in itertools.pairwise(bins))


def _counts(data: EvaluationSet) -> list[tuple[str, str]]:
    crowds = int(data.labels.crowd.sum())
    objects = f"{len(data.labels) - crowds:,}" + (f", and {crowds:,} crowds" if crowds else "")
    return [
        ("Images", f"{len(data.image_ids):,}"),
        ("Objects", objects),
        ("Detections", f"{len(data.detections):,}"),
    ]


def _add_images(
    report: dict[str, Any], data: EvaluationSet, errors: Errors, options: ReportOptions
) -> None:
    packed = pack_tables(data, errors, options.most_detections)
    report["images"] = {
        "names": _short_names(data.file_names),
        "sizes": data.sizes.tolist(),
        "labels": packed.labels,
        "detections": packed.detections,
    }
    report["kinds"] = {"label": list(LABEL_KINDS), "detection": list(DETECTION_KINDS)}
    report["galleries"] = [
        worst_misses(data, errors, packed, options.gallery_items),
        worst_false_positives(data, errors, packed, options.gallery_items),
    ]
    left_out = len(data.detections) - min(len(data.detections), options.most_detections)
    note = f"{left_out:,} detections of low score are left out of this page. " if left_out else ""
    if options.with_pictures:
        note += _add_pictures(report, data, options.page_bytes)
    else:
        note += "This page was made without the image files."
    report["photographs_note"] = note


def _add_pictures(report: dict[str, Any], data: EvaluationSet, page_bytes: int) -> str:
    """Adds crops and reduced images; returns the note about them."""
    items = [item for gallery in report["galleries"] for item in gallery["items"]]
    # Misses and false positives alternate, so that neither gallery runs out of space first.
    wanted = sorted(range(len(items)), key=lambda n: _turn(report["galleries"], n))
    images = list(dict.fromkeys(items[n]["image"] for n in wanted))
    paths = {image: os.fspath(data.file_names[image]) for image in images}
    frames: dict[int, list[Frame]] = {image: [] for image in images}
    for item in items:
        x0, y0, x1, y1 = item["frame"]
        frames[item["image"]].append((x0, y0, x1, y1))
    pictures = read_pictures(paths, frames)
    for item in items:
        crop = pictures.crops.get((item["image"], tuple(item["frame"])))
        if crop:
            item["crop"] = crop
    # A small dataset is included as a whole.
    others = [image for image in range(len(data.image_ids)) if image not in paths]
    for image in others[: max(_FEW_VIEWS - len(images), 0)]:
        paths[image] = os.fspath(data.file_names[image])
    add_views(pictures, paths, max(page_bytes - _weight(report), 0))
    report["photographs"] = {str(image): view for image, view in pictures.views.items()}
    return _pictures_note(pictures, len(paths), len(data.image_ids))


def _turn(galleries: Sequence[Mapping[str, Any]], number: int) -> tuple[int, int]:
    """(position in its gallery, gallery) of the n-th item of all galleries."""
    for gallery_index, gallery in enumerate(galleries):
        if number < len(gallery["items"]):
            return number, gallery_index
        number -= len(gallery["items"])
    raise AssertionError("items are counted over all galleries")


def _weight(report: Mapping[str, Any]) -> int:
    """Size in bytes of the page without reduced images, with some spare."""
    return len(render(report).encode("utf-8")) + 100_000


def _pictures_note(pictures: Pictures, wanted: int, images: int) -> str:
    note = (
        f"This file contains reduced copies of {len(pictures.views):,} of {images:,} images, those "
        "in the galleries first. The crops have full resolution."
    )
    if len(pictures.views) < images:
        note += " Of other images only the boxes are shown."
    short = wanted - len(pictures.views) - len(pictures.missing)
    if short > 0:
        note += f" {short:,} more did not fit."
    if pictures.missing:
        note += f" {len(pictures.missing):,} image files could not be read."
    return note


def _short_names(paths: Sequence[str]) -> list[str]:
    """Paths relative to their common folder."""
    if len(paths) < 2:
        return [os.path.basename(path) for path in paths]
    try:
        shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:
        return list(paths)
    return [os.path.relpath(path, shared) if shared else path for path in paths]
