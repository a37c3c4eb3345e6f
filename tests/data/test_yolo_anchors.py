"""YOLO's anchors from the training data."""

import numpy as np
import pytest

from smallobj import load_config
from smallobj.data.datasets import register_dataset
from smallobj.data.yolo_anchors import resolve_yolo_anchors
from smallobj.geometry.anchors import shape_iou

TINY = "configs/quick/yolov3_tiny.yaml"


@pytest.fixture
def config(repository, tiny_dataset, catalog):
    """Trains on squares of 12 to 39 px."""

    def make(*options, path=TINY):
        names = ["DATASETS.TRAIN", "('squares_fit',)"]
        return load_config(str(repository / path), [*names, *map(str, options)])

    register_dataset(tiny_dataset.spec("squares_fit", "train"))
    return make


def test_an_empty_list_is_fitted_to_the_training_data(config):
    cfg = resolve_yolo_anchors(config("MODEL.YOLO.ANCHORS", "()"))
    anchors = np.array(cfg.MODEL.YOLO.ANCHORS)
    assert anchors.shape == (9, 2)
    assert (np.diff(anchors.prod(axis=1)) >= 0).all()
    assert (anchors[:, 0] == anchors[:, 1]).all(), "the objects are square"
    assert anchors.min() >= 12
    assert anchors.max() <= 39
    assert resolve_yolo_anchors(config("MODEL.YOLO.ANCHORS", "()")) == cfg


def test_the_number_of_anchors_fits_the_features(config):
    options = ["MODEL.YOLO.ANCHORS", "()", "MODEL.YOLO.IN_FEATURES", "['dark3', 'dark4']"]
    assert len(resolve_yolo_anchors(config(*options)).MODEL.YOLO.ANCHORS) == 6


def test_boxes_are_measured_in_pixels_of_the_networks_input(config):
    native = resolve_yolo_anchors(config("MODEL.YOLO.ANCHORS", "()"))
    # 320 x 256 px become 640 x 512.
    doubled = resolve_yolo_anchors(config("MODEL.YOLO.ANCHORS", "()", "INPUT.MIN_SIZE_TEST", 512))
    pairs = np.array(native.MODEL.YOLO.ANCHORS), np.array(doubled.MODEL.YOLO.ANCHORS)
    assert shape_iou(2 * pairs[0], pairs[1]).diagonal().min() > 0.95


def test_given_anchors_and_other_detectors_stay(config):
    for cfg in (config(), config(path="configs/quick/cascade_tiny.yaml")):
        before = cfg.clone()
        assert resolve_yolo_anchors(cfg) == before


def test_data_without_objects_are_refused(config, tiny_dataset, tmp_path):
    (tmp_path / "none.json").write_text('{"0.jpg": []}')
    root = tiny_dataset.root
    register_dataset(f"nothing=challenge:{tmp_path}/none.json:{root}/train:{root}/names.txt")
    with pytest.raises(ValueError, match="nothing has none"):
        resolve_yolo_anchors(config("MODEL.YOLO.ANCHORS", "()"), ["nothing"])
