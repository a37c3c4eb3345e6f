"""Merging several models' boxes; weighted boxes fusion against its authors' package."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from smallobj import get_cfg
from smallobj.geometry.masks import CropMasks
from smallobj.merging import ModelMerger, NMSMerger, build_model_merger
from smallobj.merging.models import ModelWBFMerger

SIDE = 1024


@pytest.fixture(scope="module")
def published(load_script):
    """The function of the package ensemble_boxes, whose other modules want more than NumPy."""
    package = importlib.util.find_spec("ensemble_boxes")
    if package is None:
        pytest.skip("ensemble-boxes is not installed (requirements-dev.txt)")
    path = Path(package.origin).parent / "ensemble_boxes_wbf.py"
    return load_script(path).weighted_boxes_fusion


def instances(boxes, scores, classes):
    found = Instances((SIDE, SIDE))
    found.pred_boxes = Boxes(torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    found.scores = torch.as_tensor(scores, dtype=torch.float32)
    found.pred_classes = torch.as_tensor(classes, dtype=torch.int64)
    return found


def looks(seed, models, objects=25):
    """What so many models find: each object by most of them, shaky, some twice, some wrongly."""
    rng = np.random.default_rng(seed)
    corner, sides = rng.uniform(20, SIDE - 140, (objects, 2)), rng.uniform(10, 100, (objects, 2))
    classes = rng.integers(0, 3, objects)
    found = []
    for _ in range(models):
        seen = np.flatnonzero(rng.random(objects) < 0.7)
        seen = np.concatenate([seen, seen[rng.random(len(seen)) < 0.2]])
        boxes = np.concatenate([corner[seen], corner[seen] + sides[seen]], axis=1)
        boxes += rng.normal(0, 0.08, boxes.shape) * np.tile(sides[seen], 2)
        found.append(instances(boxes, rng.uniform(0.05, 1, len(seen)), classes[seen]))
    return found


def settings(weights, name="wbf", **merger):
    cfg = get_cfg()
    cfg.TEST.ENSEMBLE.WEIGHTS = weights
    cfg.TEST.ENSEMBLE.MERGER.NAME = name
    for key, value in merger.items():
        cfg.TEST.ENSEMBLE.MERGER[key] = value
    return cfg


@pytest.mark.parametrize("weights", [(), (2.0, 1.0, 0.5), (0.3, 0.3, 0.3)])
@pytest.mark.parametrize("score", ["mean", "max"])
@pytest.mark.parametrize("threshold", [0.55, 0.4, 0.7])
def test_fusion_is_the_published_one(weights, score, threshold, published):
    cfg = settings(weights, WBF_SCORE=score, OVERLAP_THRESH=threshold)
    for seed in range(4):
        found = looks(seed, models=3)
        merged = build_model_merger(cfg, 3)(found)
        boxes, scores, classes = published(
            [one.pred_boxes.tensor.double().numpy() / SIDE for one in found],
            [one.scores.double().numpy() for one in found],
            [one.pred_classes.numpy() for one in found],
            weights=list(weights) or None,
            iou_thr=threshold,
            conf_type={"mean": "avg", "max": "max"}[score],
        )
        assert len(merged) == len(boxes) < sum(map(len, found))
        order = np.argsort(-scores, kind="stable")
        # The package fuses in float32.
        np.testing.assert_allclose(merged.scores.numpy(), scores[order], atol=1e-6)
        found_boxes = merged.pred_boxes.tensor.numpy()
        np.testing.assert_allclose(found_boxes, boxes[order] * SIDE, atol=2e-3)
        assert merged.pred_classes.tolist() == classes[order].tolist()


def test_what_one_model_of_three_sees_keeps_a_third_of_its_score():
    merger = build_model_merger(settings(()), 3)
    nothing = instances([], [], [])
    merged = merger([nothing, instances([[0, 0, 10, 10]], [0.9], [1]), nothing])
    assert merged.scores.tolist() == pytest.approx([0.3])
    assert merged.pred_boxes.tensor.tolist() == [[0, 0, 10, 10]]


def test_weights_by_hand():
    merger = build_model_merger(settings((3.0, 1.0)), 2)
    one = instances([[0, 0, 10, 10], [50, 50, 60, 60]], [0.8, 0.4], [0, 0])
    other = instances([[1, 0, 11, 10]], [0.6], [0])
    merged = merger([one, other])
    # (3 * 0.8 + 1 * 0.6) / 2 * 2 / 4, and 3 * 0.4 * 1 / 4 for what the heavier model alone saw.
    assert merged.scores.tolist() == pytest.approx([0.75, 0.3])
    x = 1 * 0.6 / (3 * 0.8 + 0.6)
    assert merged.pred_boxes.tensor[0].tolist() == pytest.approx([x, 0, 10 + x, 10])


def test_a_score_does_not_grow_with_more_boxes_than_models():
    merger = build_model_merger(settings(()), 2)
    twice = instances([[0, 0, 10, 10], [0, 0, 10, 10]], [0.8, 0.6], [0, 0])
    merged = merger([twice, twice])
    assert merged.scores.tolist() == pytest.approx([0.7])


@pytest.mark.parametrize("weights", [(), (1.0, 1.0), (2.0, 0.5)])
def test_a_model_twice_is_that_model(weights):
    """Also with weights: what both see alike is sure."""
    (found,) = looks(0, models=1)
    found = NMSMerger(overlap_threshold=0.5, class_agnostic=False)(found)
    merged = build_model_merger(settings(weights), 2)([found, found])
    torch.testing.assert_close(merged.scores, found.scores, rtol=0, atol=1e-7)
    torch.testing.assert_close(merged.pred_boxes.tensor, found.pred_boxes.tensor, rtol=0, atol=1e-4)
    assert torch.equal(merged.pred_classes, found.pred_classes)


@pytest.mark.parametrize("name", ["nms", "soft_nms", "vote", "soft_vote", "nmm"])
def test_other_mergers_weigh_against_the_heaviest(name):
    one, other = looks(1, models=2)
    merged = build_model_merger(settings((), name), 2)([one, other])
    assert 0 < len(merged) <= len(one) + len(other)
    # Alike, weights change nothing, whatever their sum.
    alike = build_model_merger(settings((3.0, 3.0), name), 2)([one, other])
    assert torch.equal(alike.scores, merged.scores)
    weighed = build_model_merger(settings((4.0, 1.0), name), 2)([instances([], [], []), other])
    alone = build_model_merger(settings((), name), 1)([other])
    if name == "nms":
        torch.testing.assert_close(weighed.scores, alone.scores / 4)
    assert weighed.scores.max() == pytest.approx(alone.scores.max().item() / 4)


def test_the_same_score_twice_ranks_the_earlier_model_first():
    found = [instances([[n, 0, 10 + n, 10]], [0.5], [0]) for n in (2, 0)]
    merged = build_model_merger(settings((), "nms"), 2)(found)
    assert merged.pred_boxes.tensor.tolist() == [[2, 0, 12, 10]]


def test_models_that_find_nothing():
    for name in ("wbf", "nms"):
        merged = build_model_merger(settings((), name), 2)([instances([], [], [])] * 2)
        assert len(merged) == 0
        assert merged.scores.dtype == torch.float32


def test_what_goes_in_stays_as_it_is():
    found = looks(2, models=2)
    before = [one.scores.clone() for one in found]
    build_model_merger(settings((2.0, 1.0)), 2)(found)
    assert all(torch.equal(one.scores, old) for one, old in zip(found, before, strict=True))


@pytest.mark.parametrize(
    ("cfg", "told"),
    [
        (settings((1.0,)), r"WEIGHTS must be \(\) or one for each of 2 models.*got 1"),
        (settings((1.0, 0.0)), r"ENSEMBLE.WEIGHTS must be positive; got \[1.0, 0.0\]"),
        (settings((1.0, float("nan"))), "ENSEMBLE.WEIGHTS must be positive"),
        (settings((), "mean"), "TEST.ENSEMBLE.MERGER.NAME must be one of .*got 'mean'"),
        (settings((), WBF_SCORE="sum"), "TEST.ENSEMBLE.MERGER.WBF_SCORE must be .*got 'sum'"),
        (settings((), OVERLAP_THRESH=1.5), "TEST.ENSEMBLE.MERGER.OVERLAP_THRESH must lie"),
    ],
)
def test_wrong_settings_are_told(cfg, told):
    with pytest.raises(ValueError, match=told):
        build_model_merger(cfg, 2)


def test_the_division_is_nowhere_but_here():
    """A merger of tiles or passes must not punish what one of them alone shows."""
    merger = build_model_merger(settings(()), 2)
    assert isinstance(merger, ModelMerger)
    assert isinstance(merger.merger, ModelWBFMerger)
    from smallobj.merging import WBFMerger, build_merger

    cfg = get_cfg()
    cfg.TEST.MERGER.NAME = cfg.TEST.TTA.MERGER.NAME = "wbf"
    assert type(build_merger(cfg)) is type(build_merger(cfg, "TEST.TTA.MERGER")) is WBFMerger


def test_masks_go_along_if_all_models_have_them():
    boxes = [[10, 10, 30, 30], [50, 50, 80, 90]]
    first, second = instances(boxes, [0.9, 0.3], [0, 1]), instances(boxes, [0.5, 0.6], [0, 1])
    masks = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    masks[0, 12:28, 12:28] = masks[1, 55:85, 52:70] = True
    first.pred_masks = masks
    second.pred_masks = CropMasks.from_bitmasks(masks.flip(2))
    for name in ("wbf", "nms", "vote"):
        merged = build_model_merger(settings((), name), 2)([first, second])
        by_class = dict(zip(merged.pred_classes.tolist(), merged.pred_masks, strict=True))
        # Each keeps the mask of its more certain box.
        assert torch.equal(by_class[0], masks[0])
        assert torch.equal(by_class[1], masks[1].flip(1))
    second.remove("pred_masks")
    assert not build_model_merger(settings(()), 2)([first, second]).has("pred_masks")
