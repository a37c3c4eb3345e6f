import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from smallobj import get_cfg
from smallobj.evaluation.evaluators.challenge import ChallengeEvaluator
from smallobj.evaluation.evaluators.coco import RESULTS_FILE, FastCOCOEvaluator
from smallobj.evaluation.evaluators.registry import build_evaluator, headline_of

from detectron2.structures import Boxes, BoxMode, Instances  # isort: skip

NAMES = ["coin", "nut", "bolt", "ring"]


def record(image_id, annotations):
    """annotations: (category, XYXY, iscrowd)."""
    return {
        "file_name": f"{image_id}.jpg",
        "image_id": image_id,
        "height": 400,
        "width": 400,
        "annotations": [
            {"bbox": b, "bbox_mode": BoxMode.XYXY_ABS, "category_id": k, "iscrowd": crowd}
            for k, b, crowd in annotations
        ],
    }


def output(rows):
    """rows: (category, XYXY, score)."""
    found = Instances((400, 400))
    found.pred_boxes = Boxes(torch.tensor([r[1] for r in rows]).reshape(-1, 4).float())
    found.scores = torch.tensor([float(r[2]) for r in rows])
    found.pred_classes = torch.tensor([r[0] for r in rows], dtype=torch.int64)
    return {"instances": found}


def run(evaluator, dicts, outputs):
    evaluator.reset()
    for inputs, found in zip(dicts, outputs, strict=True):
        evaluator.process([inputs], [found])
    return evaluator.evaluate()


def random_set(seed, images=12):
    """Dense whole-pixel boxes of all three COCO sizes; tied scores, crowds, empty images."""
    rng = np.random.default_rng(seed)
    dicts, outputs = [], []
    for image_id in range(images):
        count = 0 if image_id % 5 == 3 else rng.integers(1, 25)
        corner = rng.integers(0, 60, (count, 2))
        side = rng.choice([8, 12, 30, 50, 120], (count, 1)) + rng.integers(0, 3, (count, 2))
        boxes = np.concatenate([corner, corner + side], 1)
        # Class 3 has no ground truth at all.
        truth = [(int(rng.integers(3)), b.tolist(), int(rng.random() < 0.15)) for b in boxes]
        near = [(k, np.add(b, rng.integers(-2, 3, 4)).tolist()) for k, b, _ in truth * 2]
        loose = [(int(rng.integers(4)), b) for b in rng.permutation(boxes).tolist()]
        found = [(*d, rng.integers(1, 9) / 8) for d in near + loose]
        found = [found[i] for i in rng.permutation(len(found))]
        dicts.append(record(image_id, truth))
        outputs.append(output([] if image_id % 5 == 4 else found))
    return dicts, outputs


def official(dicts, outputs, limit):
    """pycocotools on the same set; its summary is for 100 detections, so the mean is ours."""
    truth, results = COCO(), COCO()
    shared = {
        "images": [{"id": d["image_id"]} for d in dicts],
        "categories": [{"id": k} for k in range(len(NAMES))],
    }
    rows, found = [], []
    for d, out in zip(dicts, outputs, strict=True):
        for a in d["annotations"]:
            x, y, x2, y2 = a["bbox"]
            rows.append((d["image_id"], a["category_id"], [x, y, x2 - x, y2 - y], a["iscrowd"], 0))
        instances = out["instances"]
        for b, s, k in zip(
            instances.pred_boxes.tensor.tolist(),
            instances.scores.tolist(),
            instances.pred_classes.tolist(),
            strict=True,
        ):
            box = [b[0], b[1], b[2] - b[0], b[3] - b[1]]
            found.append((d["image_id"], k, box, 0, s))
    for api, content in ((truth, rows), (results, found)):
        keys = ("image_id", "category_id", "bbox", "iscrowd", "score")
        api.dataset = shared | {
            "annotations": [
                {"id": i, "area": c[2][2] * c[2][3], **dict(zip(keys, c, strict=True))}
                for i, c in enumerate(content, 1)
            ]
        }
        api.createIndex()
    evaluation = COCOeval(truth, results, "bbox")
    evaluation.params.maxDets = [1, min(10, limit), limit]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][..., -1], evaluation.eval["recall"][..., -1], evaluation


def mean(values):
    values = values[values > -1]
    return values.mean() * 100 if values.size else float("nan")


@pytest.mark.parametrize("limit", [5, 100, 300])
@pytest.mark.parametrize("seed", range(3))
def test_same_numbers_as_pycocotools(register, seed, limit):
    dicts, outputs = random_set(seed)
    name = register(dicts)
    found = run(FastCOCOEvaluator(name, max_detections=limit), dicts, outputs)["bbox"]
    with contextlib.redirect_stdout(io.StringIO()):
        precision, recall, _ = official(dicts, outputs, limit)
    expected = {
        "AP": mean(precision[:, :, :, 0]),
        "AP50": mean(precision[0, :, :, 0]),
        "AP75": mean(precision[5, :, :, 0]),
        "APs": mean(precision[:, :, :, 1]),
        "APm": mean(precision[:, :, :, 2]),
        "APl": mean(precision[:, :, :, 3]),
        "AR": mean(recall[:, :, 0]),
    }
    for k, label in enumerate(NAMES):
        expected[f"AP-{label}"] = mean(precision[:, :, k, 0])
        expected[f"AP50-{label}"] = mean(precision[0, :, k, 0])
    assert found.keys() == expected.keys()
    assert 5 < found["AP"] < 95
    assert np.isnan(found["AP-ring"])
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, abs=1e-9, nan_ok=True), metric


def test_same_as_the_official_summary(register):
    dicts, outputs = random_set(7)
    found = run(FastCOCOEvaluator(register(dicts)), dicts, outputs)["bbox"]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = official(dicts, outputs, 100)[2]
        evaluation.summarize()
    ours = [found[m] for m in ("AP", "AP50", "AP75", "APs", "APm", "APl")] + [found["AR"]]
    theirs = [*evaluation.stats[:6], evaluation.stats[8]]
    assert ours == pytest.approx([100 * s for s in theirs], abs=1e-9)


def test_detections_beyond_a_hundred_count_when_asked(register, caplog):
    boxes = [[x, y, x + 8, y + 8] for x in range(0, 400, 20) for y in range(0, 200, 20)]
    dicts = [record(1, [(0, b, 0) for b in boxes])]
    outputs = [output([(0, b, 0.9) for b in boxes])]
    name = register(dicts)
    assert run(FastCOCOEvaluator(name, max_detections=200), dicts, outputs)["bbox"]["AR"] == 100
    told = "the limit (maxDets) 100 per image and class leaves out 100 detections of 1 images"
    assert told not in caplog.text
    assert run(FastCOCOEvaluator(name, max_detections=100), dicts, outputs)["bbox"]["AR"] == 50
    assert told in caplog.text


def test_nothing_found_is_zero_and_nothing_to_find_is_nan(register):
    dicts = [record("a", [(0, [10, 10, 20, 20], 0)])]
    found = run(FastCOCOEvaluator(register(dicts)), dicts, [output([])])["bbox"]
    assert found["AP"] == found["AP50-coin"] == found["APs"] == 0
    assert np.isnan(found["APl"])
    assert np.isnan(found["AP-nut"])
    empty = [record("a", [])]
    for rows in ([], [(0, [10, 10, 20, 20], 0.9)]):
        found = run(FastCOCOEvaluator(register(empty)), empty, [output(rows)])["bbox"]
        assert np.isnan(list(found.values())).all()


def test_images_that_were_not_seen_count_as_empty(register):
    box = [10, 10, 20, 20]
    dicts = [record(i, [(0, box, 0)]) for i in range(2)]
    name = register(dicts)
    for evaluator in (FastCOCOEvaluator(name), ChallengeEvaluator(name)):
        found = run(evaluator, dicts[:1], [output([(0, box, 0.9)])])
        share = found["bbox"]["AR"] if "bbox" in found else found["challenge"]["AP50-coin"]
        assert share == 50


def test_results_file_and_nothing_else(register, tmp_path):
    dicts = [record("left", [(1, [10, 10, 20, 20], 0)]), record("right", [])]
    name = register(dicts, thing_dataset_id_to_contiguous_id={5: 0, 7: 1, 8: 2, 9: 3})
    outputs = [output([(1, [10, 12, 20, 24], 0.75)]), output([])]
    run(FastCOCOEvaluator(name, str(tmp_path / "new")), dicts, outputs)
    assert [p.name for p in tmp_path.rglob("*.*")] == [RESULTS_FILE]
    assert json.loads((tmp_path / "new" / RESULTS_FILE).read_text()) == [
        {"image_id": "left", "category_id": 7, "bbox": [10, 12, 10, 12], "score": 0.75}
    ]


def test_unlabelled_images_give_a_file_and_no_numbers(register, tmp_path):
    dicts = [{"file_name": "a.jpg", "image_id": 1, "height": 9, "width": 9}]
    name = register(dicts)
    assert run(FastCOCOEvaluator(name, str(tmp_path)), dicts, [output([])]) == {}
    assert (tmp_path / RESULTS_FILE).exists()


def test_other_box_modes_and_own_areas(register):
    label = {"bbox": [10, 10, 100, 100], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 0}
    dicts = [record(1, [])]
    dicts[0]["annotations"] = [{**label, "area": 500.0}]
    found = run(FastCOCOEvaluator(register(dicts)), dicts, [output([(0, [10, 10, 110, 110], 0.5)])])
    assert found["bbox"]["AP"] == pytest.approx(100)
    assert found["bbox"]["APs"] == pytest.approx(100)  # by its own area, not the box's 10000
    assert np.isnan(found["bbox"]["APl"])


def test_challenge_evaluator_leaves_crowds_out(register):
    box, crowd = [10, 10, 20, 20], [50, 50, 99, 99]
    dicts = [record(1, [(0, crowd, 1), (0, box, 0)]), record(2, [])]
    outputs = [output([(0, crowd, 0.9), (0, box, 0.8)]), output([])]
    metrics = run(ChallengeEvaluator(register(dicts)), dicts, outputs)["challenge"]
    assert metrics["AP50-coin"] == 50
    assert metrics["mAP50"] == 50 / len(NAMES)
    assert np.isnan(metrics["AP50-nut"])


def test_an_evaluator_can_be_used_again(register):
    dicts, outputs = random_set(1)
    evaluator = FastCOCOEvaluator(register(dicts))
    first = run(evaluator, dicts, outputs)["bbox"]
    assert run(evaluator, dicts, outputs)["bbox"] == pytest.approx(first, nan_ok=True, abs=0)


def test_a_class_that_the_dataset_lacks_is_an_error(register):
    dicts = [record(1, [])]
    with pytest.raises(ValueError, match=r"found class 4 but .* has 4 classes"):
        run(FastCOCOEvaluator(register(dicts)), dicts, [output([(4, [1, 1, 9, 9], 0.5)])])


def test_a_dataset_without_class_names_is_an_error(register):
    with pytest.raises(ValueError, match="thing_classes"):
        ChallengeEvaluator(register([], thing_classes=[]))


def test_the_main_process_scores_what_all_found(register, monkeypatch):
    from smallobj.evaluation.evaluators.detection_evaluator import comm

    dicts, outputs = random_set(2)
    name = register(dicts)
    whole = run(FastCOCOEvaluator(name), dicts, outputs)["bbox"]
    parts = [FastCOCOEvaluator(name), FastCOCOEvaluator(name)]
    for i, part in enumerate(parts):
        for inputs, found in list(zip(dicts, outputs, strict=True))[i::2]:
            part.process([inputs], [found])
    theirs = parts[1]._found, parts[1]._tiles
    monkeypatch.setattr(comm, "gather", lambda mine, dst: [mine, theirs])
    assert parts[0].evaluate()["bbox"] == pytest.approx(whole, nan_ok=True, abs=1e-9)
    monkeypatch.setattr(comm, "gather", lambda mine, dst: [])
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert parts[1].evaluate() == {}


def test_built_from_the_config(register, tmp_path):
    dicts, outputs = random_set(3)
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path)
    found = run(build_evaluator(cfg, register(dicts)), dicts, outputs)
    groups = ["bbox", "challenge", "sizes", "best-F1", "misses", "errors", "calibration"]
    assert list(found) == groups
    for name in ("coco", "challenge"):
        group, figure = headline_of([name]).split("/")
        assert figure in found[group]
    assert (tmp_path / "inference" / RESULTS_FILE).exists()
    cfg.TEST.METRICS = ["challenge"]
    assert list(run(build_evaluator(cfg, register(dicts)), dicts, outputs)) == ["challenge"]


def test_max_detections_must_be_positive(register):
    with pytest.raises(ValueError, match="at least 1; got 0"):
        FastCOCOEvaluator(register([]), max_detections=0)
