"""The tiling mapper: right pixels, right boxes, right shares."""

import cv2
import numpy as np
import pytest
from detectron2.data.dataset_mapper import DatasetMapper
from detectron2.utils.env import seed_all_rng

from smallobj import get_cfg
from smallobj.data.mappers import tile as tile_mapper
from smallobj.data.mappers.registry import build_train_mapper
from smallobj.data.mappers.tile import jitter_color

GREY = 110
COLORS = [(0, 0, 230), (0, 200, 0), (230, 0, 0), (220, 220, 0)]


def mapper(**keys):
    cfg = get_cfg()
    cfg.INPUT.TILE.SIZE = 96
    cfg.INPUT.TILE.COLOR_JITTER = 0.0
    for key, value in keys.items():
        cfg.INPUT.TILE[key] = value
    return build_train_mapper(cfg)


SQUARES = [(20, 30, 30, 20), (150, 40, 20, 40), (300, 200, 40, 40), (60, 220, 25, 25)]


@pytest.fixture(autouse=True)
def seed():
    seed_all_rng(3)


@pytest.mark.parametrize("flip", [[], ["horizontal"], ["vertical"], ["horizontal", "vertical"]])
def test_boxes_lie_on_their_objects(write_sample, flip):
    sample = write_sample(SQUARES)
    tiles = mapper(FLIP=flip, PER_IMAGE=60, BACKGROUND_RATIO=0.3)(sample)
    assert len(tiles) == 60
    seen = set()
    for tile in tiles:
        pixels = tile["image"].numpy().transpose(1, 2, 0)
        assert pixels.shape == (tile["height"], tile["width"], 3) == (96, 96, 3)
        assert tile["instances"].image_size == (96, 96)
        assert (tile["file_name"], tile["image_id"]) == (sample["file_name"], 5)
        painted = np.zeros((96, 96), bool)
        boxes = tile["instances"].gt_boxes.tensor.numpy()
        for box, category in zip(boxes, tile["instances"].gt_classes.tolist(), strict=True):
            x0, y0, x1, y1 = box.astype(int)
            assert (pixels[y0:y1, x0:x1] == COLORS[category]).all()
            painted[y0:y1, x0:x1] = True
            seen.add(category)
        # What is not in a box is grey, except objects too little visible to be labelled.
        x0, y0, x1, y1 = tile["tile"]
        labelled_away = sum(
            0
            < max(min(x + w, x1) - max(x, x0), 0) * max(min(y + h, y1) - max(y, y0), 0)
            < w * h / 2
            for x, y, w, h in SQUARES
        )
        if not labelled_away:
            assert (pixels[~painted] == GREY).all()
    assert seen == {0, 1, 2, 3}


def test_flips_happen_half_of_the_time(write_sample):
    sample = write_sample([(150, 100, 20, 20)])
    image = cv2.imread(sample["file_name"])
    image[100:110, 150:160] = 0  # its top left quarter
    cv2.imwrite(sample["file_name"], image)
    tiles = mapper(PER_IMAGE=400, BACKGROUND_RATIO=0.0)(sample)
    quarters = {(False, False): 0, (False, True): 0, (True, False): 0, (True, True): 0}
    for tile in tiles:
        ys, xs = np.nonzero((tile["image"].numpy() == 0).all(axis=0))
        centre = tile["instances"].gt_boxes.get_centers()[0].numpy()
        quarters[bool(ys.mean() > centre[1]), bool(xs.mean() > centre[0])] += 1
    assert all(60 < count < 140 for count in quarters.values()), quarters


def tile_of(monkeypatch, *tiles):
    """Makes the mapper cut exactly these tiles."""
    monkeypatch.setattr(tile_mapper, "sample_training_tiles", lambda *a, **k: np.array(tiles))


def test_a_cut_object_keeps_its_label_from_the_threshold_on(write_sample, monkeypatch):
    sample = write_sample([(100, 100, 20, 20)])
    # Tiles that show 9, 10, 11 and all 20 columns of the object.
    tile_of(monkeypatch, *([x1 - 96, 60, x1, 156] for x1 in (109, 110, 111, 150)))
    tiles = mapper(MIN_VISIBLE=0.5, FLIP=[])(sample)
    assert [len(tile["instances"]) for tile in tiles] == [0, 1, 1, 1]
    boxes = [tile["instances"].gt_boxes.tensor.tolist() for tile in tiles[1:]]
    assert boxes == [[[86, 40, 96, 60]], [[85, 40, 96, 60]], [[46, 40, 66, 60]]]


@pytest.mark.parametrize(("share", "kept"), [(0.0, [0, 1, 1]), (1.0, [0, 0, 1])])
def test_extreme_thresholds(write_sample, monkeypatch, share, kept):
    sample = write_sample([(100, 100, 20, 20)])
    tile_of(monkeypatch, *([x1 - 96, 60, x1, 156] for x1 in (100, 101, 120)))
    tiles = mapper(MIN_VISIBLE=share, FLIP=[])(sample)
    assert [len(tile["instances"]) for tile in tiles] == kept


def test_the_dataset_dict_is_not_changed(write_sample):
    sample = write_sample(SQUARES)
    before = repr(sample)
    mapper(PER_IMAGE=10)(sample)
    assert repr(sample) == before


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_share_of_background_tiles(write_sample, ratio):
    sample = write_sample([(20, 30, 30, 20)])
    tiles = mapper(PER_IMAGE=600, BACKGROUND_RATIO=ratio)(sample)
    empty = np.mean([len(tile["instances"]) == 0 for tile in tiles])
    assert empty == pytest.approx(ratio, abs=0.06 if 0 < ratio < 1 else 0)


def test_one_decode_for_all_tiles_of_an_image(write_sample, monkeypatch):
    calls = []

    def counted(path, conversion):
        calls.append(path)
        return cv2.imread(path)

    monkeypatch.setattr(tile_mapper, "read_image", counted)
    sample = write_sample(SQUARES)
    assert len(mapper(PER_IMAGE=13)(sample)) == 13
    assert calls == [sample["file_name"]]


def test_tiles_share_no_memory(write_sample):
    tiles = mapper(PER_IMAGE=4, FLIP=[])(write_sample(SQUARES))
    for tile in tiles:
        tile["image"].fill_(0)
    again = mapper(PER_IMAGE=4, FLIP=[])(write_sample(SQUARES))
    tiles[0]["image"].fill_(255)
    assert tiles[1]["image"].max() == 0
    assert all(tile["image"].max() > 0 for tile in again)


def test_crowds_are_neither_labels_nor_targets(write_sample):
    sample = write_sample([(20, 30, 30, 20), (300, 200, 40, 40)], crowd=[1])
    tiles = mapper(PER_IMAGE=80, BACKGROUND_RATIO=0.0)(sample)
    assert {c for tile in tiles for c in tile["instances"].gt_classes.tolist()} == {0}
    assert all(len(tile["instances"]) == 1 for tile in tiles)


@pytest.mark.parametrize("annotations", [[], None])
def test_an_image_without_objects(write_sample, annotations):
    sample = write_sample([])
    if annotations is None:
        del sample["annotations"]
    tiles = mapper(BACKGROUND_RATIO=0.0)(sample)
    assert len(tiles) == 8
    for tile in tiles:
        assert tile["image"].shape == (3, 96, 96)
        assert tile["instances"].gt_boxes.tensor.shape == (0, 4)
        assert tile["instances"].gt_classes.shape == (0,)


@pytest.mark.parametrize("size", [(50, 60), (50, 400), (300, 60)])
def test_an_image_smaller_than_the_tile(write_sample, size):
    sample = write_sample([(10, 12, 20, 20)], size=size)
    for tile in mapper(BACKGROUND_RATIO=0.0)(sample):
        assert tile["image"].shape == (3, min(96, size[0]), min(96, size[1]))
        assert tile["instances"].image_size == (tile["height"], tile["width"])
        assert len(tile["instances"]) == 1
        assert tile["instances"].gt_boxes.area().item() == 400


def test_colour_order_of_the_model(write_sample):
    sample = write_sample([(20, 30, 30, 20)])
    cfg = get_cfg()
    cfg.INPUT.TILE.COLOR_JITTER = 0.0
    for order, red in (("BGR", [0, 0, 230]), ("RGB", [230, 0, 0])):
        cfg.INPUT.FORMAT = order
        cfg.INPUT.TILE.BACKGROUND_RATIO = 0.0
        tile = build_train_mapper(cfg)(sample)[0]
        x, y = (int(v) for v in tile["instances"].gt_boxes.get_centers()[0])
        assert tile["image"][:, y, x].tolist() == red


def test_the_seed_determines_the_tiles(write_sample):
    sample = write_sample(SQUARES)

    def cut(seed):
        seed_all_rng(seed)
        return mapper(COLOR_JITTER=0.3)(sample)

    first, again, other = cut(1), cut(1), cut(2)
    assert [t["tile"] for t in first] == [t["tile"] for t in again]
    assert all((a["image"] == b["image"]).all() for a, b in zip(first, again, strict=True))
    assert [t["tile"] for t in first] != [t["tile"] for t in other]


def test_an_image_of_another_size_than_labelled(write_sample):
    sample = write_sample(SQUARES)
    sample["width"] += 1
    with pytest.raises(Exception, match=r"image\.png"):
        mapper()(sample)


def test_mappers_by_name():
    cfg = get_cfg()
    cfg.INPUT.MAPPER = "DatasetMapper"
    assert isinstance(build_train_mapper(cfg), DatasetMapper)
    cfg.INPUT.MAPPER = "Tiles"
    with pytest.raises(
        ValueError,
        match=r"one of \['DatasetMapper', 'FocusMapper', 'SquashMapper', 'TileMapper'.*got 'Tiles'",
    ):
        build_train_mapper(cfg)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SIZE", 0, "SIZE"),
        ("PER_IMAGE", 0, "PER_IMAGE"),
        ("BACKGROUND_RATIO", 1.5, "BACKGROUND_RATIO.*1.5"),
        ("CENTER_JITTER", -0.1, "CENTER_JITTER.*-0.1"),
        ("MIN_VISIBLE", 2.0, "MIN_VISIBLE.*2.0"),
        ("COLOR_JITTER", 1.1, "COLOR_JITTER.*1.1"),
        ("FLIP", ["sideways"], "FLIP.*sideways"),
    ],
)
def test_values_out_of_range_are_refused(key, value, message):
    with pytest.raises(ValueError, match=message):
        mapper(**{key: value})


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def test_no_jitter_returns_the_image():
    image = noise()
    assert jitter_color(np.random.default_rng(0), image, 0.0) is image


@pytest.mark.parametrize("amount", [0.1, 0.5, 1.0])
def test_jitter_is_the_plain_formula(amount):
    for seed in range(5):
        image = noise(seed)
        got = jitter_color(np.random.default_rng(seed), image, amount)
        factors = np.random.default_rng(seed).uniform(1 - amount, 1 + amount, size=3)
        brightness, contrast, saturation = factors
        pixels = image.astype(np.float64)
        luma = pixels @ [0.114, 0.587, 0.299]
        pixels = luma[..., None] + saturation * (pixels - luma[..., None])
        middle = image[..., 1].mean()
        pixels = brightness * (middle + contrast * (pixels - middle))
        expected = np.clip(pixels, 0, 255)
        # Rounding, and OpenCV's fixed-point coefficients.
        assert np.abs(got - expected).max() < 1
        assert got.dtype == np.uint8


def test_jitter_keeps_grey_pixels_grey_and_within_bounds():
    flat = np.full((8, 8, 3), 100, np.uint8)
    for seed in range(50):
        got = jitter_color(np.random.default_rng(seed), flat, 0.2)
        # Contrast and saturation have nothing to change.
        assert np.ptp(got) <= 1
        assert 79 <= got.min() <= got.max() <= 121
