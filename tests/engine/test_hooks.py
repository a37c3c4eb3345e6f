"""Hooks: the best checkpoint, memory; and what the trainer chooses the best by."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
from detectron2.engine import SimpleTrainer, hooks
from detectron2.utils.events import get_event_storage
from torch import nn

from smallobj.checkpoint import SafeCheckpointer
from smallobj.data.datasets import register_dataset
from smallobj.engine.hooks import BestCheckpoint, MemoryMonitor
from smallobj.engine.trainer import best_metric, tell_no_best

METRIC = "bbox/AP50"


class Weight(nn.Module):
    """One weight that counts the steps."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def run(folder, values, start=0, period=2, metric=METRIC):
    """Trains for 2 iterations per value; each value is what an evaluation then says."""
    model = Weight()
    trainer = SimpleTrainer(model, [], torch.optim.SGD(model.parameters(), 0.1))
    trainer.run_step = lambda: model.weight.data.fill_(trainer.iter + 1)
    best = BestCheckpoint(period, SafeCheckpointer(model, str(folder)), metric)
    left = iter(values)

    def evaluate():
        value = next(left)
        trainer._last_eval_results = {} if value is None else {METRIC: value}
        return trainer._last_eval_results

    trainer.register_hooks([hooks.EvalHook(2, evaluate), best, MemoryMonitor()])
    trainer.train(start, start + 2 * len(values))
    return trainer, best


def kept(folder):
    state = torch.load(os.path.join(folder, "model_best.pth"), weights_only=True)
    return state["metric"], state["model"]["weight"].item()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([10.0, 30.0, 20.0], (30.0, 4.0)),
        ([10.0, 30.0, 30.0], (30.0, 4.0)),  # of equals the first
        ([10.0, 20.0, 30.0], (30.0, 6.0)),  # the last evaluation runs after the last step
        ([float("nan"), 5.0, float("nan")], (5.0, 4.0)),
        ([None, 0.0, None], (0.0, 4.0)),
    ],
)
def test_the_best_is_kept(tmp_path, values, expected):
    run(tmp_path, values)
    assert kept(tmp_path) == expected


def test_nothing_is_kept_without_a_metric(tmp_path):
    run(tmp_path, [float("nan"), None])
    assert not (tmp_path / "model_best.pth").exists()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([float("nan"), float("nan"), 3.0], "bbox/AP50 is not a number"),
        ([None, None], "gave no figures"),
        ([3.0, float("nan")], ""),
    ],
)
def test_it_is_said_once_why_there_is_no_best(tmp_path, caplog, values, reason):
    run(tmp_path, values)
    told = [record for record in caplog.records if "is not written" in record.getMessage()]
    # With a best checkpoint before it, nothing is missing.
    assert len(told) == (1 if reason else 0)
    assert reason in caplog.text


def test_a_metric_of_another_name_is_told_with_those_there_are(tmp_path, caplog):
    run(tmp_path, [3.0], metric="bbox/AP05")
    assert "the evaluation gave no bbox/AP05, but bbox/AP50" in caplog.text
    assert not (tmp_path / "model_best.pth").exists()


def test_a_resumed_run_remembers_the_best(tmp_path):
    run(tmp_path, [10.0, 30.0])
    run(tmp_path, [20.0, 25.0], start=4)
    assert kept(tmp_path) == (30.0, 4.0)
    run(tmp_path, [20.0, 35.0], start=4)
    assert kept(tmp_path) == (35.0, 8.0)


def test_a_new_run_forgets_it(tmp_path):
    run(tmp_path, [30.0])
    run(tmp_path, [10.0])
    assert kept(tmp_path) == (10.0, 2.0)


def test_the_best_is_not_the_last_checkpoint(tmp_path):
    run(tmp_path, [30.0])
    assert sorted(os.listdir(tmp_path)) == ["model_best.pth"]


def test_memory_is_told_in_mib(tmp_path):
    seen = []

    class Look(hooks.CallbackHook):
        def after_step(self):
            seen.append(get_event_storage().latest()["memory/process_peak_mib"][0])

    model = Weight()
    trainer = SimpleTrainer(model, [], torch.optim.SGD(model.parameters(), 0.1))
    trainer.run_step = lambda: None
    trainer.register_hooks([MemoryMonitor(), Look()])
    trainer.train(0, 2)
    assert len(seen) == 2
    # torch and Detectron2 alone take more than 100 MiB, and less than 100 GiB.
    assert 100 < seen[0] <= seen[1] < 100 * 1024


def test_what_the_best_is_chosen_by(tiny_config):
    cfg = tiny_config("DATASETS.TEST", "('a',)")
    assert best_metric(cfg) == "bbox/AP50"
    cfg.TEST.METRICS = ["challenge"]
    assert best_metric(cfg) == "challenge/mAP50"
    cfg.DATASETS.TEST = ("a", "b")
    assert best_metric(cfg) == "a/challenge/mAP50"
    cfg.DATASETS.TEST = ()
    assert best_metric(cfg) == ""  # nothing to validate on, and no reason to fail


@pytest.mark.parametrize(
    ("labels", "options", "told"),
    [
        ({"0.jpg": []}, (), "v, DATASETS.TEST, has no labelled object for bbox/AP50"),
        (None, (), "v, DATASETS.TEST, has no labelled object for bbox/AP50"),
        ({"0.jpg": [[0, 1, 1, 5, 5]]}, (), None),
        ({"0.jpg": []}, ("TEST.METRICS", "['focus']"), None),  # needs no labels to be a number
        (
            {"0.jpg": [[0, 1, 1, 5, 5]]},
            ("TEST.METRICS", "['analysis']"),
            r"none of TEST.METRICS ['analysis'] chooses the best checkpoint; these do: coco, ",
        ),
    ],
)
def test_a_best_that_cannot_be_chosen_is_told_at_the_start(
    tiny_config, tmp_path, catalog, caplog, labels, options, told
):
    cv2.imwrite(str(tmp_path / "0.jpg"), np.zeros((40, 40, 3), np.uint8))
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels))
    register_dataset(f"v=challenge:{'' if labels is None else path}:{tmp_path}")
    tell_no_best(tiny_config("DATASETS.TEST", "('v',)", *options))
    if told is None:
        assert not caplog.text
    else:
        assert f"no best checkpoint (model_best.pth) will be chosen: {told}" in caplog.text
