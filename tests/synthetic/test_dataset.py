"""Files of the synthetic dataset: layout, labels, seeds, processes, cut-outs, the command."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import MetadataCatalog
from pycocotools import mask as mask_util

from smallobj.data.classes import CHALLENGE_CLASSES_EN
from smallobj.data.datasets.register import load_records, register_dataset
from smallobj.synthetic import DatasetPlan, SceneConfig, write_dataset
from smallobj.synthetic.sources import (
    ChosenObjects,
    CutOutObjects,
    DrawnObjects,
    PhotographGrounds,
)

ROOT = Path(__file__).resolve().parents[2]
SMALL = SceneConfig(height=240, width=320, max_size=60)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _plan(output: Path, **changes) -> DatasetPlan:
    values = {"output": output, "counts": {"train": 4, "val": 2, "test": 1}, "scene": SMALL}
    return DatasetPlan(**{**values, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "smallobj"
    write_dataset(_plan(folder), progress=False)
    return folder


def _separate(a, b) -> bool:
    return a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1] or a[2] + a[4] <= b[2] or b[2] + b[4] <= a[2]


def test_layout_and_labels_obey_the_challenge(made):
    assert json.loads((made / "classes.json").read_text()) == list(CHALLENGE_CLASSES_EN)
    for split, count in (("train", 4), ("val", 2), ("test", 1)):
        labels = json.loads((made / split / f"{split}_label").read_text())
        files = {p.name for p in (made / split / f"{split}_data").iterdir()}
        assert set(labels) == files == {f"{i}.jpg" for i in range(count)}
        for name, boxes in labels.items():
            image = cv2.imread(str(made / split / f"{split}_data" / name))
            assert image.shape == (240, 320, 3)
            assert 1 <= len(boxes) <= 5
            for cls, x, y, w, h in boxes:
                assert isinstance(cls, int)
                assert 0 <= cls < 30
                assert all(isinstance(v, float) for v in (x, y, w, h))
                assert x >= 0
                assert y >= 0
                assert x + w <= 320
                assert y + h <= 240
                assert 10 <= max(w, h) <= 60
                assert min(w, h) >= 2
            for i, a in enumerate(boxes):
                assert all(_separate(a, b) for b in boxes[i + 1 :])
    assert not list(made.rglob("*.part"))


def test_two_processes_write_the_same_bytes(made, tmp_path):
    write_dataset(_plan(tmp_path / "two", workers=2), progress=False)
    assert _hashes(tmp_path / "two") == _hashes(made)


def test_masks_option_adds_coco_files_and_changes_nothing_else(made, tmp_path, catalog):
    folder = tmp_path / "masks"
    write_dataset(_plan(folder, masks=True, workers=2), progress=False)
    assert _hashes(made).items() <= _hashes(folder).items()
    assert not list(made.rglob("*_coco.json"))
    for split, count in (("train", 4), ("val", 2), ("test", 1)):
        place = folder / split
        register_dataset(f"{split}=coco:{place}/{split}_coco.json:{place}/{split}_data")
        records = load_records(split)
        assert tuple(MetadataCatalog.get(split).thing_classes) == CHALLENGE_CLASSES_EN
        assert len(records) == count
        labels = json.loads((folder / split / f"{split}_label").read_text())
        for record in records:
            boxes = labels[Path(record["file_name"]).name]
            assert [(a["category_id"], *a["bbox"]) for a in record["annotations"]] == [
                tuple(box) for box in boxes
            ]
            for annotation, box in zip(record["annotations"], boxes, strict=True):
                assert mask_util.toBbox(annotation["segmentation"]).tolist() == box[1:]


def test_a_mask_covers_its_object_and_nothing_else(tmp_path):
    _make_sprites(tmp_path / "sprites")
    _make_photographs(tmp_path / "photographs")
    sources = {"sprites": tmp_path / "sprites", "backgrounds": tmp_path / "photographs"}
    plan = _plan(tmp_path / "out", counts={"train": 4}, masks=True, **sources)
    write_dataset(plan, progress=False)
    content = json.loads((tmp_path / "out/train/train_coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    checked = 0
    for annotation in content["annotations"]:
        path = tmp_path / "out/train/train_data" / names[annotation["image_id"]]
        blue, green, red = np.moveaxis(cv2.imread(str(path)).astype(int), 2, 0)
        mask = mask_util.decode(annotation["segmentation"])
        assert annotation["area"] == mask.sum()
        if min(annotation["bbox"][2:]) < 16:
            continue
        # Sprites are red and blue, the ground is green; its edges are blurred.
        is_sprite = np.maximum(blue, red) > green
        assert is_sprite[cv2.erode(mask, np.ones((7, 7))) > 0].mean() > 0.95
        ring = cv2.dilate(mask, np.ones((11, 11))) > cv2.dilate(mask, np.ones((7, 7)))
        assert is_sprite[ring].mean() < 0.05
        checked += 1
    assert checked >= 4


def test_a_photograph_depends_on_seed_and_split_not_on_the_count(made, tmp_path):
    write_dataset(_plan(tmp_path / "fewer", counts={"train": 2}), progress=False)
    write_dataset(_plan(tmp_path / "other", counts={"train": 1}, seed=1), progress=False)
    first = _hashes(made)
    assert _hashes(tmp_path / "fewer")["train/train_data/1.jpg"] == first["train/train_data/1.jpg"]
    assert _hashes(tmp_path / "other")["train/train_data/0.jpg"] != first["train/train_data/0.jpg"]
    assert first["val/val_data/0.jpg"] != first["train/train_data/0.jpg"]


def test_existing_output_is_replaced_only_with_overwrite(made, tmp_path):
    folder = tmp_path / "kept"
    write_dataset(_plan(folder, counts={"train": 2}), progress=False)
    before = _hashes(folder)
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_dataset(_plan(folder, counts={"train": 1}, seed=9), progress=False)
    assert _hashes(folder) == before
    write_dataset(_plan(folder, counts={"train": 1}, seed=9), overwrite=True, progress=False)
    assert sorted(p.name for p in (folder / "train/train_data").iterdir()) == ["0.jpg"]
    assert list(json.loads((folder / "train/train_label").read_text())) == ["0.jpg"]


def test_an_interrupted_run_leaves_no_label_file(tmp_path, monkeypatch):
    from smallobj.synthetic import dataset

    original, calls = dataset.render_scene, []

    def fails_at_third(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(dataset, "render_scene", fails_at_third)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(_plan(tmp_path / "cut"), progress=False)
    assert not (tmp_path / "cut/train/train_label").exists()
    assert not (tmp_path / "cut/classes.json").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": 0}, "workers must be at least 1; got 0"),
        ({"counts": {"train": -1}}, "-1"),
        ({"counts": {"train": 0}}, "at least one image"),
        ({"counts": {"dev": 1}}, "dev"),
        ({"quality": 0}, r"quality must lie in \[1, 100\]; got 0"),
        ({"seed": -1}, "got -1"),
    ],
)
def test_impossible_plans_state_rule_and_value(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        _plan(tmp_path, **changes)


def _make_sprites(folder: Path) -> None:
    for name, colour in (("washer", (30, 30, 220)), ("bolt", (220, 30, 30))):
        (folder / name).mkdir(parents=True)
        sprite = np.zeros((80, 120, 4), np.uint8)
        cv2.ellipse(sprite, (60, 40), (55, 30), 0, 0, 360, (*colour, 255), -1)
        cv2.imwrite(str(folder / name / "a.png"), sprite)


def _make_photographs(folder: Path) -> None:
    folder.mkdir()
    cv2.imwrite(str(folder / "green.png"), np.full((500, 400, 3), (60, 160, 60), np.uint8))


def test_cut_outs_on_photographs(tmp_path):
    _make_sprites(tmp_path / "sprites")
    _make_photographs(tmp_path / "photographs")
    plan = _plan(
        tmp_path / "out",
        counts={"train": 6},
        sprites=tmp_path / "sprites",
        backgrounds=tmp_path / "photographs",
    )
    write_dataset(plan, progress=False)
    assert json.loads((tmp_path / "out/classes.json").read_text()) == ["bolt", "washer"]
    labels = json.loads((tmp_path / "out/train/train_label").read_text())
    seen = set()
    for name, boxes in labels.items():
        image = cv2.imread(str(tmp_path / "out/train/train_data" / name)).astype(int)
        for cls, x, y, w, h in boxes:
            seen.add(cls)
            blue, _, red = image[int(y + h / 2), int(x + w / 2)]
            assert (blue > red) == (cls == 0)
    assert seen == {0, 1}


def test_ids_of_chosen_classes_follow_the_order_given(tmp_path):
    names = ("walnut", "battery")
    write_dataset(_plan(tmp_path / "out", classes=names), progress=False)
    assert json.loads((tmp_path / "out" / "classes.json").read_text()) == list(names)
    labels = json.loads((tmp_path / "out" / "train" / "train_label").read_text())
    assert {box[0] for boxes in labels.values() for box in boxes} == {0, 1}


def test_chosen_classes_have_the_drawings_of_their_names():
    chosen, light = ChosenObjects(DrawnObjects(), ["walnut", "battery"]), (-0.5, -0.6, 0.8)
    for cls, name in enumerate(chosen.names):
        every = CHALLENGE_CLASSES_EN.index(name)
        expected = DrawnObjects().sprite(every, np.random.default_rng(1), light, 40.0)
        drawn = chosen.sprite(cls, np.random.default_rng(1), light, 40.0)
        np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("walnut", "peanut"), "must be some of SD card, .*; got peanut"),
        (("walnut", "walnut"), "none twice; got walnut, walnut"),
        ((), "one class or more, .*got none"),
    ],
)
def test_bad_choices_of_classes_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        ChosenObjects(DrawnObjects(), names)


def test_manifest_names_the_classes(tmp_path):
    _make_sprites(tmp_path)
    entries = [{"file": "bolt/a.png", "cls": "zinc"}, {"file": "washer/a.png", "cls": "alu"}]
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    assert CutOutObjects(tmp_path).names == ("alu", "zinc")
    (tmp_path / "manifest.json").write_text(json.dumps([{"file": "none.png", "cls": "x"}]))
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        CutOutObjects(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps([{"name": "x"}]))
    with pytest.raises(ValueError, match=r"manifest\.json must be"):
        CutOutObjects(tmp_path)


def test_broken_sources_say_which_file_and_why(tmp_path):
    with pytest.raises(FileNotFoundError, match="--sprites must name an existing folder"):
        CutOutObjects(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="found no sprite"):
        CutOutObjects(tmp_path)
    with pytest.raises(FileNotFoundError, match="--backgrounds"):
        PhotographGrounds(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="found none"):
        PhotographGrounds(tmp_path)
    (tmp_path / "thing").mkdir()
    path = tmp_path / "thing" / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"cannot be read.*a\.png"):
        CutOutObjects(tmp_path)
    cv2.imwrite(str(path), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="alpha channel"):
        CutOutObjects(tmp_path)
    cv2.imwrite(str(path), np.zeros((9, 9, 4), np.uint8))
    with pytest.raises(ValueError, match=r"alpha over 0\.5"):
        CutOutObjects(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"cannot be read.*broken\.jpg"):
        PhotographGrounds(tmp_path).ground(np.random.default_rng(0), 20, 20)


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "datasets/prepare_synthetic.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_writes_then_refuses_to_write_again(load_script, tmp_path, capsys):
    options = ["--output", tmp_path / "d", "--train", 1, "--val", 1, "--test", 0]
    options += ["--size", "320x240", "--max-size", 60, "--objects-max", 2]
    done = _run(*options)
    assert done.returncode == 0, done.stderr
    assert "2 photographs" in done.stdout
    assert "rendering" in done.stderr
    assert (tmp_path / "d/val/val_label").is_file()
    assert not (tmp_path / "d/test").exists()
    # The second run is in this process, since a new process imports for seconds.
    command = load_script("datasets/prepare_synthetic.py").main
    assert command([str(option) for option in options]) == 2
    refusal = capsys.readouterr().err
    assert "already holds train, val" in refusal
    assert "--overwrite" in refusal


def test_bundled_samples_have_valid_labels():
    samples = ROOT / "datasets" / "samples"
    labels = json.loads((samples / "labels.json").read_text())
    assert {p.name for p in samples.glob("*.jpg")} == set(labels)
    for name, boxes in labels.items():
        assert (samples / name).stat().st_size < 950_000
        assert cv2.imread(str(samples / name)).shape == (2100, 2800, 3)
        assert all(0 <= b[0] < 30 and b[1] + b[3] <= 2800 and b[2] + b[4] <= 2100 for b in boxes)
