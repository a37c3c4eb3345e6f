"""What all box metrics share: collecting detections from every process and naming classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.structures import Instances
from detectron2.utils import comm

from smallobj.evaluation.reading.ground_truth import read_ground_truth
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.geometry.masks import Rle, mask_rles


class DetectionEvaluator(DatasetEvaluator):
    """Gathers detections by image; a subclass turns them into numbers in ``score``.

    An image that was seen twice counts once, with its later detections. Labelled images that were
    not seen count as images without detections.
    """

    # Whether masks are compared, of labels and detections.
    with_masks = False
    # Name in the event storage of the figure that may choose the best checkpoint.
    headline: str | None = None

    def __init__(self, dataset_name: str) -> None:
        """
        Args:
            dataset_name: a registered dataset whose metadata has ``thing_classes``.

        Raises:
            ValueError: the dataset does not name its classes.
        """
        self.dataset_name = dataset_name
        self.metadata = MetadataCatalog.get(dataset_name)
        names = self.metadata.get("thing_classes")
        if not names:
            raise ValueError(
                f'dataset "{dataset_name}" has no thing_classes in its metadata; '
                "metrics need the names of its classes"
            )
        self.class_names: list[str] = list(names)
        self.logger = logging.getLogger(__name__)
        self.reset()

    def reset(self) -> None:
        self._found: dict[int | str, DetectionTable] = {}
        self._tiles: dict[int | str, np.ndarray | None] = {}

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Keeps the ``instances`` of each image.

        Args:
            inputs: dicts with "image_id".
            outputs: dicts with "instances": pred_boxes, scores, pred_classes in image pixels; and
                of tiled detectors "tiles" (T, 4).

        Raises:
            ValueError: a class number that the dataset does not have, or no masks where they are
                compared.
        """
        for record, output in zip(inputs, outputs, strict=True):
            masks = _run_lengths(output["instances"]) if self.with_masks else None
            instances = output["instances"].to("cpu")
            categories = instances.pred_classes.numpy().astype(np.int64)
            count = len(self.class_names)
            # A class beyond the last would be taken for a class of the next image in the matching.
            if len(categories) and not 0 <= categories.min() <= categories.max() < count:
                raise ValueError(
                    f'the model found class {categories.max()} but dataset "{self.dataset_name}" '
                    f"has {count} classes, numbered from 0"
                )
            self._tiles[record["image_id"]] = output.get("tiles")
            self._found[record["image_id"]] = DetectionTable.single_image(
                instances.pred_boxes.tensor.detach().numpy(),
                instances.scores.detach().numpy(),
                categories,
                masks,
            )

    def evaluate(self) -> dict[str, dict[str, float]]:
        """{task: {metric: percent}} on the main process, {} on the others and without labels."""
        comm.synchronize()
        gathered = comm.gather((self._found, self._tiles), dst=0)
        if not comm.is_main_process():
            return {}
        found: dict[int | str, DetectionTable] = {}
        tiles: dict[int | str, np.ndarray | None] = {}
        for own_found, own_tiles in gathered:
            found.update(own_found)
            tiles.update(own_tiles)
        # Before the labels are asked for: a set without labels gets its detections written as well.
        self.write(found)
        data = read_ground_truth(self.dataset_name, self.with_masks)
        if data is None:
            self.logger.info(f"{self.dataset_name} has no labels: nothing to evaluate")
            return {}
        data = data.with_image_detections(found)
        by_image = [tiles.get(image_id) for image_id in data.image_ids]
        # Of some images only it would be no property of the set.
        known = [read for read in by_image if read is not None]
        return self.score(data.with_tiles(known) if len(known) == len(by_image) else data)

    def write(self, found: Mapping[int | str, DetectionTable]) -> None:
        """Stores the detections by image id, where a subclass wants them stored."""

    def score(self, data: EvaluationSet) -> dict[str, dict[str, float]]:
        """{task: {metric: percent, NaN where undefined}} of the labels and detections."""
        raise NotImplementedError


def _run_lengths(instances: Instances) -> list[Rle]:
    if instances.has("pred_masks"):
        return mask_rles(instances.pred_masks)
    if len(instances):
        raise ValueError(
            "the metric coco_masks compares masks, and the model gives none; it needs "
            "MODEL.MASK_ON True, or TEST.METRICS without coco_masks"
        )
    return []
