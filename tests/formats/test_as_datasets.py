"""What the writers write is a data set of the same format."""

import os

import numpy as np
import pytest

from smallobj.data.labels.readers import read_labels
from smallobj.data.labels.spec import parse_spec
from smallobj.formats import Source, Target, read_boxes, write_boxes


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("name", ["csv", "cvat", "labelme"])
def test_written_labels_are_a_dataset(name, scored, tmp_path, photographs):
    boxes = photographs.boxes(3, scored=scored)
    images = str(photographs.folder)
    write_boxes(name, boxes, Target(str(tmp_path / "out"), images))
    reading = read_labels(parse_spec(f"photos={name}:{tmp_path / 'out'}:{images}"))
    assert reading.problems == []
    # The records of a format without a list of images are in the order of the folder.
    records = {os.path.relpath(one["file_name"], images): one for one in reading.records}
    assert sorted(records) == sorted(image.file for image in boxes.images)
    for image in boxes.images:
        record = records[image.file]
        assert (record["height"], record["width"]) == image.size
        found = np.array([one["bbox"] for one in record["annotations"]]).reshape(-1, 4)
        sides = image.boxes[:, 2:] - image.boxes[:, :2]
        np.testing.assert_allclose(found, np.hstack([image.boxes[:, :2], sides]), atol=1e-6)
        names = [reading.class_names[one["category_id"]] for one in record["annotations"]]
        assert names == [boxes.class_names[index] for index in image.classes]
        assert [one.get("score") for one in record["annotations"]] == image.score_list


def test_a_table_of_others_by_its_columns(tmp_path, photographs):
    labels = tmp_path / "labels.csv"
    labels.write_text("wo,was,l,o,r,u\n9.jpg,bolt,20,10,60,30\n")
    images = photographs.folder
    told = "file=wo&class=was&x1=l&y1=o&x2=r&y2=u"
    spec = parse_spec(f"d=csv:{labels}?{told}:{images}")
    assert parse_spec(str(spec)) == spec
    reading = read_labels(spec)
    assert reading.problems == []
    assert [one["bbox"] for record in reading.records for one in record["annotations"]] == [
        [20, 10, 40, 20]
    ]
    source = Source(str(labels), str(images), columns=told.replace("&", ","))
    boxes = {image.file: image.boxes.tolist() for image in read_boxes("csv", source).images}
    assert boxes["9.jpg"] == [[20, 10, 60, 30]]


def test_relative_paths_of_tables_with_told_columns(tmp_path, monkeypatch):
    (tmp_path / "labels.csv").write_text("")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    spec = parse_spec("d=csv:labels.csv?file=wo")
    assert (spec.annotations, spec.images) == (f"{tmp_path}/labels.csv?file=wo", str(tmp_path))
