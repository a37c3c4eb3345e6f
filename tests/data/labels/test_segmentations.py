"""Segmentations that a COCO file may contain, and the message for each broken one."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_util

from smallobj import get_cfg
from smallobj.data.datasets import (
    DatasetError,
    check_datasets,
    load_checked,
    register_dataset,
)
from smallobj.data.labels.policy import Policy
from smallobj.data.labels.segmentations import read_segmentation, rle_counts
from smallobj.geometry.masks import compressed

SIZE = (30, 40)  # h, w
POLYGON = [1, 1, 9, 1, 9, 9]
MASK = np.zeros(SIZE, np.uint8)
MASK[5:9, 3:20] = 1
TEXT = mask_util.encode(np.asfortranarray(MASK))["counts"].decode()


def runs(mask):
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    return np.diff([0, *edges, flat.size]).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_counts_of_a_text_are_those_it_was_made_from(seed):
    rng = np.random.default_rng(seed)
    mask = (rng.random((int(rng.integers(1, 200)), int(rng.integers(1, 300)))) > 0.5) & (
        rng.random() < 0.9
    )
    if seed % 2:
        mask[: mask.shape[0] // 2] = True  # long runs
    text = mask_util.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert rle_counts(text) == runs(mask)


def test_a_good_segmentation_is_kept():
    good = {"size": [30, 40], "counts": TEXT}
    assert read_segmentation(good, SIZE) == (good, None)
    listed = {"size": [30, 40], "counts": runs(MASK)}
    assert read_segmentation(listed, SIZE) == (good, None)
    assert read_segmentation([POLYGON, [1, 2, 3, 4]], SIZE) == ([POLYGON], None)
    sticking_out = [[-5, -5, 9, 1, 9, 9]]
    assert read_segmentation(sticking_out, SIZE) == (sticking_out, None)


@pytest.mark.parametrize("value", [None, [], [[]], [[1, 2, 3, 4]]])
def test_no_mask_is_no_error(value):
    assert read_segmentation(value, SIZE) == (None, None)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("polygon", "list of polygons or a run-length"),
        ([[1, 1, 9, 1, 9, 9, 3]], "a polygon must be a list of finite"),
        ([[1, 1, 9, 1, 9, "9"]], "a polygon must be a list of finite"),
        ([[1, 1, 9, 1, 9, float("nan")]], "a polygon must be a list of finite"),
        ([[1, 1, 9, 1, 9, 10**400]], "a polygon must be a list of finite"),
        ([[1, 1, 9, 1, 9, True]], "a polygon must be a list of finite"),
        ([[50, 1, 60, 1, 60, 9]], "reach into its image"),
        ([[1, -9, 9, -9, 9, 0]], "reach into its image"),
        ({"counts": TEXT}, "an object with size"),
        ({"size": [30, 40]}, "an object with size"),
        ({"size": [40, 30], "counts": TEXT}, "the size of its image"),
        ({"size": [30, 40], "counts": TEXT[:-1]}, "add up to its pixels"),
        ({"size": [30, 40], "counts": TEXT + "1"}, "add up to its pixels"),
        ({"size": [30, 40], "counts": "ü" + TEXT}, "add up to its pixels"),
        ({"size": [30, 40], "counts": "o" * 60}, "add up to its pixels"),
        ({"size": [30, 40], "counts": [1200.0]}, "add up to its pixels"),
        ({"size": [30, 40], "counts": [-1, 1201]}, "add up to its pixels"),
        ({"size": [30, 40], "counts": [600, 599]}, "add up to its pixels"),
        ({"size": [30, 40], "counts": [1200]}, "must cover at least one pixel"),
    ],
)
def test_a_broken_segmentation_names_its_rule(value, rule):
    kept, broken = read_segmentation(value, SIZE)
    assert kept is None
    assert rule in str(broken[0])
    assert len(broken[1]) < 200


def test_no_string_reaches_the_compiled_code_unchecked():
    """Any string of run lengths is refused, or decodes to exactly the image's pixels."""
    rng = np.random.default_rng(0)
    accepted = 0
    for _ in range(3000):
        letters = list(TEXT)
        for _ in range(int(rng.integers(1, 3))):
            letters[rng.integers(len(letters))] = chr(int(rng.integers(40, 120)))
        kept, broken = read_segmentation({"size": [30, 40], "counts": "".join(letters)}, SIZE)
        assert (kept is None) == (broken is not None)
        if kept is not None:
            accepted += 1
            assert mask_util.decode(kept).shape == SIZE
    assert accepted > 0


def write_dataset(folder, segmentations, crowd=0):
    (folder / "images").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "images/a.png"), np.zeros((*SIZE, 3), np.uint8))
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "nut"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [i, 2, 5, 6], "iscrowd": crowd}
            | ({} if one is None else {"segmentation": one})
            for i, one in enumerate(segmentations)
        ],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return f"=coco:{folder}/a.json:{folder}/images"


def test_a_broken_mask_names_file_and_entry_and_can_be_dropped(tmp_path, catalog):
    broken = {"size": [30, 41], "counts": TEXT}
    register_dataset("broken_masks" + write_dataset(tmp_path, [[POLYGON], broken]))
    with pytest.raises(DatasetError, match=r"a\.json: annotations\[1\] \(id 1\): .*size of its"):
        load_checked(["broken_masks"])
    (counts,) = load_checked(["broken_masks"], Policy.of(["mask-size=drop"]))
    assert counts.boxes == {"nut": 1}
    assert "box dropped: 1 (mask-size" in counts.changes.lines()[0]
    (counts,) = load_checked(["broken_masks"], Policy.of(["mask-size=fix"]))
    assert counts.boxes == {"nut": 2}


def mask_config(name, mask_format="bitmask", train=True):
    cfg = get_cfg()
    cfg.MODEL.MASK_ON = True
    cfg.INPUT.MASK_FORMAT = mask_format
    cfg.DATASETS.TRAIN = (name,) if train else ()
    cfg.DATASETS.TEST = () if train else (name,)
    return cfg


def test_a_label_without_a_mask_is_refused_before_training(tmp_path, catalog):
    spec = write_dataset(tmp_path, [[POLYGON], None, []])
    register_dataset("no_masks" + spec)
    cfg = mask_config("no_masks")
    with pytest.raises(DatasetError) as raised:
        check_datasets(cfg)
    assert len(raised.value.problems) == 2
    assert "every label needs a segmentation (got none)" in str(raised.value)
    assert "a.png, box [1" in str(raised.value)
    cfg.MODEL.MASK_ON = False
    check_datasets(cfg)
    # Measuring masks needs them, too; testing a mask model by its boxes does not.
    cfg = mask_config("no_masks", train=False)
    check_datasets(cfg)
    cfg.TEST.METRICS = ["coco_masks"]
    with pytest.raises(DatasetError, match="coco_masks"):
        check_datasets(cfg)


def test_crowds_need_no_mask_in_training(tmp_path, catalog):
    register_dataset("crowds" + write_dataset(tmp_path, [None], crowd=1))
    check_datasets(mask_config("crowds"))


def test_run_length_masks_need_the_mask_format_bitmask(tmp_path, catalog):
    rle = compressed({"size": list(SIZE), "counts": runs(MASK)})
    register_dataset("run_lengths" + write_dataset(tmp_path, [[POLYGON], rle]))
    check_datasets(mask_config("run_lengths"))
    with pytest.raises(DatasetError, match=r"MASK_FORMAT polygon.*got a run-length mask"):
        check_datasets(mask_config("run_lengths", "polygon"))
