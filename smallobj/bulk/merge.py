"""All processes' records in the order of the images: as JSON lines, JSON, CSV, COCO results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from smallobj.bulk.folder import RunFolder
from smallobj.bulk.records import Records
from smallobj.results.result_files import ImageResult, ResultFiles
from smallobj.whole_file import whole_file

_TOLD = 10


@dataclasses.dataclass
class Totals:
    """What a merged run holds.

    Attributes:
        images, broken, detections: how many.
        reasons: why files are broken; the first ten.
    """

    images: int = 0
    broken: int = 0
    detections: int = 0
    reasons: list[str] = dataclasses.field(default_factory=list)


def merge_records(
    folder: RunFolder, records: Records, files: ResultFiles, image_ids: Sequence[int]
) -> Totals:
    """Writes ``detections.jsonl`` and ``files``; an image at a time is in memory.

    Args:
        folder: where the run is.
        records: one for every image.
        files: not yet opened. Broken images are in ``detections.jsonl`` only.
        image_ids: ids in COCO results.

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
                if len(totals.reasons) < _TOLD:
                    totals.reasons.append(record["error"])
                continue
            totals.detections += len(record["detections"])
            files.add(ImageResult.from_entry(record, image_id))
    return totals
