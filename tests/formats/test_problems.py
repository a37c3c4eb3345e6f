"""Bad input: an error that names file, entry and rule, whatever the format."""

from __future__ import annotations

import json
import re

import numpy as np
import PIL.Image
import pytest

from smallobj.data.datasets import DatasetError
from smallobj.data.labels.policy import Policy
from smallobj.formats import BoxSet, ImageBoxes, Source, Target, read_boxes, write_boxes

HEADER = "file,class_id,class,score,x1,y1,x2,y2\n"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    PIL.Image.new("L", (40, 30)).save(folder / "a.jpg")
    return folder


def error_of(name: str, *source: str, **options: bool) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read_boxes(name, Source(*source), **options)
    return str(caught.value)


def expect(message: str, *parts: str) -> None:
    for part in parts:
        assert part in message, message


def test_files_that_are_not_there(tmp_path):
    gone = str(tmp_path / "gone")
    for name in ("coco", "csv", "cvat", "labelme"):
        expect(error_of(name, gone), gone, "must exist")
    expect(error_of("yolo", gone, str(tmp_path)), gone, "must exist")
    expect(error_of("coco-results", gone, "", "", gone), gone, "must exist")
    expect(error_of("yaml", gone), "unknown format 'yaml'", "labelme")


def csv_error(tmp_path, rows: str, *rest: str) -> str:
    path = tmp_path / "found.csv"
    path.write_text(HEADER + rows)
    return error_of("csv", str(path), *rest)


@pytest.mark.parametrize(
    ("row", "rule", "value"),
    [
        ("a.jpg,0,bolt,nan,1,2,3,4", "a score must be a number from 0 to 1", "'nan'"),
        ("a.jpg,0,bolt,1.5,1,2,3,4", "a score must be", "'1.5'"),
        ("a.jpg,0,bolt,high,1,2,3,4", "a score must be", "'high'"),
        ("a.jpg,0,bolt,0.5,1,2,1,4", "positive width and height", "[1.0, 2.0, 1.0, 4.0]"),
        ("a.jpg,0,bolt,0.5,9,2,3,4", "positive width and height", "9.0"),
        ("a.jpg,0,bolt,0.5,1,2,inf,4", "finite numbers", "inf"),
        ("a.jpg,0,bolt,0.5,1,two,3,4", "a coordinate must be a number", "'two'"),
        ("a.jpg,-1,bolt,0.5,1,2,3,4", "class_id must be a whole number", "'-1'"),
        ("a.jpg,0.0,bolt,0.5,1,2,3,4", "class_id must be a whole number", "'0.0'"),
        ("a.jpg,0,bolt,0.5,1,2,3", "a row must have 8 cells", "'0.5'"),
        ('a.jpg,0,"bolt,0.5,1,2,3,4', "the file must be valid CSV", "end of data"),
    ],
)
def test_csv_rows(tmp_path, row, rule, value):
    good = "a.jpg,0,bolt,0.5,1,2,3,4\n"
    message = csv_error(tmp_path, good + row + "\n")
    expect(message, str(tmp_path / "found.csv"), "line 3", rule, value)


def test_csv_as_a_whole(tmp_path, photos):
    twice = "a.jpg,0,bolt,,1,2,3,4\na.jpg,0,nut,,1,2,3,4\n"
    expect(csv_error(tmp_path, twice), "line 3", "a class_id must stand for one class", "'nut'")
    twice = "a.jpg,0,bolt,,1,2,3,4\na.jpg,3,bolt,,1,2,3,4\n"
    expect(csv_error(tmp_path, twice), "line 3", "a class must have one class_id", "0 and 3")
    mixed = "a.jpg,0,bolt,0.5,1,2,3,4\na.jpg,0,bolt,,1,2,3,4\n"
    expect(csv_error(tmp_path, mixed), "a.jpg", "either all boxes have a score, or none has")
    unknown = csv_error(tmp_path, "b.jpg,0,bolt,,1,2,3,4\n", str(photos))
    expect(unknown, "line 2", "must lie in the folder of images", "'b.jpg'")
    outside = csv_error(tmp_path, "a.jpg,0,bolt,,1,2,500,4\n", str(photos))
    expect(outside, "line 2", "may lie outside its image", "40 wide and 30 high")
    (tmp_path / "names.txt").write_text("bolt\nnut\n")
    known = csv_error(tmp_path, "a.jpg,2,pin,,1,2,3,4\n", "", str(tmp_path / "names.txt"))
    expect(known, "line 2", "the class must be a known one", "'pin'; known are")
    (tmp_path / "found.csv").write_text("x,y\n1,2\n")
    expect(error_of("csv", str(tmp_path / "found.csv")), "line 1", "the first line must be file,")


def test_what_is_dropped_is_counted(tmp_path):
    path = tmp_path / "found.csv"
    rows = "a.jpg,0,bolt,0.5,1,2,3,4\na.jpg,0,bolt,nan,1,2,3,4\na.jpg,0,bolt,0.5,3,2,1,4\n"
    path.write_text(HEADER + rows)
    with pytest.raises(DatasetError) as caught:
        read_boxes("csv", Source(str(path)))
    assert len(caught.value.problems) == 2
    dropping = Policy.of(["all=drop"])
    boxes = read_boxes("csv", Source(str(path), policy=dropping))
    np.testing.assert_array_equal(boxes.images[0].boxes, [[1, 2, 3, 4]])
    assert sum(boxes.changes.counts.values()) == 2
    path.write_text(HEADER + rows + "a.jpg,0\n")
    boxes = read_boxes("csv", Source(str(path), policy=dropping))
    assert "row dropped: 1 (csv-row" in "\n".join(boxes.changes.lines())


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [],
    "categories": [{"id": 5, "name": "bolt"}],
}


@pytest.mark.parametrize(
    ("results", "parts"),
    [
        ('[{"image_id": 1, "cat', ["valid JSON", "line 1"]),
        ({}, ["a JSON list of results"]),
        ([{"image_id": 1}], ["[0]", "image_id, category_id, bbox and score"]),
        ([[2, 5, [1, 2, 3, 4], 0.5]], ["[0]", "the image must be one of the data set", "got 2"]),
        ([[1, 6, [1, 2, 3, 4], 0.5]], ["[0]", "a known one", "6; known are [5]"]),
        ([[1, 5, [1, 2, -3, 4], 0.5]], ["[0]", "positive width"]),
        ([[1, 5, [1, 2, 3], 0.5]], ["[0]", "four numbers"]),
        ([[1, 5, [1, 2, 3, 4], float("nan")]], ["[0]", "a score must be", "nan"]),
        ([[1, 5, [1, 2, True, 4], 0.5]], ["[0]", "a coordinate must be a number", "True"]),
        ([[1, 5, [1, 2, 10**400, 4], 0.5]], ["[0]", "finite numbers"]),
    ],
)
def test_coco_results(tmp_path, results, parts):
    (tmp_path / "images.json").write_text(json.dumps(COCO))
    if isinstance(results, list) and isinstance(results[0], list):
        keys = ("image_id", "category_id", "bbox", "score")
        results = [dict(zip(keys, row, strict=True)) for row in results]
    path = tmp_path / "results.json"
    path.write_text(results if isinstance(results, str) else json.dumps(results))
    message = error_of("coco-results", str(path), "", "", str(tmp_path / "images.json"))
    expect(message, str(path), *parts)


def test_what_a_format_cannot_do_without(tmp_path):
    expect(error_of("coco-results", "found.json"), "found.json", "--coco-images")
    expect(error_of("yolo", "labels"), "labels", "--images")
    broken = {**COCO, "images": [{"id": 1, "file_name": "a.jpg"}]}
    (tmp_path / "in.json").write_text(json.dumps(broken))
    message = error_of("coco", str(tmp_path / "in.json"))
    expect(message, "images[0] (a.jpg)", "must have a whole width and height", "None and None")


def test_yolo_lines(tmp_path, photos):
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "classes.txt").write_text("bolt\n")
    lines = ["0 0.5 0.5 0.1 0.1 1.2", "0 0.5 0.5 0.1", "3 0.5 0.5 0.1 0.1", "0 0.5 0.5 2 0.1"]
    lines += ["0 0.5 0.5 0.1 0.1 nan", "0 0.5 0.5 0.1 0.1 2 0.3"]
    (labels / "a.txt").write_text("\n".join(lines))
    message = error_of("yolo", str(labels), str(photos))
    expect(message, str(labels / "a.txt"), "of detections a score from 0 to 1", "known are 0")
    assert re.findall(r"line (\d)", message) == ["1", "2", "3", "4", "5", "6"]
    (labels / "a.txt").write_text("0 .5 .5 .1 .1 0.7\n0 .5 .5 .1 .1\n")
    expect(error_of("yolo", str(labels), str(photos)), "either all boxes have a score", "a.jpg")
    (labels / "classes.txt").unlink()
    expect(error_of("yolo", str(labels), str(photos)), "classes.txt", "must exist")


def labelme(**changes) -> dict:
    shape = {"label": "bolt", "points": [[9, 8], [1, 2]], "shape_type": "rectangle", "flags": {}}
    content = {"imagePath": "a.jpg", "imageWidth": 40, "imageHeight": 30, "shapes": [shape]}
    return {**content, **changes, "shapes": changes.get("shapes", [{**shape, **changes}])}


def test_labelme_as_its_users_draw(tmp_path):
    """From any corner, below a folder, named with backslashes; a score beside other words."""
    (tmp_path / "sub").mkdir()
    content = labelme(imagePath="..\\a.jpg", description="check! score=0.25, blurred")
    (tmp_path / "sub/a.json").write_text(json.dumps(content))
    (image,) = read_boxes("labelme", Source(str(tmp_path))).images
    assert (image.file, image.size, image.score_list) == ("a.jpg", (30, 40), [0.25])
    np.testing.assert_array_equal(image.boxes, [[1, 2, 9, 8]])


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"shape_type": "polygon"}, ["shapes[0]", "must have an area", "'polygon'"]),
        ({"shape_type": "linestrip"}, ["shapes[0]", "must have an area", "'linestrip'"]),
        ({"shape_type": "sphere"}, ["shapes[0]", "a known shape_type", "'sphere'"]),
        ({"points": [[1, 2]]}, ["shapes[0]", "a rectangle two or four", "[[1, 2]]"]),
        ({"points": [[1, "x"], [3, 4]]}, ["shapes[0]", "a coordinate must be a number", "'x'"]),
        ({"points": [[1, 2], [1, 9]]}, ["shapes[0]", "positive width"]),
        ({"label": None}, ["shapes[0]", "must have a class", "None"]),
        ({"description": "score=9"}, ["shapes[0]", "a score must be", "'9'"]),
        ({"imageWidth": 40.5}, ["must have a whole width and height", "40.5"]),
        ({"imagePath": None}, ["a text imagePath"]),
        ({"shapes": None}, ["a list of shapes"]),
    ],
)
def test_labelme(tmp_path, changes, parts):
    (tmp_path / "a.json").write_text(json.dumps(labelme(**changes)))
    expect(error_of("labelme", str(tmp_path)), str(tmp_path / "a.json"), *parts)


def test_labelme_with_known_classes_and_images(tmp_path, photos):
    (tmp_path / "names.txt").write_text("nut\n")
    (photos / "a.json").write_text(json.dumps(labelme()))
    message = error_of("labelme", str(photos), str(photos), str(tmp_path / "names.txt"))
    expect(message, "shapes[0]", "a known one", "'bolt'; known are ['nut']")
    (photos / "b.json").write_text(json.dumps(labelme()))
    expect(error_of("labelme", str(photos)), "b.json", "an image may be listed once", "'a.jpg'")
    (photos / "b.json").write_text(json.dumps(labelme(imagePath="b.jpg")))
    expect(error_of("labelme", str(photos), str(photos)), "b.json", "image file must exist")


def cvat(inner: str, head: str = "") -> str:
    image = f'<image id="0" name="a.jpg" width="40" height="30">{inner}</image>'
    return f'<?xml version="1.0"?>{head}<annotations><version>1.1</version>\n{image}</annotations>'


BOX = '<box label="bolt" xtl="{}" ytl="2" xbr="9" ybr="8" {}>{}</box>'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (cvat(BOX.format("x", "", "")), ["line 2 (image a.jpg)", "must be a number", "'x'"]),
        (cvat(BOX.format(9, "", "")), ["line 2", "positive width"]),
        (cvat(BOX.format(1, 'rotation="30 degrees"', "")), ["must be a number", "'30 degrees'"]),
        (cvat('<box xtl="1"/>'), ["line 2", "a box xtl, ytl, xbr and ybr"]),
        (cvat('<polygon points="1,2"/>'), ["a shape must have an area", "<polygon>"]),
        (cvat("").replace('"40"', '"0"'), ["whole, positive width and height"]),
        (cvat("") + "<x/>", ["the file must be valid XML", "line 2"]),
        (cvat("")[:60], ["the file must be valid XML"]),
        ("", ["the file must be valid XML", "no element found"]),
        ("<html/>", ["the root element annotations", "'html'"]),
        ("<annotations><track>\n<box/></track></annotations>", ["line 2", "number of its frame"]),
    ],
)
def test_cvat(tmp_path, text, parts):
    (tmp_path / "in.xml").write_text(text)
    expect(error_of("cvat", str(tmp_path / "in.xml")), str(tmp_path / "in.xml"), *parts)


def test_cvat_scores_and_labels(tmp_path):
    path = tmp_path / "in.xml"
    score = '<attribute name="score">{}</attribute>'
    path.write_text(cvat(BOX.format(1, "", score.format("2"))))
    expect(error_of("cvat", str(path)), "a score must be", "'2'")
    labels = "<meta><job><labels><label><name>nut</name></label></labels></job></meta>"
    path.write_text(cvat(BOX.format(1, "", "")).replace("</version>", f"</version>{labels}"))
    expect(error_of("cvat", str(path)), "'bolt'; known are ['nut']")
    path.write_text(cvat(BOX.format(1, 'rotation="0.0"', score.format(" 0.5 "))))
    assert read_boxes("cvat", Source(str(path))).images[0].score_list == [0.5]


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE annotations [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE annotations SYSTEM "http://localhost/a.dtd">',
    ],
)
def test_cvat_refuses_entities(tmp_path, head):
    (tmp_path / "in.xml").write_text(cvat(BOX.format(1, "", "")[:-6] + "&a;</box>", head))
    message = error_of("cvat", str(tmp_path / "in.xml"))
    expect(message, "line 1", "must not have a document type", "DOCTYPE 'annotations'")


def test_a_billion_laughs_take_no_memory(tmp_path):
    entities = ['<!ENTITY l0 "ha">']
    entities += [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12)]
    head = f"<!DOCTYPE annotations [{''.join(entities)}]>"
    (tmp_path / "in.xml").write_text(cvat('<box label="&l11;"/>', head))
    expect(error_of("cvat", str(tmp_path / "in.xml")), "must not have a document type")


def one_image(file: str = "a.jpg", size=(30, 40), scores=None, names=("bolt",)) -> BoxSet:
    image = ImageBoxes(file, size, np.array([[1.0, 2, 3, 4]]), np.array([0]), scores)
    return BoxSet([image], names)


@pytest.mark.parametrize("name", ["coco", "cvat", "labelme", "yolo"])
def test_writers_need_sizes(name, tmp_path):
    with pytest.raises(ValueError, match=r"a\.jpg.*needs the size of each image.*--images"):
        write_boxes(name, one_image(size=None), Target(str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", ["../a.jpg", "/a.jpg", "x/../../a.jpg", "..\\a.jpg", "C:/a.jpg"])
@pytest.mark.parametrize("name", ["labelme", "yolo"])
def test_names_never_lead_out_of_the_folder(name, file, tmp_path):
    with pytest.raises(ValueError, match="by its path below the folder of images"):
        write_boxes(name, one_image(file), Target(str(tmp_path / "in/out")))
    assert list(tmp_path.iterdir()) == []


def test_writers_refuse_what_their_format_cannot_hold(tmp_path):
    out = Target(str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"no scores.*coco-results.*--drop-scores"):
        write_boxes("coco", one_image(scores=np.array([0.5])), out)
    with pytest.raises(ValueError, match="need scores"):
        write_boxes("coco-results", one_image(), out)
    with pytest.raises(ValueError, match="--coco-images"):
        write_boxes("coco-results", one_image(scores=np.array([0.5])), out)
    with pytest.raises(ValueError, match=r"classes\.jpg.*label file of its own"):
        write_boxes("yolo", one_image("classes.jpg"), out)
    with pytest.raises(ValueError, match="names on one line"):
        write_boxes("yolo", one_image(names=("two\nlines",)), out)
    with pytest.raises(ValueError, match="XML cannot hold"):
        write_boxes("cvat", one_image(names=("bell\a",)), out)
    two = BoxSet([*one_image("a.jpg").images, *one_image("a.png").images], ["bolt"])
    with pytest.raises(ValueError, match=r"a\.png.*a\.txt belongs to a\.jpg"):
        write_boxes("yolo", two, out)
    assert list(tmp_path.iterdir()) == []


def test_coco_results_name_the_image_or_class_that_has_no_id(tmp_path):
    (tmp_path / "images.json").write_text(json.dumps(COCO))
    target = Target(str(tmp_path / "out.json"), "", str(tmp_path / "images.json"))
    scores = np.array([0.5])
    with pytest.raises(ValueError, match=r"images\.json: there is no image 'b\.jpg'"):
        write_boxes("coco-results", one_image("b.jpg", scores=scores), target)
    with pytest.raises(ValueError, match=r"images\.json: there is no class 'nut'"):
        write_boxes("coco-results", one_image(scores=scores, names=("nut",)), target)


@pytest.mark.parametrize("name", ["coco", "csv", "cvat", "labelme", "yolo"])
def test_files_are_not_replaced_unasked(name, tmp_path):
    target = Target(str(tmp_path / "out"))
    write_boxes(name, one_image(), target)
    with pytest.raises(ValueError, match=r"exists already \(--overwrite"):
        write_boxes(name, one_image(), target)
    write_boxes(name, one_image(), Target(str(tmp_path / "out"), overwrite=True))
    assert not list(tmp_path.rglob("*.part"))
