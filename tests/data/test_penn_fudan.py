"""Penn-Fudan's layout to COCO JSON, on synthetic images of coloured blobs; and training on it."""

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from pycocotools import mask as mask_util

import smallobj
from smallobj.data.datasets import DatasetError, load_checked, register_dataset
from smallobj.data.datasets.penn_fudan import coco_content, list_names, split_names

ROOT = Path(smallobj.__file__).parent.parent


def draw_blobs(rng, size=(96, 128), count=3):
    """(H, W, 3) uint8 and (H, W) uint8 of red ellipses that may hide parts of one another."""
    image = np.full((*size, 3), 120, np.uint8) + rng.integers(0, 20, (*size, 1), dtype=np.uint8)
    mask = np.zeros(size, np.uint8)
    ys, xs = np.mgrid[: size[0], : size[1]]
    for number in range(count):
        y, x = rng.integers(20, size[0] - 20), rng.integers(20, size[1] - 20)
        ry, rx = rng.integers(8, 20, 2)
        inside = ((ys - y) / ry) ** 2 + ((xs - x) / rx) ** 2 <= 1
        image[inside] = (30, 40, 180 + 20 * number)
        mask[inside] = number + 1
    return image, mask


@pytest.fixture
def folder(tmp_path):
    """Eight pictures with one to four blobs."""
    rng = np.random.default_rng(3)
    (tmp_path / "PNGImages").mkdir()
    (tmp_path / "PedMasks").mkdir()
    for number in range(8):
        image, mask = draw_blobs(rng, count=1 + number % 4)
        cv2.imwrite(str(tmp_path / f"PNGImages/Blobs{number:05d}.png"), image)
        PIL.Image.fromarray(mask).save(tmp_path / f"PedMasks/Blobs{number:05d}_mask.png")
    return tmp_path


def mask_of(folder, name):
    return np.array(PIL.Image.open(folder / f"PedMasks/{name}_mask.png"))


def test_masks_and_boxes_are_exact(folder):
    content = coco_content(str(folder), list_names(str(folder)))
    assert [image["file_name"] for image in content["images"]][:2] == [
        "Blobs00000.png",
        "Blobs00001.png",
    ]
    by_image = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    assert len({a["id"] for a in content["annotations"]}) == len(content["annotations"])
    for image in content["images"]:
        mask = mask_of(folder, image["file_name"].removesuffix(".png"))
        assert (image["height"], image["width"]) == mask.shape
        values = [value for value in np.unique(mask) if value]
        for value, annotation in zip(values, by_image[image["id"]], strict=True):
            assert np.array_equal(mask_util.decode(annotation["segmentation"]), mask == value)
            ys, xs = np.nonzero(mask == value)
            x, y, w, h = annotation["bbox"]
            assert (x, y, x + w, y + h) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            assert annotation["area"] == len(ys)


@pytest.mark.parametrize("kind", ["P", "I;16"])
def test_palettes_and_16_bits_hold_the_same(folder, kind):
    name = list_names(str(folder))[3]
    expected = coco_content(str(folder), [name])
    mask = mask_of(folder, name)
    path = folder / f"PedMasks/{name}_mask.png"
    if kind == "P":
        picture = PIL.Image.fromarray(mask).convert("L")
        picture.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
    else:
        picture = PIL.Image.fromarray(mask.astype(np.uint16))
    picture.save(path)
    assert PIL.Image.open(path).mode == kind
    assert coco_content(str(folder), [name]) == expected


def test_the_split_is_the_tutorials_for_a_seed():
    names = [str(i) for i in range(170)]
    train, test = split_names(names, 50, 1)
    torch.manual_seed(1)
    order = torch.randperm(170).tolist()
    assert [int(name) for name in test] == order[-50:]
    assert [int(name) for name in train] == order[:-50]
    assert split_names(names, 50, 1) == (train, test)
    assert split_names(names, 50, 2)[1] != test
    for count in (0, 170, 171, -1):
        with pytest.raises(ValueError, match=rf"both sides of the split; got {count} of 170"):
            split_names(names, count, 1)


def problems_of(call):
    with pytest.raises(DatasetError) as raised:
        call()
    return [str(problem) for problem in raised.value.problems]


def test_missing_folders_and_partners_are_reported(folder, tmp_path):
    (one, two) = problems_of(lambda: list_names(str(tmp_path / "nowhere")))
    assert "PNGImages: whole folder: the folder must exist" in one
    assert "PedMasks" in two
    os.remove(folder / "PNGImages/Blobs00002.png")
    os.remove(folder / "PedMasks/Blobs00005_mask.png")
    (one, two) = problems_of(lambda: list_names(str(folder)))
    assert "Blobs00002_mask.png: whole file: each PNGImages" in one
    assert one.endswith("(got none in PNGImages)")
    assert "Blobs00005.png" in two
    assert two.endswith("(got none in PedMasks)")
    for path in folder.glob("P*/*.png"):
        path.unlink()
    assert "at least one image" in problems_of(lambda: list_names(str(folder)))[0]


def test_all_broken_files_are_reported_at_once(folder):
    names = list_names(str(folder))
    paths = [folder / f"PedMasks/{name}_mask.png" for name in names]
    mask = mask_of(folder, names[1])
    PIL.Image.fromarray(np.stack([mask] * 3, 2)).save(paths[0])
    PIL.Image.fromarray(mask[:-1]).save(paths[1])
    PIL.Image.fromarray(mask * 0).save(paths[2])
    paths[3].write_bytes(b"no picture")
    paths[4].write_bytes(paths[4].read_bytes()[:60])
    (folder / f"PNGImages/{names[5]}.png").write_bytes(b"")
    found = problems_of(lambda: coco_content(str(folder), names))
    assert len(found) == 6
    for text, name, rule in zip(
        found,
        names,
        [
            "one channel.*mode RGB",
            "size of its image.*128x95; the image has 128x96",
            "at least one instance",
            "readable image",
            "readable image",
            "readable image",
        ],
        strict=False,
    ):
        assert name in text
        assert re.search(rule, text), text


def test_the_command_writes_what_the_config_reads(load_script, folder, catalog, capsys):
    command = load_script("datasets/prepare_penn_fudan.py").main
    assert command(["--root", str(folder), "--test", "3"]) == 0
    assert "test.json: 3 images" in capsys.readouterr().out
    for split, count in (("train", 5), ("test", 3)):
        name = f"blobs_{split}"
        register_dataset(f"{name}=coco:{folder}/{split}.json:{folder}/PNGImages")
        (counts,) = load_checked([name])
        assert counts.images == count
        assert list(counts.boxes) == ["person"]
        assert counts.boxes["person"] >= count
    files = [
        {
            image["file_name"]
            for image in json.loads((folder / f"{split}.json").read_text())["images"]
        }
        for split in ("train", "test")
    ]
    assert not files[0] & files[1]
    assert len(files[0] | files[1]) == 8
    first = (folder / "test.json").read_bytes()
    assert command(["--root", str(folder), "--output", str(folder / "again"), "--test", "3"]) == 0
    assert (folder / "again" / "test.json").read_bytes() == first
    assert command(["--root", str(folder), "--test", "50"]) == 2
    assert "both sides" in capsys.readouterr().err
    assert command(["--root", str(folder / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


SMALL = [
    *("MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"),
    *("MODEL.FPN.OUT_CHANNELS", "32", "MODEL.ROI_BOX_HEAD.NUM_CONV", "1"),
    *("MODEL.ROI_BOX_HEAD.CONV_DIM", "32", "MODEL.ROI_BOX_HEAD.FC_DIM", "64"),
    *("MODEL.ROI_MASK_HEAD.NUM_CONV", "1", "MODEL.ROI_MASK_HEAD.CONV_DIM", "32"),
    *("MODEL.RPN.POST_NMS_TOPK_TRAIN", "50", "MODEL.RPN.POST_NMS_TOPK_TEST", "20"),
    *("INPUT.MIN_SIZE_TRAIN", "(96,)", "INPUT.MIN_SIZE_TEST", "96"),
    *("DATALOADER.NUM_WORKERS", "0", "TEST.VIS_IMAGES", "0"),
]


def test_prepare_train_and_evaluate(folder, run_script, monkeypatch):
    """The shipped recipe with a smaller model and fewer steps."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(folder.parent))
    place = folder.rename(folder.parent / "PennFudanPed")
    assert run_script("datasets/prepare_penn_fudan.py", "--test", "3")[0] == 0
    output, again = place.parent / "output", place.parent / "again"
    options = [*SMALL, "SOLVER.MAX_ITER", "4", "SOLVER.STEPS", "(2,)", "OUTPUT_DIR", output]
    options += ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]
    config = ["--config-file", "configs/mask_rcnn_penn_fudan.yaml", "--num-gpus", "0"]
    assert run_script("train_net.py", *config, *options)[0] == 0
    assert "copypaste: Task: segm" in (output / "log.txt").read_text()
    trained = {}
    for line in (output / "metrics.json").read_text().splitlines():
        trained.update(json.loads(line))
    assert trained["loss_mask"] > 0
    written = output / "inference" / "penn_fudan_test" / "coco_masks_results.json"
    assert all("segmentation" in row for row in json.loads(written.read_text()))
    config = ["--config-file", output / "config.yaml", "--num-gpus", "0", "--eval-only"]
    options = ["MODEL.WEIGHTS", output / "model_final.pth", "OUTPUT_DIR", again]
    assert run_script("train_net.py", *config, *options)[0] == 0
    lines = (again / "eval-model_final" / "log.txt").read_text().splitlines()
    rows = [line.rsplit("copypaste: ", 1)[1] for line in lines if "copypaste:" in line]
    tasks = [row.removeprefix("Task: ") for row in rows if row.startswith("Task: ")]
    assert tasks == ["bbox", "segm"]
    values = [row.split(",") for row in rows if "," in row and not row.startswith("AP")]
    assert float(values[1][0]) == pytest.approx(trained["segm/AP"], abs=1e-3)
    assert float(values[1][1]) == pytest.approx(trained["segm/AP50"], abs=1e-3)
