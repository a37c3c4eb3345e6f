"""Ground truth and results from files, and their figures against pycocotools' on the same files."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from smallobj.data.datasets import DatasetError
from smallobj.data.labels.policy import Policy
from smallobj.data.labels.problems import ResultsError
from smallobj.evaluation.evaluators.coco import coco_metrics
from smallobj.evaluation.reading.load import load_evaluation_set, read_labels


def coco_file(tmp_path, seed=0, sizes=True, digits=0):
    """Labels and results with crowds, areas other than the boxes', unsorted and gappy ids."""
    rng = np.random.default_rng(seed)
    images = [
        {"id": int(i), "file_name": f"{i}.jpg", **({"width": 300, "height": 200} if sizes else {})}
        for i in rng.permutation(40)[:12]
    ]
    categories = [{"id": k, "name": f"class {k}"} for k in (9, 2, 40)]
    labels, found = [], []
    for image in images[1:]:
        for _ in range(rng.integers(0, 9)):
            box = [*rng.integers(0, 90, 2).tolist(), *rng.choice([8, 20, 60, 100], 2).tolist()]
            if digits:
                box = [*(np.array(box) + rng.random(4)).round(digits).tolist()]
            category = int(rng.choice([2, 9]))
            area = box[2] * box[3] * float(rng.choice([0.4, 1.0]))
            crowd = int(rng.random() < 0.15)
            row = {"image_id": image["id"], "category_id": category, "bbox": box}
            labels.append({"id": len(labels) + 1, **row, "area": area, "iscrowd": crowd})
            for _ in range(rng.integers(0, 4)):
                step = rng.integers(-2, 3, 4) * (0.5 if digits else 1)
                moved = (np.array(box) + step).round(digits or 1).tolist()
                other = int(rng.choice([category, category, 40]))
                found.append({**row, "category_id": other, "bbox": moved, "score": 0.0})
    for row in found:
        row["score"] = int(rng.integers(1, 8)) / 8
    order = rng.permutation(len(found))
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    content = {"images": images, "annotations": labels, "categories": categories}
    truth.write_text(json.dumps(content))
    results.write_text(json.dumps([found[i] for i in order]))
    return str(truth), str(results)


@pytest.mark.parametrize("digits", [0, 1, 2])
@pytest.mark.parametrize("seed", range(12))
def test_figures_of_the_files_are_those_of_pycocotools(tmp_path, seed, digits):
    """With one digit many an IoU is a threshold but for the rounding of x + w."""
    truth, results = coco_file(tmp_path, seed, digits=digits)
    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO(truth)
        run = COCOeval(labels, labels.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    data = load_evaluation_set(truth, results)
    metrics = coco_metrics(data)
    expected = dict(zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), run.stats[:6], strict=True))
    for name, value in (expected | {"AR": run.stats[8]}).items():
        value = 100 * value if value > -1 else np.nan
        assert metrics[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name
    assert 5 < metrics["AP"] < 95
    assert list(data.image_ids) == sorted(data.image_ids)
    assert (np.diff(data.detections.images) >= 0).all()
    assert list(data.class_names) == ["class 2", "class 9", "class 40"]


def test_no_images_at_hand_need_sizes_in_the_file(tmp_path):
    truth, results = coco_file(tmp_path)
    assert load_evaluation_set(truth, results).sizes.tolist() == [[200, 300]] * 12
    truth, _ = coco_file(tmp_path, sizes=False)
    with pytest.raises(DatasetError, match=r"12 problems.*\n.*truth\.json: images\[0\]"):
        read_labels(truth)
    with pytest.raises(DatasetError, match="no such folder"):
        read_labels(truth, images=str(tmp_path / "photos"))


def test_bad_label_boxes_can_be_dropped(tmp_path):
    truth, results = coco_file(tmp_path)
    content = json.loads((tmp_path / "truth.json").read_text())
    content["annotations"][3]["bbox"][2] = 0
    (tmp_path / "truth.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"annotations\[3\].*positive width"):
        load_evaluation_set(truth, results)
    data = load_evaluation_set(truth, results, policy=Policy.of(["all=drop"]))
    assert len(data.labels) == len(content["annotations"]) - 1


def test_results_of_this_project_and_of_the_challenge(tiny_dataset, tmp_path, catalog):
    """On a registered dataset, by its name and by a spec."""
    labels = json.loads((tiny_dataset.root / "val.json").read_text())
    challenge = {name: [[*row, 0.5] for row in rows] for name, rows in labels.items()}
    own = {
        "images": [
            {
                "file": f"somewhere/{name}",
                "width": 320,
                "height": 256,
                "detections": [
                    {"class_id": k, "score": 0.5, "box": [x, y, x + w, y + h]}
                    for k, x, y, w, h in rows
                ],
            }
            for name, rows in labels.items()
        ],
        "classes": list(tiny_dataset.names),
    }
    spec, found = tiny_dataset.spec("load_val", "val"), []
    for content in (challenge, own):
        path = tmp_path / "found.json"
        path.write_text(json.dumps(content))
        found += [load_evaluation_set(one, str(path)) for one in (spec, "load_val")]
    for data in found:
        assert list(data.class_names) == list(tiny_dataset.names)
        assert [name.rsplit("/", 1)[1] for name in data.file_names] == ["0.jpg", "1.jpg", "2.jpg"]
        np.testing.assert_array_equal(data.detections.boxes, data.labels.boxes)
        np.testing.assert_array_equal(data.detections.images, data.labels.images)
        np.testing.assert_array_equal(data.detections.categories, data.labels.categories)
        assert coco_metrics(data)["AP"] == pytest.approx(100)


def test_what_is_no_ground_truth(tiny_dataset, tmp_path, catalog):
    with pytest.raises(ValueError, match=r"unknown dataset 'nowhere'; ground truth is a COCO file"):
        read_labels("nowhere")
    with pytest.raises(ValueError, match="only goes with a COCO file"):
        read_labels(tiny_dataset.spec("load_val", "val"), images=str(tmp_path))
    with pytest.raises(DatasetError, match="the file must exist"):
        read_labels(str(tmp_path / "none.json"))
    truth, results = coco_file(tmp_path)
    with pytest.raises(DatasetError, match="must be a JSON object with the lists images"):
        load_evaluation_set(results, results)
    with pytest.raises(ResultsError, match="not labels"):
        load_evaluation_set(truth, truth)


def test_a_dataset_without_labels(tiny_dataset, catalog):
    spec = f"bare=challenge::{tiny_dataset.root}/val:{tiny_dataset.root}/names.txt"
    assert len(read_labels(spec).data.labels) == 0  # its images count as holding nothing
