"""tools/convert.py: from file to file, as its users call it."""

from __future__ import annotations

import csv
import json

import numpy as np
import PIL.Image
import pytest

from smallobj.formats import FORMATS
from smallobj.results.result_files import ImageResult, ResultFiles

NAMES = ["bolt", "너트"]


@pytest.fixture(scope="module")
def convert(load_script):
    """The script's main."""
    return load_script("tools/convert.py").main


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A folder with photographs and what detection wrote about them, as CSV and COCO results."""
    monkeypatch.chdir(tmp_path)
    images = []
    for image_id, name in enumerate(("a.jpg", "Süd/b.jpg", "empty.jpg"), start=3):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (640, 480)).save(tmp_path / "photos" / name)
        images.append({"id": image_id, "file_name": name, "width": 640, "height": 480})
    categories = [{"id": 11, "name": "bolt"}, {"id": 12, "name": "너트"}]
    content = {"images": images, "annotations": [], "categories": categories}
    (tmp_path / "images.json").write_text(json.dumps(content))
    random = np.random.default_rng(3)
    with ResultFiles(NAMES, [11, 12], csv_file="found.csv", coco_file="found.json") as files:
        for image in images:
            number = 0 if image["file_name"] == "empty.jpg" else 5
            corner = random.random((number, 2)) * 400
            boxes = np.hstack([corner, corner + 1 + random.random((number, 2)) * 70])
            scores, classes = random.random(number), np.arange(number) % 2
            files.add(
                ImageResult(
                    f"photos/{image['file_name']}",
                    *(image["id"], 480, 640),
                    *(boxes.astype(np.float32).round(2), scores.round(4), classes),
                )
            )
    return tmp_path


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return sorted(
            (row["file"].removeprefix("photos/"), row["class"], *map(float, list(row.values())[3:]))
            for row in csv.DictReader(file)
        )


@pytest.mark.parametrize("target", ["cvat", "labelme", "yolo", "coco-results"])
def test_what_detection_wrote_comes_back(convert, found, target, capsys):
    ids = ("--coco-images", "images.json")
    there = ["--from", "csv", "--to", target, "--input", "found.csv", "--output", "out"]
    assert convert([*there, "--images", "photos", *ids]) == 0
    assert "3 images, 10 boxes, 2 classes" in capsys.readouterr().out
    back = ["--from", target, "--to", "csv", "--input", "out", "--output", "back.csv"]
    assert convert([*back, "--images", "photos", *ids]) == 0
    assert rows("back.csv") == rows("found.csv")


def test_coco_results_of_detection_and_its_csv_tell_the_same(convert, found):
    words = ["--from", "coco-results", "--to", "csv", "--input", "found.json"]
    assert convert([*words, "--output", "back.csv", "--coco-images", "images.json"]) == 0
    ours, theirs = rows("back.csv"), rows("found.csv")
    assert [row[:3] for row in ours] == [row[:3] for row in theirs]
    # Detection rounds widths apart from corners.
    np.testing.assert_allclose(
        [row[3:] for row in ours], [row[3:] for row in theirs], rtol=0, atol=1.1e-4
    )


def test_detections_become_labels_only_when_asked(convert, found, capsys):
    words = ["--from", "csv", "--to", "coco", "--input", "found.csv", "--output", "labels.json"]
    words += ["--images", "photos"]
    assert convert(words) == 2
    assert "--drop-scores" in capsys.readouterr().err
    assert not (found / "labels.json").exists()
    assert convert([*words, "--drop-scores"]) == 0
    content = json.loads((found / "labels.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [
        "Süd/b.jpg",
        "a.jpg",
        "empty.jpg",
    ]
    assert len(content["annotations"]) == 10
    assert "score" not in content["annotations"][0]


def test_a_bad_file_is_named_with_entry_and_rule(convert, found, capsys):
    text = (found / "found.csv").read_text()
    (found / "found.csv").write_text(text + "photos/a.jpg,0,bolt,nan,1,2,3,4\n")
    words = ["--from", "csv", "--to", "cvat", "--input", "found.csv", "--output", "out.xml"]
    assert convert([*words, "--images", "photos"]) == 1
    told = capsys.readouterr().err
    assert "found.csv: line 12: a score must be a number from 0 to 1 (got 'nan')" in told
    assert "(--rules ...): score=drop" in told
    assert not (found / "out.xml").exists()
    assert convert([*words, "--images", "photos", "--drop-bad-boxes"]) == 0
    assert "10 boxes" in capsys.readouterr().out


def test_wrong_words(convert, found, capsys):
    words = ["--input", "found.csv", "--output", "out"]
    with pytest.raises(SystemExit) as ended:
        convert(["--from", "csv", "--to", "word", *words])
    assert ended.value.code == 2
    assert convert(["--from", "csv", "--to", "cvat", *words]) == 2
    assert "needs the size of each image" in capsys.readouterr().err


def test_crowd_regions(convert, found, capsys):
    content = json.loads((found / "images.json").read_text())
    fields = {"category_id": 11, "bbox": [1, 2, 30, 40], "image_id": 3}
    content["annotations"] = [{"id": n, **fields, "iscrowd": n} for n in (0, 1)]
    (found / "images.json").write_text(json.dumps(content))
    words = ["--from", "coco", "--to", "csv", "--input", "images.json", "--output", "out.csv"]
    assert convert(words) == 2
    assert "crowd regions" in capsys.readouterr().err
    assert convert([*words, "--drop-crowd"]) == 0
    assert (found / "out.csv").read_text().splitlines()[1:] == ["a.jpg,0,bolt,,1,2,31,42"]
    assert convert([*words, "--drop-crowd"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert convert([*words, "--drop-crowd", "--overwrite"]) == 0


def test_coco_results_of_other_tools(convert, found, capsys):
    """In a wrapper, with names for ids and classes from 0; percent and corners are refused."""
    words = ["--from", "coco-results", "--to", "csv", "--coco-images", "images.json"]
    assert convert([*words, "--input", "found.json", "--output", "ours.csv"]) == 0
    listed = json.loads((found / "found.json").read_text())
    stems = {3: "a", 4: "Süd/b", 5: "empty"}
    theirs = [
        {**row, "image_id": stems[row["image_id"]], "category_id": row["category_id"] - 11}
        for row in listed
    ]
    (found / "theirs.json").write_text(json.dumps({"predictions": theirs}))
    assert convert([*words, "--input", "theirs.json", "--output", "theirs.csv"]) == 0
    assert rows("theirs.csv") == rows("ours.csv")
    for key, change, told in (
        ("score", lambda score: 100 * score, "divide them by 100"),
        ("bbox", lambda box: [600, 400, 630, 420], "write x1, y1, x2 - x1, y2 - y1"),
        ("image_id", lambda number: 99, "99; in all 10 results of 1 image"),
    ):
        bad = [{**row, key: change(row[key])} for row in listed]
        (found / "bad.json").write_text(json.dumps(bad))
        assert convert([*words, "--input", "bad.json", "--output", "bad.csv"]) == 1
        assert told in capsys.readouterr().err


def test_the_way_back_as_the_docs_have_it(convert, found, repository):
    """The commands of docs/formats.md, on what detection has written; class 0 was not found."""
    text = (repository / "docs/formats.md").read_text(encoding="utf-8")
    section = text.split("## The way back\n", 1)[1].split("\n## ", 1)[0]
    lines = section.replace("\\\n", " ").splitlines()
    commands = [line.split()[2:] for line in lines if line.startswith("python tools/convert.py")]
    assert len(commands) == 5
    names, ids = ["never found", "bolt", "너트, groß"], [11, 12, 40]
    box = np.array([[10, 20, 30, 44]], np.float32)
    with ResultFiles(names, ids, csv_file="found.csv") as files:
        for file, index in (("a.jpg", 2), ("Süd/b.jpg", 1)):
            row = (np.ones(1), np.array([index]))
            files.add(ImageResult(f"photos/{file}", 1, 480, 640, box, *row))
    categories = [{"id": k, "name": name} for k, name in zip(ids, names, strict=True)]
    content = {"images": [], "annotations": [], "categories": categories}
    (found / "val.json").write_text(json.dumps(content))
    for words in commands:
        if "--classes" in words:
            (found / "corrected.classes.json").unlink()
        assert convert(words) == 0, words
    for name in ("train.json", "cvat.json", "again.json"):
        content = json.loads((found / name).read_text())
        assert content["categories"] == categories, name
        files = {image["id"]: image["file_name"] for image in content["images"]}
        labels = {files[row["image_id"]]: row["category_id"] for row in content["annotations"]}
        assert labels == {"a.jpg": 40, "Süd/b.jpg": 12}, name


def test_json_of_detection_is_a_format(convert, found):
    """With the paths that detection was given, and with those below the folder of images."""
    with ResultFiles(["bolt", "nut"], [1, 2], json_file="demo.json") as files:
        box = np.array([[10, 20, 30, 44]], np.float32)
        files.add(ImageResult("photos/a.jpg", 1, 480, 640, box, np.array([0.5]), np.array([1])))
    words = ["--from", "json", "--to", "csv", "--input", "demo.json"]
    assert convert([*words, "--output", "given.csv"]) == 0
    assert (found / "given.csv").read_text().splitlines()[1] == "photos/a.jpg,1,nut,0.5,10,20,30,44"
    assert convert([*words, "--output", "below.csv", "--images", "photos"]) == 0
    assert (found / "below.csv").read_text().splitlines()[1] == "a.jpg,1,nut,0.5,10,20,30,44"
    lists = json.loads((found / "below.csv.classes.json").read_text())
    assert lists == {"names": ["bolt", "nut"]}


def test_the_choices_are_the_formats(load_script):
    script = load_script("tools/convert.py")
    assert sorted(script.WRITTEN) == sorted(k for k, form in FORMATS.items() if form.write)
    assert sorted((*script.WRITTEN, *script.ONLY_READ)) == sorted(FORMATS)


def test_one_split_of_several_is_converted(convert, tmp_path, capsys):
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        PIL.Image.new("RGB", (40, 30)).save(tmp_path / split / "a.jpg")
        content = {
            "images": [{"id": 0, "file_name": "a.jpg", "width": 40, "height": 30}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": 3, "bbox": [1, 2, 3, 4]}],
            "categories": [{"id": 3, "name": split}],
        }
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content))
    words = ["--from", "roboflow", "--to", "csv", "--input", str(tmp_path)]
    words += ["--output", str(tmp_path / "o.csv")]
    assert convert(words) == 2
    assert "it holds train, valid; choose one (--split)" in capsys.readouterr().err
    assert convert([*words, "--split", "valid"]) == 0
    assert "a.jpg,0,valid,,1,2,4,6" in (tmp_path / "o.csv").read_text()
