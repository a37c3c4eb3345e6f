"""Photographs at reduced scale."""

import numpy as np
import pytest

from smallobj import get_cfg
from smallobj.data.build import ReducedImageMapper, WholeImageMapper, build_test_mapper
from smallobj.data.mappers.focus import FocusMapper
from smallobj.data.mappers.registry import build_train_mapper


def config(reduction=2):
    cfg = get_cfg()
    cfg.INPUT.MAPPER = "FocusMapper"
    cfg.MODEL.FOCUS.REDUCTION = reduction
    cfg.INPUT.TILE.SIZE = 64
    cfg.INPUT.TILE.PER_IMAGE = 20
    cfg.INPUT.TILE.COLOR_JITTER = 0.0
    return cfg


@pytest.fixture
def sample(write_sample):
    """A red and a green bar on grey, 301 x 203."""
    return write_sample([[40, 60, 32, 16], [200, 100, 48, 48]], size=(203, 301))


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_crops_show_their_boxes_at_reduced_scale(sample, reduction):
    mapper = build_train_mapper(config(reduction))
    assert isinstance(mapper, FocusMapper)
    crops = mapper(sample)
    seen = 0
    for crop in crops:
        pixels = crop["image"].numpy().transpose(1, 2, 0).astype(int)
        for box, category in zip(
            crop["instances"].gt_boxes.tensor.numpy(),
            crop["instances"].gt_classes.tolist(),
            strict=True,
        ):
            x0, y0, x1, y1 = box.round().astype(int)
            expected = [(0, 0, 230), (0, 200, 0)][category]
            assert (pixels[y0:y1, x0:x1] == expected).all()
            whole = np.array([[32, 16], [48, 48]][category]) / reduction
            assert (box[2:] - box[:2] <= whole).all()
            seen += (box[2:] - box[:2] == whole).all()
    assert seen >= len(crops) / 2


def test_the_dataset_dict_is_not_changed(sample):
    before = [dict(annotation) for annotation in sample["annotations"]]
    build_train_mapper(config())(sample)
    assert sample["annotations"] == before


def test_a_photograph_of_another_size_than_its_label_is_refused(sample):
    sample["height"] = 300
    with pytest.raises(
        ValueError, match="says 301x300, which reduced by 2 is 151x150; got 151x102"
    ):
        build_train_mapper(config())(sample)


def test_masks_are_refused():
    cfg = config()
    cfg.MODEL.MASK_ON = True
    with pytest.raises(ValueError, match="no masks"):
        build_train_mapper(cfg)


def test_test_images_are_reduced_and_keep_their_original_size(sample):
    mapper = build_test_mapper(config())
    assert isinstance(mapper, ReducedImageMapper)
    item = mapper(sample)
    assert item["image"].shape == (3, 102, 151)
    assert (item["height"], item["width"]) == (203, 301)
    assert item["image_id"] == 5
    assert "annotations" not in item


def test_other_models_see_every_pixel(sample):
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TEST = 0
    mapper = build_test_mapper(cfg)
    assert isinstance(mapper, WholeImageMapper)
    assert mapper(sample)["image"].shape == (3, 203, 301)
