"""The tables of detections that the demo prints."""

from __future__ import annotations

import os
from collections.abc import Sequence

from smallobj.inference.notices import nothing_found
from smallobj.results.detection_log import DetectionLog


def detections_table(
    log: DetectionLog, threshold: float, most_images: int = 10, most_rows: int = 200
) -> str:
    """A line for each detection; with many images or detections, only the count of each image.

    Args:
        log: the detections of the run.
        threshold: lowest score of a detection; stated if there are no detections.
        most_images, most_rows: with more images or detections than these, only counts are printed.
    """
    total = sum(len(image.boxes) for image in log.images)
    if len(log.images) > most_images or total > most_rows:
        counts = [(image.file, str(len(image.boxes))) for image in log.images]
        hint = "" if total else f"\n{nothing_found(threshold, log.class_names)}"
        return _columns([("file", "objects"), *counts]) + hint
    rows = [
        (
            os.path.basename(file),
            name,
            f"{score:.2f}",
            " ".join(f"{value:.0f}" for value in box),
        )
        for file, _, name, score, *box in log.rows()
    ]
    if not log.images:
        return "no image could be read"
    if not rows:
        return nothing_found(threshold, log.class_names)
    return _columns([("file", "class", "score", "x1 y1 x2 y2"), *rows])


def frames_line(log: DetectionLog, threshold: float, video: str) -> str:
    """A line with the number of detections in all frames of a video; ``video`` is its name."""
    count = sum(len(image.boxes) for image in log.images)
    hint = "" if count else f"\n{nothing_found(threshold, log.class_names)}"
    return f"{video}: {count} detections in {len(log.images)} frames{hint}"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
