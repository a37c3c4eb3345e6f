import json

import pytest

from smallobj.bulk.folder import RunFolder
from smallobj.bulk.merge import merge_records
from smallobj.bulk.records import RecordWriter
from smallobj.results.result_files import ResultFiles

PATHS = [f"{number}.jpg" for number in range(5)]


def record(index):
    if index == 3:
        return {"file": PATHS[index], "error": "broken"}
    box = {"class": "nut", "class_id": 0, "score": 0.5, "box": [1.5, 2.0, 30.25, 40.0]}
    return {"file": PATHS[index], "width": 80, "height": 60, "detections": [box] * index}


def merged(tmp_path, name, shares):
    """Results of processes that did these images each."""
    folder = RunFolder(str(tmp_path / name))
    folder.prepare({}, PATHS, resume=False)
    for rank, share in enumerate(shares):
        writer = RecordWriter(folder.part(1, rank, len(shares)))
        for index in share:
            writer.write(index, record(index))
        writer.close()
    names = [str(tmp_path / name / file) for file in ("d.json", "d.csv", "c.json")]
    totals = merge_records(
        folder, folder.records(), ResultFiles(["nut"], [7], *names), [11, 12, 13, 14, 15]
    )
    files = ("detections.jsonl", "d.json", "d.csv", "c.json")
    return totals, [(tmp_path / name / file).read_bytes() for file in files]


def test_however_the_work_was_shared_the_files_are_the_same(tmp_path):
    totals, alone = merged(tmp_path, "alone", [range(5)])
    assert (totals.images, totals.broken, totals.detections) == (5, 1, 7)
    assert totals.reasons == ["broken"]
    assert [json.loads(line)["index"] for line in alone[0].splitlines()] == list(range(5))
    assert [image["file"] for image in json.loads(alone[1])["images"]] == [
        path for path in PATHS if path != "3.jpg"
    ]
    boxes = json.loads(alone[3])
    assert [box["image_id"] for box in boxes] == [12, 13, 13, 15, 15, 15, 15]
    assert boxes[0] == {
        **{"image_id": 12, "category_id": 7, "score": 0.5},
        "bbox": [1.5, 2.0, 28.75, 38.0],
    }
    for name, shares in (("two", [(4, 0), (1, 2, 3)]), ("four", [(3,), (), (4, 2), (1, 0)])):
        assert merged(tmp_path, name, shares) == (totals, alone)


def test_nothing_is_written_while_an_image_is_missing(tmp_path):
    with pytest.raises(KeyError):
        merged(tmp_path, "run", [(0, 1), (4, 3)])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"run.json", "images.txt", "parts"}
