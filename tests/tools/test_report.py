"""tools/report.py: from labels and results to a page, and what goes wrong in one sentence."""

import json

import pytest

SAMPLES = "samples-of-report=challenge:{0}/labels.json:{0}"


@pytest.fixture
def tool(load_script, catalog):
    """The script's main."""
    return load_script("tools/report.py").main


@pytest.fixture
def results(repository, tmp_path):
    """The bundled labels as detections in the challenge's layout, one object left out."""
    labels = json.loads((repository / "datasets/samples/labels.json").read_text())
    found = {name: [[*map(float, row), 0.9] for row in rows] for name, rows in labels.items()}
    for rows in found.values():
        for row in rows:
            row[0] = int(row[0])
    del found["metal.jpg"][0]
    path = tmp_path / "found.json"
    path.write_text(json.dumps(found))
    return path


def page_data(path):
    text = path.read_text("utf-8").split('id="report-data">', 1)[1].split("</script>", 1)[0]
    return json.loads(text)


def test_report_of_the_bundled_photographs(tool, repository, results, tmp_path, capsys):
    (tmp_path / "metrics.json").write_text('{"iteration": 19, "total_loss": 1.5}\n')
    output = tmp_path / "pages" / "report.html"
    truth = SAMPLES.format(repository / "datasets" / "samples")
    words = ["--gt", truth, "--results", results, "--train", tmp_path, "--output", output]
    words += ["--draws", 200]
    assert tool([str(word) for word in words]) == 0
    assert "2 of 2 photographs" in capsys.readouterr().out
    report = page_data(output)
    assert report["title"] == "Evaluation of found.json"
    rows = {row["name"]: row["value"] for row in report["headline"]}
    # One of ten objects, the only one of its class, isn't found.
    assert rows["AP50"] == pytest.approx(0.9)
    assert rows["recall"] == pytest.approx(0.9)
    assert rows["precision"] == 1
    assert all(row["low"] <= row["value"] <= row["high"] for row in report["headline"])
    assert report["training"] == [{"name": "total_loss", "x": [19], "y": [1.5]}]
    assert [item["text"] for item in report["galleries"][0]["items"]] == [
        "OTP token, 87×59 px, missed"
    ]


def test_tiles_come_from_the_run_or_from_the_command(tool, repository, results, tmp_path):
    (tmp_path / "metrics.json").write_text('{"iteration": 19, "total_loss": 1.5}\n')
    config = tmp_path / "config.yaml"
    output = tmp_path / "report.html"
    truth = SAMPLES.format(repository / "datasets" / "samples")
    words = ["--gt", truth, "--results", str(results), "--output", str(output), "--draws", "0"]
    run = ["--train", str(tmp_path)]

    def shown_tiles(*more):
        assert tool([*words, *more]) == 0
        report = page_data(output)
        assert ("seams" in report) == ("Tiles" in dict(report["facts"]))
        return dict(report["facts"]).get("Tiles")

    assert shown_tiles() is None
    assert shown_tiles(*run) is None
    config.write_text("TEST: {TILE: {SIZE: 800, OVERLAP: 160}}\n")
    assert shown_tiles(*run) is None, "by default photographs are resized before they are tiled"
    native = "INPUT: {MIN_SIZE_TEST: 0}\n"
    config.write_text(native + "TEST: {TILE: {SIZE: 800, OVERLAP: 160}}\n")
    assert shown_tiles(*run) == "800 px, overlap 160 px"
    assert shown_tiles(*run, "--tiles", "640", "128") == "640 px, overlap 128 px"
    config.write_text(native + "TEST: {TILE: {ENABLED: False}}\n")
    assert shown_tiles(*run) is None
    config.write_text(native + "TEST: {FOCUS: {ENABLED: True}}\n")
    assert shown_tiles(*run) is None


def test_errors_end_with_a_sentence(tool, repository, results, tmp_path, capsys):
    truth = SAMPLES.format(repository / "datasets" / "samples")
    output = str(tmp_path / "report.html")
    base = ["--gt", truth, "--output", output]
    assert tool([*base, "--results", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    assert tool([*base, "--results", str(results), "--gallery", "0"]) == 2
    assert "--gallery must be at least 1; got 0" in capsys.readouterr().err
    assert tool([*base, "--results", str(results), "--train", str(tmp_path)]) == 2
    assert "metrics.json: the file must exist" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_yolo_results_and_their_class_names(tool, repository, tmp_path, capsys):
    """The class numbers of .txt files are the labels', or those of a file of names."""
    labels = {
        "images": [{"id": 4, "file_name": "a.jpg", "width": 80, "height": 60}],
        "annotations": [
            {"id": 1, "image_id": 4, "category_id": 2, "bbox": [8, 6, 8, 6], "area": 48}
        ],
        "categories": [{"id": 2, "name": "nut"}, {"id": 5, "name": "bolt"}],
    }
    (tmp_path / "val.json").write_text(json.dumps(labels))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.15 0.15 0.1 0.1 0.9\n")
    (tmp_path / "names.txt").write_text("bolt\nnut\n")
    output = tmp_path / "report.html"
    words = ["--gt", tmp_path / "val.json", "--results", tmp_path / "labels", "--output", output]
    words = [str(word) for word in (*words, "--draws", 0)]

    def ap50(*more):
        assert tool([*words, *more]) == 0
        return {row["name"]: row["value"] for row in page_data(output)["headline"]}["AP50"]

    assert ap50() == pytest.approx(1)
    assert ap50("--classes", str(tmp_path / "names.txt")) == 0
    results = tmp_path / "found.json"
    results.write_text('[{"image_id": "a", "category_id": 0, "bbox": [8, 6, 8, 6], "score": 1}]')
    words[3] = str(results)
    assert ap50() == pytest.approx(1)
    assert tool([*words, "--category-ids", "1"]) == 2
    assert "known are [1, 2]" in capsys.readouterr().err
    assert tool([*words, "--classes", str(tmp_path / "names.txt")]) == 2
    assert "--classes goes with a folder of YOLO .txt files" in capsys.readouterr().err
