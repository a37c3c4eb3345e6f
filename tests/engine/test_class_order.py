"""Training, resuming, fine-tuning and evaluation on data that list their classes in any order."""

import json
import re
import shutil

import smallobj  # isort: skip  # noqa: F401  (first: makes Detectron2 import)

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from smallobj import load_config
from smallobj.checkpoint import load_weights, read_checkpoint, read_class_names
from smallobj.modeling import build_model

NAMES = ["bolt", "nut", "nail"]
OPTIONS = [
    *("MODEL.BACKBONE.PRECISION", "float32", "TEST.PRECISION", "float32"),
    *("DATALOADER.NUM_WORKERS", 0, "TEST.VIS_IMAGES", 0, "SOLVER.IMS_PER_BATCH", 1, "SEED", 3),
    *("SOLVER.CHECKPOINT_PERIOD", 100, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0),
    *("TEST.METRICS", '["coco"]', "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """COCO files of one picture, whose categories stand in various orders."""
    place = tmp_path_factory.mktemp("orders")
    rng = np.random.default_rng(2)
    cv2.imwrite(str(place / "0.png"), rng.integers(0, 255, (160, 160, 3), dtype=np.uint8))
    orders = {
        "abc": NAMES,
        "bca": ["nut", "nail", "bolt"],
        "new": ["screw", "nail", "bolt"],
        "case": ["bolt", "Nut", "nail"],
    }
    for file, names in orders.items():
        boxes = [[20 + 40 * k, 30, 30, 30] for k in range(3)]
        labels = [
            {"id": k, "image_id": 1, "category_id": names.index(name) + 1, "bbox": boxes[k]}
            for k, name in enumerate(sorted(names))
        ]
        content = {
            "images": [{"id": 1, "file_name": "0.png", "width": 160, "height": 160}],
            "annotations": [{**label, "iscrowd": 0} for label in labels],
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
        }
        (place / f"{file}.json").write_text(json.dumps(content))
    return place


def words(folder, output, steps, train, test=(), *options):
    specs = [f"{name}=coco:{folder}/{name}.json:{folder}" for name in {*train, *test}]
    return [
        *("--config-file", "configs/quick/faster_rcnn_tiny.yaml", "--num-gpus", 0),
        *options,
        *("DATASETS.REGISTER", repr(specs), "OUTPUT_DIR", output, "SOLVER.MAX_ITER", steps),
        *("DATASETS.TRAIN", repr(tuple(train)), "DATASETS.TEST", repr(tuple(test))),
        *OPTIONS,
    ]


@pytest.fixture
def run(run_script, folder, capsys):
    """``run(output, steps, train, test, *flags)``: train_net.py; gives its last words and log."""

    def start(output, steps, train, test=(), *options, status=0):
        ended, told = run_script(
            "train_net.py", *words(folder, output, steps, train, test, *options)
        )
        assert ended == status, told
        return told

    return start


def log(output):
    return "".join(path.read_text() for path in sorted(output.rglob("log.txt")))


def test_a_resumed_run_learns_the_same_in_another_order(run, tmp_path):
    """Two steps, then two more on the same labels, listed in the same order and in another."""
    states = {}
    for order in ("abc", "bca"):
        output = tmp_path / order
        run(output, 2, ["abc"])
        run(output, 4, [order], [], "--resume")
        assert read_class_names(output / "model_final.pth") == NAMES
        assert load_config(str(output / "config.yaml")).MODEL.CLASS_NAMES == NAMES
        states[order] = read_checkpoint(output / "model_final.pth")["model"]
    assert "bca.json) lists its classes in another order" in log(tmp_path / "bca")
    assert "matched by name" not in log(tmp_path / "abc")
    for name, tensor in states["abc"].items():
        assert torch.equal(tensor, states["bca"][name]), name
    # Where the newest checkpoint is broken, an older one names the classes.
    whole = tmp_path / "bca" / "model_final.pth"
    shutil.copy(whole, tmp_path / "bca" / "model_0000003.pth")
    whole.write_bytes(whole.read_bytes()[:5000])
    run(tmp_path / "bca", 5, ["bca"], [], "--resume")
    assert read_class_names(tmp_path / "bca" / "model_final.pth") == NAMES
    # Other classes are refused, with what differs.
    told = run(tmp_path / "abc", 6, ["new"], [], "--resume", status=2)
    assert "model_final.pth: only in" in told
    assert "'nut'; only in dataset new: 'screw'. A training goes on with its own classes" in told
    told = run(tmp_path / "abc", 6, ["case"], [], "--resume", status=2)
    assert "'nut' and 'Nut' differ only by case" in told


def test_training_and_validation_may_list_classes_differently(run, tmp_path):
    results = {}
    for order in ("abc", "bca"):
        run(tmp_path / order, 2, ["abc"], [order])
        lines = (tmp_path / order / "metrics.json").read_text().splitlines()
        results[order] = {k: v for line in lines for k, v in json.loads(line).items()}
    figures = {key: value for key, value in results["abc"].items() if key.startswith("bbox/")}
    assert {"bbox/AP-bolt", "bbox/AP-nut", "bbox/AP-nail"} <= set(figures)
    for key, value in figures.items():
        assert results["bca"][key] == pytest.approx(value, nan_ok=True), key
    told = run(tmp_path / "other", 2, ["abc"], ["new"], status=2)
    assert "only in dataset abc: 'nut'; only in dataset new: 'screw'" in told
    run(tmp_path / "other", 2, ["abc"], ["new"], "TEST.COMMON_CLASSES_ONLY", True)
    assert "evaluated on 2 classes that both have" in log(tmp_path / "other")


def test_fine_tuning_takes_classes_by_name(run, run_script, tmp_path):
    run(tmp_path / "first", 2, ["abc"])
    weights = tmp_path / "first" / "model_final.pth"
    options = ("MODEL.WEIGHTS", weights, "SOLVER.BASE_LR", 0.0, "SOLVER.WEIGHT_DECAY", 0.0)
    run(tmp_path / "second", 1, ["new"], [], *options)
    told = re.search("taken by name.*", log(tmp_path / "second"))
    assert told
    assert told[0] == "taken by name: 2 classes; new: 'screw'; not used: 'nut'"
    first, second = (
        read_checkpoint(tmp_path / run / "model_final.pth")["model"] for run in ("first", "second")
    )
    scores, deltas = "roi_heads.box_predictor.cls_score.bias", "roi_heads.box_predictor.bbox_pred"
    # nail, bolt and background; a learning rate of 0 leaves them as they were loaded.
    assert torch.equal(second[scores][[1, 2, 3]], first[scores][[2, 0, 3]])
    assert second[scores][0] != first[scores][1]
    weight = f"{deltas}.weight"
    assert torch.equal(second[weight][4:].view(2, 4, -1), first[weight].view(3, 4, -1)[[2, 0]])
    assert torch.equal(
        second["backbone.fpn_lateral3.weight"], first["backbone.fpn_lateral3.weight"]
    )

    # What is exported names its classes, in the order of the training.
    paths = ("--run", tmp_path / "second", "--weights", tmp_path / "second" / "model_final.pth")
    assert run_script("tools/export_weights.py", *paths, "--output", tmp_path / "m")[0] == 0
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert json.loads(file.metadata()["class_names"]) == ["screw", "nail", "bolt"]
    cfg = load_config(str(tmp_path / "m.yaml"), ["MODEL.DEVICE", "cpu"])
    load_weights(build_model(cfg), tmp_path / "m.safetensors")


def test_weights_without_names_are_evaluated_with_a_word(run, tmp_path):
    run(tmp_path / "run", 1, ["abc"])
    checkpoint = read_checkpoint(tmp_path / "run" / "model_final.pth")
    torch.save({"model": checkpoint["model"]}, tmp_path / "bare.pth")
    options = ("--eval-only", "MODEL.WEIGHTS", tmp_path / "bare.pth")
    run(tmp_path / "eval", 1, [], ["bca"], *options)
    assert "names the model's classes: they are taken to be those of the data" in log(tmp_path)
    # The names in the config count as well, and then nothing is unknown.
    run(tmp_path / "named", 1, [], ["bca"], *options, "MODEL.CLASS_NAMES", NAMES)
    assert "could not be checked" not in log(tmp_path / "named")
    assert "another order than MODEL.CLASS_NAMES: they are matched by name" in log(tmp_path)
