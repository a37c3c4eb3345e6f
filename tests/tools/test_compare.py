"""tools/compare.py: from two results files to a verdict."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def tool(load_script):
    """The script as a module."""
    return load_script("tools/compare.py")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Labels of 40 photographs, and the results of a poor and of a good detector."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(3)
    images, labels, results = [], [], {"poor": [], "good": []}
    for i in range(1, 41):
        images.append({"id": i, "file_name": f"{i}.jpg", "width": 500, "height": 400})
        for _ in range(rng.integers(0, 5)):
            box = [*rng.integers(0, 350, 2).tolist(), 15, 15]
            row = {"image_id": i, "category_id": int(rng.choice([3, 8])), "bbox": box}
            labels.append({"id": len(labels) + 1, **row, "area": 225, "iscrowd": 0})
            for name, recall in (("poor", 0.35), ("good", 0.85)):
                if rng.random() < recall:
                    results[name].append({**row, "score": round(rng.uniform(0.3, 1), 3)})
    categories = [{"id": 3, "name": "nut"}, {"id": 8, "name": "bolt"}]
    content = {"images": images, "annotations": labels, "categories": categories}
    (folder / "truth.json").write_text(json.dumps(content))
    for name, rows in results.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def words(files, a, b):
    return [str(files / a), str(files / b), "--gt", str(files / "truth.json"), "--draws", "200"]


def test_a_better_file_is_told_and_written(tool, files, tmp_path, capsys):
    written = tmp_path / "compared.json"
    assert tool.main([*words(files, "poor.json", "good.json"), "--json", str(written)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("40 images, ")
    assert "\nB is better by " in printed
    assert "The verdict is about AP50 alone. The other figures are for information" in printed
    assert "Images that gained most from A to B" in printed
    content = json.loads(written.read_text())
    assert content["verdict"]["winner"] == "B"
    assert content["verdict"]["sentence"] in printed
    figure = content["figures"]["AP50"]
    assert figure["difference"]["value"] == pytest.approx(
        figure["b"]["value"] - figure["a"]["value"]
    )
    assert 0 < figure["difference"]["low"] < figure["difference"]["high"]
    assert figure["p"] < 0.05
    # No object is that large: no figure, and null in JSON.
    assert content["figures"]["AP50_70-100"]["a"]["value"] is None
    assert content["settings"]["draws"] == 200
    assert 0 < len(content["gained"]) <= 10
    first = content["gained"][0]
    assert first["change"] == max(one["change"] for one in content["gained"])
    assert content["draws_without_class"] == {"nut": 0, "bolt": 0}


def test_the_same_file_does_not_differ_from_itself(tool, files, capsys):
    arguments = [*words(files, "good.json", "good.json"), "--metric", "LAMR", "--top", "3"]
    assert tool.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "\nno difference can be told: B - A is +0.0 points of LAMR" in printed
    assert "* LAMR" in printed
    assert "gained most" not in printed


def test_results_of_several_kinds_compare(tool, files, tmp_path, capsys):
    """The challenge's format beside COCO's, with nothing found at all."""
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({f"{i}.jpg": [] for i in range(1, 41)}))
    truth = ["--gt", str(files / "truth.json"), "--draws", "100", "--size-bins", "10,20"]
    assert tool.main([str(files / "good.json"), str(empty), *truth]) == 0
    printed = capsys.readouterr().out
    assert "\nA is better by " in printed
    assert "AP50_10-20" in printed
    assert "0 detections on 0 images" in printed


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--metric", "AP60"], "--metric must be one of ['AP', 'AP50', "),
        (["--draws", "0"], "--draws must be at least 100; got 0"),
        (["--seed", "-1"], "--seed must not be negative; got -1"),
        (["--max-detections", "0"], "--max-detections must be at least 1; got 0"),
        (["--size-bins", "20,10"], "size bins"),
        (["--json", "/"], "/: a file is to be written here"),
    ],
)
def test_bad_values_are_told(tool, files, capsys, extra, told):
    assert tool.main([*words(files, "poor.json", "good.json"), *extra]) == 2
    assert told in capsys.readouterr().err


def test_unknown_files_and_other_images_are_told(tool, files, tmp_path, capsys):
    assert tool.main(words(files, "poor.json", "missing.json")) == 2
    assert "missing.json" in capsys.readouterr().err
    other = tmp_path / "other.json"
    row = {"image_id": 777, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.5}
    other.write_text(json.dumps([row]))
    assert tool.main(words(files, "poor.json", str(other))) == 2
    message = capsys.readouterr().err
    assert "other.json: [0]" in message
    assert "777" in message
    assert tool.main([str(other), str(other), "--gt", "no_such_set"]) == 2
    assert "no_such_set" in capsys.readouterr().err
