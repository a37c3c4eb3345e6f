"""What the writers write is a data set of the same format."""

import os

import numpy as np
import pytest

from smallobj.data.labels.readers import read_labels
from smallobj.data.labels.spec import parse_spec
from smallobj.formats import Target, write_boxes


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
