"""The formats of aerial data sets: VisDrone, DOTA, AI-TOD, SODA and xView."""

import json
from pathlib import Path

import PIL.Image
import pytest

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.readers import read_labels
from smallobj.data.labels.spec import DatasetSpec


def photographs(tmp_path, *names: str) -> None:
    """Images 100 wide and 200 high."""
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (100, 200)).save(path)


def read(tmp_path, form: str, labels: dict[str, object], rules=(), classes=""):
    """A data set of these label files, by name; of one file if its name is form.json."""
    folder = tmp_path / form
    folder.mkdir(exist_ok=True)
    for name, content in labels.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    where = folder / f"{form}.json" if f"{form}.json" in labels else folder
    if classes:
        (tmp_path / "classes.txt").write_text(classes)
    listed = str(tmp_path / "classes.txt") if classes else ""
    spec = DatasetSpec("d", form, str(where), str(tmp_path / "photos"), listed)
    return read_labels(spec, Policy.of(rules))


def boxes(reading):
    assert [str(problem) for problem in reading.problems] == []
    return [
        (reading.class_names[a["category_id"]], *(round(value, 6) for value in a["bbox"]))
        for record in reading.records
        for a in record["annotations"]
        if not a["iscrowd"]
    ]


def crowds(reading):
    return [
        (reading.class_names[a["category_id"]], *a["bbox"])
        for record in reading.records
        for a in record["annotations"]
        if a["iscrowd"]
    ]


def changes(reading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


def names(reading) -> list[str]:
    return [Path(record["file_name"]).name for record in reading.records]


def test_visdrone(tmp_path):
    photographs(tmp_path, "a.jpg", "b.jpg")
    text = "10,20,30,40,1,4,0,0,\r\n5,6,7,8,1,1,0,1\n1,2,3,4,0,4,0,0\n"
    reading = read(tmp_path, "visdrone", {"a.txt": text, "b.txt": ""})
    assert boxes(reading) == [("car", 10, 20, 30, 40), ("pedestrian", 5, 6, 7, 8)]
    assert crowds(reading) == [("car", 1, 2, 3, 4)]
    assert reading.class_ids == {category: category - 1 for category in range(1, 11)}
    assert reading.class_names[-1] == "motor"
    assert names(reading) == ["a.jpg", "b.jpg"]
    assert changes(reading) == {"object-ignored": 1}


def test_visdrone_s_ignored_regions_and_others(tmp_path):
    photographs(tmp_path, "a.jpg")
    labels = {"a.txt": "10,20,30,300,0,0,0,0\n1,2,3,4,0,11,0,0\n"}
    reading = read(tmp_path, "visdrone", labels)
    assert boxes(reading) == []
    # Clipped once, for all ten classes.
    assert crowds(reading) == [(name, 10, 20, 30, 180) for name in reading.class_names]
    assert changes(reading) == {"object-ignored": 1, "visdrone-others": 1, "box-over-edge": 1}
    dropped = read(tmp_path, "visdrone", labels, ["object-ignored=drop"])
    assert crowds(dropped) == []
    as_regions = read(tmp_path, "visdrone", labels, ["visdrone-others=fix"])
    assert len(crowds(as_regions)) == 20


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("10,20,30,40,1", "visdrone-line"),
        ("10,20,30,40,1,x,0,0", "visdrone-line"),
        ("10,20,30,40,1,12,0,0", "class-unknown"),
        ("10,20,0,40,1,1,0,0", "box-empty"),
    ],
)
def test_visdrone_lines_that_are_refused(tmp_path, line, rule):
    photographs(tmp_path, "a.jpg")
    (problem,) = read(tmp_path, "visdrone", {"a.txt": line}).problems
    assert (problem.rule.name, problem.entry) == (rule, "line 1")


@pytest.mark.parametrize(
    "classes",
    ["p\nq\nr", "1:p\n2:q\n3:r\n", "ignored\n" + "\n".join("pqrstuvwxy") + "\nothers"],
)
def test_visdrone_with_other_class_names(tmp_path, classes):
    photographs(tmp_path, "a.jpg")
    reading = read(tmp_path, "visdrone", {"a.txt": "1,2,3,4,1,2,0,0"}, classes=classes)
    assert boxes(reading) == [("q", 1, 2, 3, 4)]


DOTA = """imagesource:GoogleEarth
gsd:0.146343
10.0 40.0 25.0 20.0 40.0 40.0 25.0 60.0 ship 0
20 30 25 30 25 50 20 50 large-vehicle 1
"""


def test_dota(tmp_path):
    photographs(tmp_path, "P0001.png")
    reading = read(tmp_path, "dota", {"P0001.txt": DOTA})
    assert boxes(reading) == [("ship", 10, 20, 30, 40)]
    assert crowds(reading) == [("large-vehicle", 20, 30, 5, 20)]
    assert reading.class_names == ["large-vehicle", "ship"]
    quadrangle = reading.records[0]["annotations"][0]["segmentation"]
    assert quadrangle == [[10, 40, 25, 20, 40, 40, 25, 60]]
    assert changes(reading) == {"shape-enclosed": 2, "object-difficult": 1}


def test_dota_as_other_tools_write_it(tmp_path):
    photographs(tmp_path, "a.png")
    text = "'imagesource':x\n10,40,25,20,40,40,25,60,fishing boat,0\n10 40 25 20 40 40 25 60 7\n"
    reading = read(tmp_path, "dota", {"a.txt": text})
    assert sorted(boxes(reading)) == [("7", 10, 20, 30, 40), ("fishing boat", 10, 20, 30, 40)]
    (problem,) = read(tmp_path, "dota", {"a.txt": "10 40 25 20 40 40 25 ship 0"}).problems
    assert problem.rule.name == "dota-line"


def test_label_files_and_images_without_each_other(tmp_path):
    photographs(tmp_path, "a.png", "b.png")
    reading = read(tmp_path, "dota", {"a.txt": DOTA, "c.txt": DOTA})
    (problem,) = reading.problems
    assert (problem.rule.name, Path(problem.file).name) == ("label-without-image", "c.txt")
    assert changes(reading)["image-without-labels"] == 1
    missing = DatasetSpec("d", "dota", str(tmp_path / "no"), str(tmp_path / "none"))
    assert [problem.value for problem in read_labels(missing).problems] == ["no such folder"] * 2


def test_aitod(tmp_path):
    photographs(tmp_path, "a.png")
    text = "10.0 20.0 40.0 60.0 vehicle\n1 2 3 4 storage-tank\n"
    reading = read(tmp_path, "aitod", {"a.txt": text})
    assert boxes(reading) == [("vehicle", 10, 20, 30, 40), ("storage-tank", 1, 2, 2, 2)]
    assert (reading.class_names.index("vehicle"), len(reading.class_names)) == (5, 8)
    other = read(tmp_path, "aitod", {"a.txt": "10 20 40 60 Small Car\n10 20 40 60 Bus"})
    assert other.class_names == ["Bus", "Small Car"]
    assert boxes(other)[0] == ("Small Car", 10, 20, 30, 40)
    (problem,) = read(tmp_path, "aitod", {"a.txt": "10 20 40 60"}).problems
    assert problem.rule.name == "aitod-line"


SODA = {
    "images": {"file_name": "a.jpg", "id": 1, "width": 100, "height": 200},
    "categories": [
        {"id": 0, "name": "airplane"},
        {"id": 1, "name": "ship"},
        {"id": 9, "name": "ignore"},
    ],
    "annotations": [
        {"poly": [10, 40, 25, 20, 40, 40, 25, 60], "category_id": 1, "image_id": 1},
        {"poly": [[1, 2], [4, 2], [4, 6], [1, 6]], "category_id": 9, "image_id": 1},
    ],
}


def test_soda_a(tmp_path):
    photographs(tmp_path, "a.jpg")
    reading = read(tmp_path, "soda", {"a.json": SODA})
    assert boxes(reading) == [("ship", 10, 20, 30, 40)]
    assert crowds(reading) == [("airplane", 1, 2, 3, 4), ("ship", 1, 2, 3, 4)]
    assert reading.class_names == ["airplane", "ship"]
    assert reading.class_ids == {0: 0, 1: 1}
    first = reading.records[0]["annotations"][0]
    assert first["segmentation"] == [[10, 40, 25, 20, 40, 40, 25, 60]]
    bad = {**SODA, "annotations": [{"poly": [1, 2, 3, 4], "category_id": 1}, {"poly": "x"}]}
    problems = read(tmp_path, "soda", {"a.json": bad}).problems
    assert [problem.rule.name for problem in problems] == ["soda-object"] * 2


def test_soda_files_that_disagree(tmp_path):
    photographs(tmp_path, "a.jpg", "b.jpg")
    other = {**SODA, "categories": [{"id": 1, "name": "boat"}]}
    (problem,) = read(tmp_path, "soda", {"a.json": SODA, "b.json": other}).problems
    assert (problem.entry, Path(problem.file).name) == ("categories[0]", "b.json")


def test_soda_d_is_one_coco_file_with_an_ignored_class(tmp_path):
    photographs(tmp_path, "a.jpg")
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 200}],
        "categories": [
            {"id": 1, "name": "people"},
            {"id": 2, "name": "ignore"},
            {"id": 3, "name": "rider"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40]},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]},
        ],
    }
    reading = read(tmp_path, "soda", {"soda.json": content})
    assert boxes(reading) == [("rider", 10, 20, 30, 40)]
    assert crowds(reading) == [("people", 1, 2, 3, 4), ("rider", 1, 2, 3, 4)]
    assert reading.class_ids == {1: 0, 3: 1}
    assert changes(reading) == {"object-ignored": 1}


def feature(image: object, bounds: object, category: object) -> dict[str, object]:
    about = {"image_id": image, "bounds_imcoords": bounds, "type_id": category}
    return {"type": "Feature", "properties": about}


def test_xview(tmp_path):
    photographs(tmp_path, "2355.tif", "10.tif")
    features = [
        feature("2355.tif", "10,20,40,60", 73),
        feature("2355.tif", "1,2,3,4", 18),
        feature("2355.tif", "1,2,3,4", 75),
        feature("2355.tif", "1,2,3,4", 82),
    ]
    labels = {"xview.json": {"type": "FeatureCollection", "features": features}}
    reading = read(tmp_path, "xview", labels)
    assert boxes(reading) == [("73", 10, 20, 30, 40), ("18", 1, 2, 2, 2)]
    assert (reading.class_names, reading.class_ids) == (["18", "73"], {18: 0, 73: 1})
    assert names(reading) == ["10.tif", "2355.tif"]
    assert changes(reading) == {"xview-undefined": 2, "image-without-labels": 1}
    named = read(tmp_path, "xview", labels, classes="11:Fixed-wing\n18:Small Car\n73:Building")
    assert boxes(named) == [("Building", 10, 20, 30, 40), ("Small Car", 1, 2, 2, 2)]
    assert named.class_ids == {11: 0, 18: 1, 73: 2}
    with_75 = read(tmp_path, "xview", labels, classes="18:car\n73:house\n75:tent")
    assert changes(with_75)["xview-undefined"] == 1


def test_xview_s_known_bad_labels(tmp_path):
    photographs(tmp_path, "a.tif")
    features = [
        feature("a.tif", "-20,20,40,60", 73),  # a third lies outside
        feature("a.tif", "150,20,160,60", 73),
        feature("a.tif", "10,20,10,60", 73),
        feature("a.tif", [], 73),
        feature("gone.tif", "1,2,3,4", 73),
        feature("gone.tif", "1,2,3,4", 73),
    ]
    reading = read(tmp_path, "xview", {"xview.json": {"features": features}})
    rules = [problem.rule.name for problem in reading.problems]
    assert rules == ["xview-feature", "image-missing", "box-outside", "box-empty"]
    dropped = read(tmp_path, "xview", {"xview.json": {"features": features}}, ["all=drop"])
    assert boxes(dropped) == [("73", 0, 20, 40, 40)]
    (problem,) = read(tmp_path, "xview", {"xview.json": {"images": []}}).problems
    assert "list of features" in str(problem)
