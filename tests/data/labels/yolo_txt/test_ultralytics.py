"""One data.yaml of Ultralytics stands for its splits, wherever their images lie."""

from pathlib import Path

import PIL.Image
import pytest

from smallobj.data.labels.problems import DatasetError, ProblemLog
from smallobj.data.labels.readers import expand
from smallobj.data.labels.spec import DatasetSpec, parse_spec
from smallobj.data.labels.yolo_txt.ultralytics import read_ultralytics, ultralytics_splits

LABEL = "0 0.25 0.2 0.3 0.2\n"


def put(root: Path, image: str, label: str | None = LABEL) -> None:
    """An image, 100 wide and 200 high, and its label file, by their paths below ``root``."""
    path = root / image
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (100, 200)).save(path)
    if label is not None:
        where = (root / image.replace("images", "labels")).with_suffix(".txt")
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(label)


def yaml(root: Path, text: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(f"{text}\nnames: [bolt, nut]\n")
    return root / "data.yaml"


def read(path: Path, split: str = "train"):
    return read_ultralytics(DatasetSpec("x", "ultralytics", str(path), split=split))


def names(reading, root: Path) -> dict[str, int]:
    """Number of objects by image, below ``root``."""
    assert [str(problem) for problem in reading.problems] == []
    return {
        str(Path(record["file_name"]).relative_to(root)): len(record["annotations"])
        for record in reading.records
    }


def moved(reading) -> int:
    return sum(
        n for (rule, _), n in reading.changes.counts.items() if rule.name == "path-elsewhere"
    )


def test_splits_and_boxes(tmp_path):
    put(tmp_path, "images/train/a.png")
    put(tmp_path, "images/train/sub/b.png")
    put(tmp_path, "images/train/background.png", None)
    put(tmp_path, "images/val/c.png")
    path = yaml(tmp_path, f"path: {tmp_path}\ntrain: images/train\nval: images/val\ntest: # none")
    specs = expand(parse_spec(f"x=ultralytics:{path}"))
    assert [(spec.name, spec.split) for spec in specs] == [("x_train", "train"), ("x_val", "val")]
    reading = read(path)
    assert names(reading, tmp_path / "images/train") == {
        "a.png": 1,
        "background.png": 0,
        "sub/b.png": 1,
    }
    assert reading.class_names == ["bolt", "nut"]
    (box,) = reading.records[0]["annotations"]
    assert box["bbox"] == pytest.approx([10, 20, 30, 40])
    assert not reading.changes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("train: images", 0),
        ("path: .\ntrain: ./images/", 0),
        ("path: ../bolts\ntrain: images", 0),
        ("path: bolts\ntrain: images", 1),  # below Ultralytics' folder of data sets
        ("path: ../datasets/bolts\ntrain: images", 1),
        ("path: /content/bolts\ntrain: images", 1),
        ("train: ../images", 1),
        ("train: ../../images", 1),
        ("train: /content/drive/bolts/images/", 1),
        ("train: bolts/images", 1),
        (r"train: C:\data\bolts\images", 1),
        (r"path: .\.." + "\n" + r"train: bolts\images", 0),
    ],
)
def test_paths_that_are_wrong_here_are_found_and_said(tmp_path, text, count):
    put(tmp_path / "bolts", "images/a.png")
    reading = read(yaml(tmp_path / "bolts", text))
    assert names(reading, tmp_path / "bolts/images") == {"a.png": 1}
    assert moved(reading) == count


def test_the_folder_of_data_sets_is_searched(tmp_path, monkeypatch):
    put(tmp_path / "data/bolts", "images/a.png")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "data"))
    reading = read(yaml(tmp_path / "configs", "path: bolts\ntrain: images"))
    assert names(reading, tmp_path / "data/bolts/images") == {"a.png": 1}
    assert f"found at {tmp_path / 'data/bolts/images'}" in reading.changes.lines()[0]


def test_roboflow_s_own_folder_comes_before_one_above_it(tmp_path):
    put(tmp_path, "train/images/other.png")
    put(tmp_path / "export", "train/images/a.png")
    text = "train: ../train/images\nval: ../valid/images\nroboflow: {version: 1}"
    reading = read(yaml(tmp_path / "export", text))
    assert names(reading, tmp_path / "export") == {"train/images/a.png": 1}


def test_lists_of_folders_and_of_files(tmp_path):
    for name in ("a", "b", "c", "d"):
        put(tmp_path, f"images/{name}/{name}.png")
    (tmp_path / "some.txt").write_text("./images/c/c.png\r\n\nimages/d/d.png\n")
    reading = read(yaml(tmp_path, "train: [images/a, images/b, some.txt]"))
    assert sorted(names(reading, tmp_path / "images")) == [
        "a/a.png",
        "b/b.png",
        "c/c.png",
        "d/d.png",
    ]
    (tmp_path / "some.txt").write_text("images/a/a.png\nimages/gone.png\n/content/images/b/b.png")
    reading = read(yaml(tmp_path, "train: some.txt"))
    (problem,) = reading.problems
    assert (problem.entry, problem.value) == ("line 2", "no file images/gone.png")
    (tmp_path / "some.txt").write_text("images/a/a.png\nimages/a/a.png\n/content/images/b/b.png")
    reading = read(yaml(tmp_path, "train: some.txt"))
    assert list(names(reading, tmp_path / "images")) == ["a/a.png", "b/b.png"]
    assert {rule.name for rule, _ in reading.changes.counts} == {
        "path-elsewhere",
        "image-listed-twice",
    }


def test_only_the_last_images_becomes_labels(tmp_path):
    put(tmp_path / "images/set", "images/train/a.png", None)
    (tmp_path / "images/set/labels/train").mkdir(parents=True)
    (tmp_path / "images/set/labels/train/a.txt").write_text(LABEL)
    path = yaml(tmp_path / "images/set", "train: images/train")
    assert names(read(path), tmp_path / "images/set/images/train") == {"a.png": 1}


def test_labels_beside_the_images(tmp_path):
    put(tmp_path / "images", "photos/a.png")  # no folder of the name "images" below the yaml
    assert (tmp_path / "images/photos/a.txt").is_file()
    reading = read(yaml(tmp_path / "images", "train: photos"))
    assert names(reading, tmp_path / "images/photos") == {"a.png": 1}


def test_a_folder_that_holds_images_and_labels(tmp_path):
    put(tmp_path, "train/images/a.png")
    assert names(read(yaml(tmp_path, "train: train")), tmp_path / "train") == {"images/a.png": 1}


def test_label_files_without_an_image_and_missing_labels_are_told(tmp_path):
    put(tmp_path, "images/a.png")
    (tmp_path / "labels/lonely.txt").write_text(LABEL)
    (problem,) = read(yaml(tmp_path, "train: images")).problems
    assert (problem.rule.name, problem.file) == (
        "label-without-image",
        str(tmp_path / "labels/lonely.txt"),
    )
    put(tmp_path / "other", "images/a.png", None)
    path = yaml(tmp_path / "other", "train: images\nval: images\ntest: images")
    (problem,) = read(path).problems
    assert problem.rule.name == "no-label-files"
    assert names(read(path, "test"), tmp_path / "other/images") == {"a.png": 0}


def test_two_images_of_one_label_file(tmp_path):
    put(tmp_path, "images/a.png")
    put(tmp_path, "images/a.jpg", None)
    (problem,) = read(yaml(tmp_path, "train: images")).problems
    assert problem.rule == "a label file must belong to one image"


def test_splits_that_are_missing(tmp_path):
    put(tmp_path, "images/a.png")
    text = "train: images\nvalid: nowhere/images\ntest: nowhere/test"
    path = yaml(tmp_path, text)
    log = ProblemLog()
    assert ultralytics_splits(str(path), log) == ["train", "val"]
    (problem,) = read(path, "val").problems
    assert "'nowhere/images', nowhere in" in problem.value
    assert ultralytics_splits(str(yaml(tmp_path, "nc: 2")), log) == []
    assert "with train, val or test" in str(log.problems[0])
    with pytest.raises(DatasetError, match="no such file"):
        expand(parse_spec(f"x=ultralytics:{tmp_path}/gone.yaml"))
