"""The 2021 Small Object AI Challenge's results: ``{"2133.jpg": [[class, x, y, w, h, score]]}``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smallobj.data.labels.problems import shown
from smallobj.formats.detections.result_columns import ResultColumns, entry_names
from smallobj.formats.detections.unknown_images import NamedImages

# The scorer reads no more of an image.
MOST_DETECTIONS = 100
LIST_RULE = "an image must have a list of detections"
ROW_RULE = "a detection must be a list of six numbers, class, x, y, w, h, score"


def challenge_row(index: int, bbox: Sequence[float], score: float) -> list[float]:
    """One detection: class, (x, y, w, h) in pixels, score.

    The class stays an int: the challenge's scorer wants it without a point.
    """
    return [index, *bbox, score]


def columns(content: dict[str, Any], images: NamedImages, classes: dict[int, int]) -> ResultColumns:
    """The detections as columns.

    Args:
        content: of a file.
        images: of the data set.
        classes: the data set's class by class in the file.
    """
    path, log = images.path, images.log
    entries: list[tuple[str, int]] = []
    found = ResultColumns(entry_names(entries), classes)
    for name, rows in content.items():
        number = images.number(name, name, len(rows) if isinstance(rows, list) else 1)
        if number is None:
            continue
        if not isinstance(rows, list):
            log.report(path, name, LIST_RULE, shown(rows))
            continue
        for i, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != 6:
                log.report(path, f"{name}[{i}]", ROW_RULE, shown(row))
                continue
            # Kept beside the columns, since skipped rows make their numbers differ from the file's.
            entries.append((name, i))
            found.images.append(number)
            found.categories.append(row[0])
            found.boxes.append(row[1:5])
            found.scores.append(row[5])
    return found
