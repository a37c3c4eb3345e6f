"""A report's dict from labels and detections: what ``smallobj.reports.page`` renders."""

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

# So many photographs are in the page, room allowing, even if no gallery leads to them.
_FEW_VIEWS = 60


@dataclass(frozen=True)
class ReportOptions:
    """What a report holds.

    Attributes:
        title: of the page.
        size_bins: sizes of objects that are looked at apart.
        max_detections: most confident detections of an image and class that count.
        gallery_items: crops in a gallery, at most.
        most_detections: detections that the page holds, the most confident of all images.
        page_bytes: what the page may weigh; photographs are reduced until they fit.
        with_pictures: read the image files.
        draws: of the bootstrap behind the intervals at tiles' edges; 0 leaves them out.
    """

    title: str = "Evaluation"
    size_bins: Sequence[SizeBin] = DEFAULT_BINS
    max_detections: int = 100
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
    """Works out all figures, chooses what the galleries show, and reads the pictures.

    Args:
        data: labels and detections; ``file_names`` lead to the photographs.
        options: what the report holds.
        facts: further lines under the title, (name, text).
        intervals: (low, high) by headline key, of 95 %; see ``figures.headline``.
        training: folder with a metrics.json.

    Returns:
        the dict that ``smallobj.reports.page`` describes.

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
        "headline": figures.headline(data, rankings, intervals or {}),
        "curves": charts.curves(data, rankings.pooled, rankings.by_class),
        "curves_note": "At IoU 0.5. A chart is read by pointing or by arrow keys.",
        "size_bins": figures.by_size(data, bins, options.max_detections, intervals or {}),
        "seams": figures.seams(data, figures.best_score(rankings), options.draws),
        "per_class": figures.by_class(data, rankings, errors),
        "confusion": charts.confusion(data, figures.best_score(rankings)),
        "errors": figures.error_rows(data, errors, edges),
        "misses": charts.misses(rankings.pooled, len(data.image_ids)),
        "calibration": charts.calibration(rankings.pooled),
        # Rounded down, so that the score itself passes.
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
        note += "The page was made without the image files."
    report["photographs_note"] = note


def _add_pictures(report: dict[str, Any], data: EvaluationSet, page_bytes: int) -> str:
    """Adds crops and reduced photographs; returns what the page says about them."""
    items = [item for gallery in report["galleries"] for item in gallery["items"]]
    # Misses and false positives take turns, so that neither loses its views first.
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
    # A small data set is there as a whole.
    others = [image for image in range(len(data.image_ids)) if image not in paths]
    for image in others[: max(_FEW_VIEWS - len(images), 0)]:
        paths[image] = os.fspath(data.file_names[image])
    add_views(pictures, paths, max(page_bytes - _weight(report), 0))
    report["photographs"] = {str(image): view for image, view in pictures.views.items()}
    return _pictures_note(pictures, len(paths), len(data.image_ids))


def _turn(galleries: Sequence[Mapping[str, Any]], number: int) -> tuple[int, int]:
    """(place in its gallery, gallery) of the n-th item of all galleries."""
    for which, gallery in enumerate(galleries):
        if number < len(gallery["items"]):
            return number, which
        number -= len(gallery["items"])
    raise AssertionError("items are counted over all galleries")


def _weight(report: Mapping[str, Any]) -> int:
    """Bytes of the page without photographs, with room for the page's own parts."""
    return len(render(report).encode("utf-8")) + 100_000


def _pictures_note(pictures: Pictures, wanted: int, images: int) -> str:
    note = (
        f"{len(pictures.views):,} of {images:,} photographs, first of all those in the galleries, "
        "are in this file, reduced; the crops keep every pixel."
    )
    if len(pictures.views) < images:
        note += " Of the others the boxes are shown alone."
    short = wanted - len(pictures.views) - len(pictures.missing)
    if short > 0:
        note += f" {short:,} more had no room."
    if pictures.missing:
        note += f" {len(pictures.missing):,} image files could not be read."
    return note


def _short_names(paths: Sequence[str]) -> list[str]:
    """Paths without the folder that all share."""
    if len(paths) < 2:
        return [os.path.basename(path) for path in paths]
    try:
        shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:
        return list(paths)
    return [os.path.relpath(path, shared) if shared else path for path in paths]
