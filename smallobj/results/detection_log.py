"""The detections of a run, kept in memory until the results files are written."""

from __future__ import annotations

from collections.abc import Sequence

from detectron2.structures import Instances

from smallobj.formats.csv_table import Row
from smallobj.results.coco_ids import CocoIds
from smallobj.results.result_files import ImageResult, ResultFiles


class DetectionLog:
    """Collects detections and writes them in up to three formats; each file complete or absent."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = list(class_names)
        # Ids in COCO results by class index; see CocoIds.
        self.category_ids = CocoIds().category_ids(class_names)
        self.images: list[ImageResult] = []

    def add(self, file: str, image_id: int, instances: Instances) -> ImageResult:
        """Adds an image's detections, on the CPU, in its pixels; returns them as written."""
        self.images.append(ImageResult.from_instances(file, image_id, instances))
        return self.images[-1]

    def rows(self) -> list[Row]:
        """(file, class id, class name, score, x1, y1, x2, y2) of every detection."""
        return [row for image in self.images for row in image.rows(self.class_names)]

    def write(self, json_file: str | None, csv_file: str | None, coco_file: str | None) -> None:
        """Writes the files that are not None; replaces existing ones once the new are complete."""
        files = ResultFiles(self.class_names, self.category_ids, json_file, csv_file, coco_file)
        with files:
            for image in self.images:
                files.add(image)
