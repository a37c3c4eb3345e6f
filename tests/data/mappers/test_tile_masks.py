"""Masks in the tiling mapper: each covers exactly the pixels of its object."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, BoxMode, PolygonMasks
from detectron2.utils.env import seed_all_rng
from pycocotools import mask as mask_util

from smallobj import get_cfg
from smallobj.data.mappers import tile as tile_mapper
from smallobj.data.mappers.registry import build_train_mapper
from smallobj.data.object_mask import segmentation_rle

SIZE = (200, 260)
COLORS = [(0, 0, 230), (0, 200, 0), (230, 0, 0)]
# A rectangle, a triangle, and an L that a tile may cut so that little of it is left.
SHAPES = [
    [[20, 30, 60, 30, 60, 50, 20, 50]],
    [[150, 40, 190, 40, 150, 90]],
    [[100, 120, 106, 120, 106, 154, 140, 154, 140, 160, 100, 160]],
]


def write_sample(folder, kind, shapes=SHAPES):
    """A dataset dict; shape i has class i and its colour exactly where its run lengths are."""
    image = np.full((*SIZE, 3), 110, np.uint8)
    annotations = []
    for index, polygons in enumerate(shapes):
        rle = segmentation_rle(polygons, SIZE)
        image[mask_util.decode(rle).astype(bool)] = COLORS[index]
        x, y, w, h = mask_util.toBbox(rle).tolist()
        annotations.append(
            {
                "bbox": [x, y, w, h],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": index,
                "segmentation": rle if kind == "rle" else polygons,
            }
        )
    path = str(folder / "image.png")
    cv2.imwrite(path, image)
    return {
        "file_name": path,
        "image_id": 5,
        "height": SIZE[0],
        "width": SIZE[1],
        "annotations": annotations,
    }


def mapper(mask_format="bitmask", **keys):
    cfg = get_cfg()
    cfg.MODEL.MASK_ON = True
    cfg.INPUT.MASK_FORMAT = mask_format
    cfg.INPUT.TILE.SIZE = 80
    cfg.INPUT.TILE.COLOR_JITTER = 0.0
    for key, value in keys.items():
        cfg.INPUT.TILE[key] = value
    return build_train_mapper(cfg)


def tile_of(monkeypatch, *tiles):
    monkeypatch.setattr(tile_mapper, "sample_training_tiles", lambda *a, **k: np.array(tiles))


@pytest.fixture(autouse=True)
def seed():
    seed_all_rng(4)


@pytest.mark.parametrize("kind", ["rle", "polygons"])
def test_bitmaps_lie_on_their_objects(tmp_path, kind):
    sample = write_sample(tmp_path, kind)
    tiles = mapper(PER_IMAGE=80, BACKGROUND_RATIO=0.2, MIN_VISIBLE=0.0)(sample)
    seen = set()
    for tile in tiles:
        pixels = tile["image"].numpy().transpose(1, 2, 0)
        found = tile["instances"]
        assert isinstance(found.gt_masks, BitMasks)
        assert found.gt_masks.tensor.shape == (len(found), 80, 80)
        for mask, box, category in zip(
            found.gt_masks.tensor.numpy(),
            found.gt_boxes.tensor.numpy(),
            found.gt_classes.tolist(),
            strict=True,
        ):
            painted = (pixels == COLORS[category]).all(axis=2)
            # Polygons are rasterised anew in each tile: their outline may round differently.
            allowed = 0 if kind == "rle" else 8
            assert (painted != mask).sum() <= allowed
            ys, xs = painted.nonzero()
            tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert np.abs(box - tight).max() <= (0 if kind == "rle" else 1.01)
            seen.add(category)
    assert seen == {0, 1, 2}


def test_polygons_stay_polygons(tmp_path):
    tiles = mapper("polygon", PER_IMAGE=40, BACKGROUND_RATIO=0.2)(write_sample(tmp_path, "poly"))
    count = 0
    for tile in tiles:
        found = tile["instances"]
        assert isinstance(found.gt_masks, PolygonMasks)
        assert len(found.gt_masks) == len(found)
        for polygons, category in zip(
            found.gt_masks.polygons, found.gt_classes.tolist(), strict=True
        ):
            bitmap = BitMasks.from_polygon_masks([polygons], 80, 80).tensor[0].numpy()
            pixels = tile["image"].numpy().transpose(1, 2, 0)
            assert (bitmap != (pixels == COLORS[category]).all(axis=2)).sum() <= 8
            count += 1
    assert count > 20


@pytest.mark.parametrize("kind", ["rle", "polygons"])
def test_the_visible_share_is_measured_on_the_mask(tmp_path, monkeypatch, kind):
    """Of the L's box the first tile shows 78 %, of the L itself 6 x 31 of 444 px²."""
    sample = write_sample(tmp_path, kind, SHAPES[2:])
    tile_of(monkeypatch, [80, 71, 160, 151], [80, 74, 160, 154], [60, 80, 140, 160])
    counts = [len(tile["instances"]) for tile in mapper(MIN_VISIBLE=0.5, FLIP=[])(sample)]
    # 42 %; 46 %, all of the upright arm; everything.
    assert counts == [0, 0, 1]
    counts = [len(tile["instances"]) for tile in mapper(MIN_VISIBLE=0.3, FLIP=[])(sample)]
    assert counts == [1, 1, 1]


@pytest.mark.parametrize("kind", ["rle", "polygons"])
def test_an_object_whose_mask_is_outside_the_tile_is_dropped(tmp_path, monkeypatch, kind):
    """The tile reaches into the L's box, in the corner that the L leaves free."""
    sample = write_sample(tmp_path, kind, SHAPES[2:])
    tile_of(monkeypatch, [107, 70, 187, 150])
    for mask_format in ["bitmask"] + ["polygon"] * (kind == "polygons"):
        (tile,) = mapper(mask_format, MIN_VISIBLE=0.0)(sample)
        found = tile["instances"]
        assert len(found) == len(found.gt_masks) == 0


def test_a_cut_objects_box_fits_what_is_left(tmp_path, monkeypatch):
    sample = write_sample(tmp_path, "rle", SHAPES[2:])
    # Cuts the L's foot off at x = 120, and its top at y = 140.
    tile_of(monkeypatch, [40, 140, 120, 200], [40, 70, 120, 150])
    first, second = mapper(MIN_VISIBLE=0.0, FLIP=[])(sample)
    assert first["instances"].gt_boxes.tensor.tolist() == [[60, 0, 80, 20]]
    # Its box would be 20 wide: the foot lies below this tile.
    assert second["instances"].gt_boxes.tensor.tolist() == [[60, 50, 66, 80]]


def test_background_tiles_have_no_masks(tmp_path):
    for mask_format in ("bitmask", "polygon"):
        for tile in mapper(mask_format, BACKGROUND_RATIO=1.0)(write_sample(tmp_path, "poly")):
            assert len(tile["instances"].gt_masks) == len(tile["instances"])
    empty = {**write_sample(tmp_path, "rle", []), "annotations": []}
    for tile in mapper()(empty):
        assert tile["instances"].gt_masks.tensor.shape == (0, 80, 80)


def test_the_dataset_dict_is_not_changed(tmp_path):
    sample = write_sample(tmp_path, "rle")
    before = repr(sample)
    mapper(PER_IMAGE=10)(sample)
    assert repr(sample) == before


def test_without_masks_nothing_changes(tmp_path):
    sample = write_sample(tmp_path, "rle")
    cfg = get_cfg()
    cfg.INPUT.TILE.SIZE = 80
    for tile in build_train_mapper(cfg)(sample):
        assert not tile["instances"].has("gt_masks")
        assert tile["instances"].gt_boxes.tensor.dtype == torch.float32


def test_missing_and_unfit_masks_are_reported(tmp_path):
    sample = write_sample(tmp_path, "rle")
    with pytest.raises(ValueError, match=r"image\.png.*MASK_FORMAT polygon.*run-length"):
        mapper("polygon")(sample)
    del sample["annotations"][1]["segmentation"]
    with pytest.raises(ValueError, match=r"image\.png.*a mask of every object.*has none"):
        mapper()(sample)
    with pytest.raises(ValueError, match=r"INPUT\.MASK_FORMAT.*'bitmap'"):
        mapper("bitmap")
