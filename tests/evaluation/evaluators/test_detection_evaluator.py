"""What the evaluators of boxes gather from the outputs of a detector."""

import numpy as np
import pytest
import torch

import smallobj  # isort: skip  # noqa: F401  (first: makes Detectron2 import)

from detectron2.structures import Boxes, BoxMode, Instances

from smallobj.evaluation.evaluators.detection_evaluator import DetectionEvaluator

NAMES = ["nut", "bolt"]
TILES = np.array([[0, 0, 60, 50], [40, 0, 100, 50]])


class Gathering(DetectionEvaluator):
    """Its figures are the set that it is given."""

    def score(self, data):
        return data


def record(image_id):
    annotation = {"bbox": [1, 2, 3, 4], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 1}
    size = {"height": 50, "width": 100}
    return {
        "image_id": image_id,
        "file_name": f"{image_id}.jpg",
        **size,
        "annotations": [annotation],
    }


def output(score, tiles=None, name=0):
    found = Instances((50, 100))
    found.pred_boxes = Boxes(torch.tensor([[1.0, 2, 3, 4]]))
    found.scores, found.pred_classes = torch.tensor([score]), torch.tensor([name])
    return {"instances": found, **({} if tiles is None else {"tiles": tiles})}


def gather(register, *outputs):
    """From three images, outputs by id."""
    evaluator = Gathering(register([record(image_id) for image_id in "abc"]))
    for image_id, found in outputs:
        evaluator.process([record(image_id)], [found])
    return evaluator.evaluate()


def test_detections_get_the_number_of_their_image_and_the_last_of_an_image_count(register):
    data = gather(register, ("c", output(0.5)), ("a", output(0.25)), ("c", output(0.75)))
    assert list(data.image_ids) == ["a", "b", "c"]
    assert data.file_names == ["a.jpg", "b.jpg", "c.jpg"]
    assert data.labels.images.tolist() == [0, 1, 2]
    assert data.detections.images.tolist() == [0, 2]
    assert data.detections.scores.tolist() == [0.25, 0.75]


def test_nothing_seen_is_a_set_without_detections(register):
    assert not len(gather(register).detections)


def test_tiles_are_a_property_of_the_set_only_if_all_images_have_them(register):
    told = [(image_id, output(0.5, TILES)) for image_id in "abc"]
    assert len(gather(register, *told).tiles) == 3
    assert not gather(register, *told[:2]).tiles
    assert not gather(register, *told, ("a", output(0.5))).tiles


def test_a_class_that_the_dataset_lacks_is_told(register):
    with pytest.raises(ValueError, match=r"class 2 but dataset .* has 2 classes"):
        gather(register, ("a", output(0.5, name=2)))
