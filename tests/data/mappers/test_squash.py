"""Whole photographs squashed to one size, in training and at test time."""

import os

import numpy as np
import pytest
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances

from smallobj import get_cfg
from smallobj.data.build import WholeImageMapper, resize_at_test
from smallobj.data.mappers import squash as squash_mapper
from smallobj.data.mappers.registry import build_train_mapper
from smallobj.data.mappers.squash import SquashMapper
from smallobj.inference.detector import wrap_for_test


@pytest.fixture
def config(tmp_path):
    def make(size=(50, 100), flips=(), gigabytes=1.0):
        cfg = get_cfg()
        cfg.INPUT.MAPPER = "SquashMapper"
        cfg.INPUT.SQUASH = size
        cfg.INPUT.MIN_SIZE_TEST = 0
        cfg.INPUT.TILE.FLIP = list(flips)
        cfg.INPUT.TILE.COLOR_JITTER = 0.0
        cfg.INPUT.SQUASH_CACHE.MAX_GB = gigabytes
        cfg.OUTPUT_DIR = str(tmp_path / "output")
        return cfg

    return make


@pytest.fixture
def sample(write_sample):
    """A red and a green bar on grey, 200 x 300 (w, h)."""
    return write_sample([[40, 60, 32, 48], [100, 180, 60, 90]], size=(300, 200))


def test_boxes_are_squashed_with_the_pixels(config, sample):
    mapper = build_train_mapper(config())
    assert isinstance(mapper, SquashMapper)
    (item,) = mapper(sample)
    assert item["image"].shape == (3, 50, 100)
    assert (item["height"], item["width"]) == (50, 100)
    # 200 -> 100 along x, 300 -> 50 along y.
    expected = torch.tensor([[20.0, 10, 36, 18], [50, 30, 80, 45]])
    torch.testing.assert_close(item["instances"].gt_boxes.tensor, expected)
    assert item["instances"].gt_classes.tolist() == [0, 1]
    assert item["image"][:, 14, 28].tolist() == [0, 0, 230]
    assert item["image"][:, 37, 65].tolist() == [0, 200, 0]


def test_an_image_without_objects_is_squashed_too(config, sample):
    sample["annotations"] = []
    (item,) = build_train_mapper(config())(sample)
    assert item["image"].shape == (3, 50, 100)
    assert len(item["instances"]) == 0


def test_flips_also_flip_the_boxes(config, sample):
    mapper = build_train_mapper(config(flips=["horizontal"]))
    np.random.seed(0)  # noqa: NPY002
    lefts = {tuple(mapper(sample)[0]["instances"].gt_boxes.tensor[0].tolist()) for _ in range(12)}
    assert lefts == {(20.0, 10.0, 36.0, 18.0), (64.0, 10.0, 80.0, 18.0)}


def test_an_image_is_decoded_once(config, sample, monkeypatch):
    cfg = config()
    first = build_train_mapper(cfg)(sample)[0]
    assert len(os.listdir(os.path.join(cfg.OUTPUT_DIR, "squashed"))) == 1
    monkeypatch.setattr(squash_mapper, "read_image", None)
    again = build_train_mapper(cfg)(sample)[0]
    assert torch.equal(again["image"], first["image"])
    assert torch.equal(again["instances"].gt_boxes.tensor, first["instances"].gt_boxes.tensor)


def test_another_size_is_squashed_again(config, sample):
    build_train_mapper(config())(sample)
    (item,) = build_train_mapper(config(size=(30, 20)))(sample)
    assert item["image"].shape == (3, 30, 20)


def test_training_and_test_see_the_same_pixels(config, sample):
    cfg = config()
    (item,) = build_train_mapper(cfg)(sample)
    tested = WholeImageMapper(cfg)(sample)
    assert torch.equal(tested["image"], item["image"])
    assert (tested["height"], tested["width"]) == (300, 200)


def test_boxes_are_returned_in_the_frame_of_the_image(config, sample):
    cfg = config()
    tested = WholeImageMapper(cfg)(sample)
    (item,) = build_train_mapper(cfg)(sample)
    found = Instances(tuple(tested["image"].shape[-2:]))
    found.pred_boxes = Boxes(item["instances"].gt_boxes.tensor.clone())
    back = detector_postprocess(found, tested["height"], tested["width"])
    expected = torch.tensor([[40.0, 60, 72, 108], [100, 180, 160, 270]])
    torch.testing.assert_close(back.pred_boxes.tensor, expected)


def test_the_dataset_dict_is_not_changed(config, sample):
    before = [dict(annotation) for annotation in sample["annotations"]]
    build_train_mapper(config())(sample)
    assert sample["annotations"] == before


def test_a_photograph_of_another_size_than_its_label_is_refused(config, sample):
    sample["height"] = 200
    with pytest.raises(Exception, match="Mismatched image shape"):
        build_train_mapper(config())(sample)


@pytest.mark.parametrize("size", [(0, 300), (-1, 300), (300,)])
def test_a_size_with_one_zero_is_refused(config, size):
    with pytest.raises(ValueError, match=r"INPUT.SQUASH is \(height, width\), both positive"):
        resize_at_test(config(size=size))


def test_a_mapper_without_a_size_is_refused(config):
    with pytest.raises(ValueError, match=r"set INPUT\.SQUASH"):
        build_train_mapper(config(size=(0, 0)))


def test_two_ways_to_resize_are_refused(config):
    cfg = config()
    cfg.INPUT.MIN_SIZE_TEST = 800
    with pytest.raises(ValueError, match="both resize at test time"):
        resize_at_test(cfg)


def test_masks_are_refused(config):
    cfg = config()
    cfg.MODEL.MASK_ON = True
    with pytest.raises(ValueError, match="no masks"):
        build_train_mapper(cfg)


def test_a_focus_network_needs_every_pixel(config):
    cfg = config()
    cfg.TEST.FOCUS.ENABLED = True
    with pytest.raises(ValueError, match=r"needs INPUT.SQUASH \(0, 0\); got \(50, 100\)"):
        wrap_for_test(cfg, torch.nn.Identity())
