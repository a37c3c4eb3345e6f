"""Detections in the formats of other tools are read as they are from JSON."""

import json
import shutil

import cv2
import numpy as np
import pytest

from smallobj.data.datasets import DatasetError
from smallobj.data.labels.problems import ResultsError
from smallobj.evaluation.reading.converted_results import format_of
from smallobj.evaluation.reading.load import load_evaluation_set, read_detections, read_labels
from smallobj.formats import Source, Target, read_boxes, write_boxes

CLASSES = ["nut", "bolt", "볼트"]


@pytest.fixture
def files(tmp_path):
    """Labels and COCO results of four photographs; one has no detections."""
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    rng = np.random.default_rng(3)
    names = ["b.jpg", "a.jpg", "deep/c.jpg", "d.jpg"]
    images, labels, found = [], [], []
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / "photos" / name), np.zeros((120, 200, 3), np.uint8))
        images.append({"id": 7 - number, "file_name": name, "width": 200, "height": 120})
        for _ in range(0 if name == "a.jpg" else 5):
            box = [*rng.integers(0, 80, 2).tolist(), *rng.integers(5, 40, 2).tolist()]
            row = {"image_id": 7 - number, "category_id": int(rng.integers(1, 4)), "bbox": box}
            labels.append({"id": len(labels) + 1, **row, "area": box[2] * box[3], "iscrowd": 0})
            found.append({**row, "score": round(float(rng.random()), 3)})
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": labels, "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    (tmp_path / "found.json").write_text(json.dumps(found))
    return tmp_path


def converted(folder, name, output):
    """The results in another format, as tools/convert.py writes them."""
    photos, truth = str(folder / "photos"), str(folder / "truth.json")
    source = Source(str(folder / "found.json"), photos, coco_images=truth)
    write_boxes(name, read_boxes("coco-results", source), Target(output, photos))
    return output


@pytest.mark.parametrize(
    ("name", "output"),
    [("csv", "found.csv"), ("cvat", "found.xml"), ("yolo", "yolo"), ("labelme", "labelme")],
)
def test_every_format_gives_the_same_detections(files, name, output):
    truth, photos = str(files / "truth.json"), str(files / "photos")
    path = converted(files, name, str(files / output))
    assert format_of(path) == name
    expected = load_evaluation_set(truth, str(files / "found.json"), images=photos).detections
    read = load_evaluation_set(truth, path, images=photos).detections
    np.testing.assert_array_equal(read.images, expected.images)
    np.testing.assert_array_equal(read.categories, expected.categories)
    np.testing.assert_array_equal(read.scores, expected.scores)
    np.testing.assert_allclose(read.boxes, expected.boxes, atol=1e-6, rtol=0)
    assert len(read) == 15


def read(files, path):
    return read_detections(str(path), read_labels(str(files / "truth.json")))


def test_a_few_classes_of_many_are_enough(files):
    path = files / "found.csv"
    path.write_text("file,class_id,class,score,x1,y1,x2,y2\nphotos/b.jpg,2,볼트,0.5,1,1,9,9\n")
    assert read(files, path).categories.tolist() == [2]


def test_a_model_with_its_classes_in_another_order(files):
    path = files / "found.csv"
    rows = "b.jpg,0,bolt,0.5,1,1,9,9\nb.jpg,7,nut,0.5,1,1,9,9\nb.jpg,2,,0.5,1,1,9,9\n"
    path.write_text(f"file,class_id,class,score,x1,y1,x2,y2\n{rows}")
    assert read(files, path).categories.tolist() == [1, 0, 2]


def test_nothing_found(files):
    path = files / "found.csv"
    path.write_text("file,class_id,class,score,x1,y1,x2,y2\n")
    table = read(files, path)
    assert len(table) == 0
    assert table.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("row", "error", "told"),
    [
        ("z.jpg,0,nut,0.5,1,1,9,9", ResultsError, r"found\.csv: z\.jpg: the image must be one"),
        ("b.jpg,0,nut,,1,1,9,9", ResultsError, r"b\.jpg: detections must have scores"),
        ("b.jpg,5,screw,0.5,1,1,9,9", DatasetError, r"found\.csv: line 2: .*got 'screw'; known"),
        ("b.jpg,0,nut,nan,1,1,9,9", DatasetError, r"line 2: a score must be a number from 0 to 1"),
        ("b.jpg,0,nut,0.5,9,1,1,9", DatasetError, r"found\.csv: line 2: "),
    ],
)
def test_what_is_wrong_is_told_with_file_and_entry(files, row, error, told):
    path = files / "found.csv"
    path.write_text(f"file,class_id,class,score,x1,y1,x2,y2\n{row}\n")
    with pytest.raises(error, match=told):
        read(files, path)


def test_a_class_that_the_data_set_lacks(files):
    path = files / "yolo"
    converted(files, "yolo", str(path))
    (path / "classes.txt").write_text("nut\nscrew\n볼트\n")
    truth = read_labels(str(files / "truth.json"), images=str(files / "photos"))
    with pytest.raises(ResultsError, match=r"a known one \(got 'screw'"):
        read_detections(str(path), truth)


def test_an_image_known_by_two_names(files):
    path = files / "found.csv"
    rows = "b.jpg,0,nut,0.5,1,1,9,9\nphotos/b.jpg,0,nut,0.5,1,1,9,9\n"
    path.write_text(f"file,class_id,class,score,x1,y1,x2,y2\n{rows}")
    with pytest.raises(ResultsError, match="an image may occur once"):
        read(files, path)


def test_folders_that_tell_no_format(files):
    with pytest.raises(ValueError, match="got neither"):
        format_of(str(files / "photos"))
    (files / "photos" / "b.txt").write_text("")
    shutil.copy(files / "found.json", files / "photos" / "found.json")
    with pytest.raises(ValueError, match="got both"):
        format_of(str(files / "photos"))
    assert format_of(str(files / "found.json")) is None
