"""tools/ensemble.py: from results files to one."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def main(load_script):
    """The script's main."""
    return load_script("tools/ensemble.py").main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two models' results of each kind on the images 3 and 8, and what the data set holds."""
    monkeypatch.chdir(tmp_path)
    rows = {"a": [(0, 10, 0.8)], "b": [(2, 10, 0.4), (50, 20, 0.6)]}
    for name, found in rows.items():
        coco = [
            {"image_id": 3, "category_id": 5, "bbox": [x, 0, side, side], "score": score}
            for x, side, score in found
        ]
        challenge = {"3.jpg": [[0, x, 0, side, side, score] for x, side, score in found]}
        boxes = [
            {"class": "nut", "class_id": 0, "score": score, "box": [x, 0, x + side, side]}
            for x, side, score in found
        ]
        own = {
            "images": [{"file": "p/3.jpg", "width": 90, "height": 60, "detections": boxes}],
            "classes": ["nut"],
        }
        for kind, content in (("coco", coco), ("challenge", challenge), ("own", own)):
            (tmp_path / f"{name}_{kind}.json").write_text(json.dumps(content))
    images = [{"id": k, "file_name": f"p/{k}.jpg", "width": 90, "height": 60} for k in (3, 8)]
    labels = {"images": images, "annotations": [], "categories": [{"id": 5, "name": "nut"}]}
    (tmp_path / "val.json").write_text(json.dumps(labels))
    return tmp_path


X = 2 * 0.4 / 1.2


def test_coco_results(main, folder, capsys):
    assert main(["a_coco.json", "b_coco.json", "--output", "m.json"]) == 0
    first, second = json.loads((folder / "m.json").read_text())
    assert (first["image_id"], first["category_id"]) == (3, 5)
    assert first["bbox"] == pytest.approx([X, 0, 10, 10], abs=1e-4)
    assert first["score"] == pytest.approx(0.6)
    assert second["score"] == pytest.approx(0.3)
    assert capsys.readouterr().out.splitlines() == [
        "a_coco.json: 1 detections on 1 images",
        "b_coco.json: 2 detections on 1 images",
        "wrote m.json: 2 detections on 1 of 1 images",
    ]


def test_each_kind_stays_what_it_is(main, folder):
    assert main(["a_own.json", "b_own.json", "--output", "m.json"]) == 0
    merged = json.loads((folder / "m.json").read_text())
    (image,) = merged["images"]
    assert (image["file"], image["width"], image["height"]) == ("p/3.jpg", 90, 60)
    assert merged["classes"] == ["nut"]
    best = image["detections"][0]
    assert (best["class"], best["score"]) == ("nut", 0.6)
    assert best["box"] == pytest.approx([X, 0, 10 + X, 10], abs=1e-4)
    assert main(["a_challenge.json", "b_challenge.json", "--output", "m.json"]) == 0
    merged = json.loads((folder / "m.json").read_text())
    assert list(merged) == ["3.jpg"]
    index, *numbers = merged["3.jpg"][0]
    assert index == 0
    assert isinstance(index, int)
    assert numbers == pytest.approx([X, 0, 10, 10, 0.6], abs=1e-4)


def test_kinds_meet_where_a_data_set_says_what_they_mean(main, folder):
    words = ["a_challenge.json", "b_coco.json", "--gt", "val.json", "--output", "m.json"]
    assert main(words) == 0
    merged = json.loads((folder / "m.json").read_text())
    # An image that nobody found anything in has its entry, which the challenge wants.
    assert {name: len(rows) for name, rows in merged.items()} == {"3.jpg": 2, "8.jpg": 0}
    assert merged["3.jpg"][0][5] == 0.6


def test_the_challenge_gets_no_more_than_its_scorer_reads(main, folder, caplog):
    rows = [[0, 20 * k, 0, 10, 10, 0.5] for k in range(130)]
    (folder / "a_challenge.json").write_text(json.dumps({"3.jpg": rows}))
    assert main(["a_challenge.json", "b_challenge.json", "--output", "m.json"]) == 0
    assert len(json.loads((folder / "m.json").read_text())["3.jpg"]) == 100
    assert "of 1 images are cut: an image keeps at most 100" in caplog.text


def test_weights_and_other_mergers(main, folder):
    words = ["a_coco.json", "b_coco.json", "--output", "m.json", "--weights", "3", "1"]
    assert main(words) == 0
    scores = [row["score"] for row in json.loads((folder / "m.json").read_text())]
    assert scores == pytest.approx([(2.4 + 0.4) / 4, 0.15])
    words += ["--opts", "TEST.ENSEMBLE.MERGER.NAME", "nms", "TEST.DETECTIONS_PER_IMAGE", "1"]
    assert main(words) == 0
    (row,) = json.loads((folder / "m.json").read_text())
    assert row["bbox"] == [0, 0, 10, 10]
    assert row["score"] == 0.8


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("a_coco.json --output m.json", "two files at least; got 1"),
        ("a_coco.json b_coco.json --output a_coco.json", "would replace the input"),
        ("a_coco.json b_own.json --output m.json", "must be of one kind, or --gt"),
        ("a_coco.json none.json --output m.json", "none.json"),
        ("a_coco.json b_coco.json --output m.json --weights 1", "each of 2 models"),
        ("a_coco.json b_coco.json --output m.json --weights 1 -1", "must be positive"),
        (
            "a_coco.json b_coco.json --output m.json --opts TEST.DETECTIONS_PER_IMAGE 0",
            "TEST.DETECTIONS_PER_IMAGE must be positive; got 0",
        ),
        ("a_coco.json b_coco.json --output m.json --gt none.json", "none.json"),
    ],
)
def test_wrong_arguments_are_told(main, folder, capsys, words, told):
    assert main(words.split()) == 2
    assert told in capsys.readouterr().err
    assert not (folder / "m.json").exists()


def test_an_image_beyond_the_data_set_is_told(main, folder, capsys):
    row = {"image_id": 4, "category_id": 5, "bbox": [0, 0, 1, 1], "score": 0.5}
    (folder / "c.json").write_text(json.dumps([row]))
    words = ["a_coco.json", "c.json", "--gt", "val.json", "--output", "m.json"]
    assert main(words) == 2
    assert "the image must be one of the data set" in capsys.readouterr().err


def test_files_of_other_tools(main, folder, capsys):
    """One is wrapped, one has names of image files for ids; the labels tell what they mean."""
    rows = json.loads((folder / "b_coco.json").read_text())
    (folder / "w.json").write_text(json.dumps({"predictions": rows}))
    assert main(["a_coco.json", "w.json", "--output", "m.json"]) == 0
    wrapped = json.loads((folder / "m.json").read_text())
    named = [{**row, "image_id": "3", "file_name": "3.png", "category_id": 1} for row in rows]
    extra = {**named[0], "image_id": "z", "file_name": "z.png"}
    (folder / "u.json").write_text(json.dumps([*named, extra]))
    words = ["a_coco.json", "u.json", "--gt", "val.json", "--output", "n.json"]
    assert main(words) == 2
    assert "in all 1 result of 1 image that the labels do not have" in capsys.readouterr().err
    assert main([*words, "--drop-unknown-images"]) == 0
    assert json.loads((folder / "n.json").read_text()) == wrapped


def test_files_that_share_no_image(main, folder, capsys):
    rows = json.loads((folder / "b_coco.json").read_text())
    (folder / "u.json").write_text(json.dumps([{**row, "image_id": "3.jpg"} for row in rows]))
    assert main(["a_coco.json", "u.json", "--output", "m.json"]) == 0
    assert "no image occurs in two files" in capsys.readouterr().err
    for name, index in (("v", 1), ("w", 2)):
        content = {"annotations": rows, "categories": [{"id": index, "name": "nut"}]}
        (folder / f"{name}.json").write_text(json.dumps(content))
    assert main(["v.json", "w.json", "--output", "m.json"]) == 2
    assert "v.json and w.json have different categories" in capsys.readouterr().err
