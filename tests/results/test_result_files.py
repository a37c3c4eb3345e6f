import json

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from pycocotools import mask as mask_util

from smallobj.geometry.masks import CropMasks
from smallobj.results.result_files import ImageResult, ResultFiles

NAMES = ["nut", "größe"]


def instances(count, size=40000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 4, generator=generator) * size / 2
    corners[:, 2:] += corners[:, :2]
    found = Instances((size, size))
    found.pred_boxes = Boxes(corners)
    found.scores = torch.rand(count, generator=generator)
    found.pred_classes = torch.randint(0, 2, (count,), generator=generator)
    return found


@pytest.mark.parametrize("size", [100, 3000, 40000, 100000])
def test_an_entry_read_back_is_written_the_same(size):
    image = ImageResult.from_instances("a.jpg", 3, instances(2000, size))
    entry = json.loads(json.dumps(image.entry(NAMES)))
    again = ImageResult.from_entry(entry, 3)
    assert again.entry(NAMES) == image.entry(NAMES)
    # Widths are differences of float32: those of rounded decimals would differ in the last digit.
    assert again.coco([1, 2]) == image.coco([1, 2])
    assert again.rows(NAMES) == image.rows(NAMES)


@pytest.mark.parametrize("counts", [[], [0], [2, 0, 3], [4096, 1], [4097], [0, 9000]])
def test_files_written_by_image_are_those_written_at_once(tmp_path, counts):
    images = [
        ImageResult.from_instances(f"{n}.jpg", n + 1, instances(count, seed=n))
        for n, count in enumerate(counts)
    ]
    names = [str(tmp_path / name) for name in ("d.json", "d.csv", "c.json")]
    with ResultFiles(NAMES, [5, 7], *names) as files:
        for image in images:
            files.add(image)
    content = {"images": [image.entry(NAMES) for image in images], "classes": NAMES}
    text = (tmp_path / "d.json").read_bytes().decode()
    assert json.loads(text) == content
    # A line for each detection, two about each image, and the first and last of the file.
    about = sum(1 + bool(count) for count in counts)
    assert text.count("\n") == sum(counts) + about + 2
    boxes = [box for image in images for box in image.coco([5, 7])]
    assert (tmp_path / "c.json").read_text() == json.dumps(boxes) + "\n"
    lines = (tmp_path / "d.csv").read_text().splitlines()
    assert lines[0] == "file,class_id,class,score,x1,y1,x2,y2"
    assert lines[1:] == [",".join(map(str, r)) for image in images for r in image.rows(NAMES)]
    beside = json.loads((tmp_path / "d.csv.classes.json").read_text())
    assert beside == {"names": NAMES, "category_ids": [5, 7]}
    written = ["c.json", "d.csv", "d.csv.classes.json", "d.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == written


def test_masks_are_written_as_run_lengths_and_read_back(tmp_path):
    found = instances(3, size=60)
    found.pred_masks = torch.rand(3, 60, 60) > 0.7
    image = ImageResult.from_instances("a.jpg", 3, found)
    found.pred_masks = CropMasks.from_bitmasks(found.pred_masks)
    names = [str(tmp_path / name) for name in ("d.json", "c.json")]
    with ResultFiles(NAMES, [5, 7], names[0], coco_file=names[1]) as files:
        files.add(ImageResult.from_instances("a.jpg", 3, found))
    rows = json.loads((tmp_path / "c.json").read_text())
    assert rows == image.coco([5, 7])
    for row, mask in zip(rows, found.pred_masks, strict=True):
        assert np.array_equal(mask_util.decode(row["segmentation"]), mask.numpy())
    (entry,) = json.loads((tmp_path / "d.json").read_text())["images"]
    again = ImageResult.from_entry(entry, 3)
    assert again.coco([5, 7]) == rows
    assert [part.masks for part in again.blocks(2)] == [again.masks[:2], again.masks[2:]]
    assert ImageResult.from_instances("a.jpg", 3, instances(3)).masks is None


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "d.json").write_text("old")
    with pytest.raises(KeyError), ResultFiles(NAMES, [1, 2], str(tmp_path / "d.json")):
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["d.json"]
    assert (tmp_path / "d.json").read_text() == "old"


def test_a_file_name_that_is_no_text_becomes_an_escape(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    image = ImageResult.from_instances(name, 1, instances(1))
    with ResultFiles(NAMES, [1, 2], str(tmp_path / "d.json")) as files:
        files.add(image)
    assert json.loads((tmp_path / "d.json").read_bytes())["images"][0]["file"] == name
