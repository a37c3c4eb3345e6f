"""Merges the records of all processes, in the order of the images, into the results files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from smallobj.bulk.folder import RunFolder
from smallobj.bulk.records import Records
from smallobj.results.result_files import ImageResult, ResultFiles
from smallobj.whole_file import whole_file

_MOST_REASONS = 10


@dataclasses.dataclass
class Totals:
    """Totals of a merged run.

    Attributes:
        images, broken, detections: number of images, of broken ones among them, and of detections.
        reasons: error messages of the first ten broken files.
    """

    images: int = 0
    broken: int = 0
    detections: int = 0
    reasons: list[str] = dataclasses.field(default_factory=list)


def merge_records(
    folder: RunFolder, records: Records, files: ResultFiles, image_ids: Sequence[int]
) -> Totals:
    """Writes ``detections.jsonl`` and ``files``; one image at a time is in memory.

    Args:
        folder: the run's folder.
        records: the records of all images.
        files: results files, not yet opened. Broken images are in ``detections.jsonl`` only.
        image_ids: ids of the images in COCO results.

    Raises:
        KeyError: an image has no record.
        OSError: a file can't be written.
    """
    totals = Totals()
    with whole_file(folder.detections_file) as lines, files:
        for index, image_id in enumerate(image_ids):
            line = records.line(index)
            lines.write(line)
            record = json.loads(line)
            totals.images += 1
            if "error" in record:
                totals.broken += 1
                if len(totals.reasons) < _MOST_REASONS:
                    totals.reasons.append(record["error"])
                continue
            totals.detections += len(record["detections"])
            files.add(ImageResult.from_entry(record, image_id))
    return totals
