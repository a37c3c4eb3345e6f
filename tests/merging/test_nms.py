"""Greedy non-maximum suppression, against a slow reference."""

import pytest
import torch
from detectron2.structures import Boxes, Instances

from smallobj import get_cfg
from smallobj.merging import MERGER_REGISTRY, NMSMerger, build_merger


def instances(boxes, scores, classes):
    found = Instances((100, 100))
    found.pred_boxes = Boxes(torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    found.scores = torch.as_tensor(scores, dtype=torch.float32)
    found.pred_classes = torch.as_tensor(classes, dtype=torch.int64)
    return found


def iou(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def slow_nms(boxes, scores, classes, threshold, agnostic):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        rivals = [j for j in kept if agnostic or classes[i] == classes[j]]
        if all(iou(boxes[i], boxes[j]) <= threshold for j in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_against_a_slow_reference(threshold, agnostic):
    generator = torch.Generator().manual_seed(0)
    for count in (1, 5, 60):
        corner = torch.rand(count, 2, generator=generator) * 40
        sides = 5 + torch.rand(count, 2, generator=generator) * 20
        boxes = torch.cat([corner, corner + sides], dim=1)
        scores = torch.randperm(count, generator=generator) / count
        classes = torch.randint(3, (count,), generator=generator)
        merged = NMSMerger(iou_threshold=threshold, class_agnostic=agnostic)(
            instances(boxes, scores, classes)
        )
        arguments = (boxes.tolist(), scores.tolist(), classes.tolist(), threshold, agnostic)
        kept = slow_nms(*arguments)
        assert torch.equal(merged.pred_boxes.tensor, boxes[kept])
        assert torch.equal(merged.scores, scores[kept])
        assert torch.equal(merged.pred_classes, classes[kept])


def test_equal_scores_leave_one():
    boxes = [[0, 0, 10, 10]] * 4
    merged = NMSMerger(iou_threshold=0.5, class_agnostic=False)(
        instances(boxes, [0.5] * 4, [1, 1, 1, 2])
    )
    assert sorted(merged.pred_classes.tolist()) == [1, 2]


def test_nothing_to_merge():
    merged = NMSMerger(iou_threshold=0.5, class_agnostic=False)(instances([], [], []))
    assert len(merged) == 0
    assert merged.has("pred_classes")


def test_by_name_and_from_the_config():
    cfg = get_cfg()
    cfg.TEST.MERGER.IOU_THRESHOLD = 0.7
    cfg.TEST.MERGER.CLASS_AGNOSTIC = True
    for name in ("nms", "NMSMerger"):
        cfg.TEST.MERGER.NAME = name
        merger = build_merger(cfg)
        assert isinstance(merger, NMSMerger)
        assert (merger.iou_threshold, merger.class_agnostic) == (0.7, True)


def test_a_merger_of_ones_own():
    @MERGER_REGISTRY.register()
    class KeepAll:
        def __init__(self, cfg):
            pass

        def __call__(self, found):
            return found

    try:
        cfg = get_cfg()
        cfg.TEST.MERGER.NAME = "KeepAll"
        assert isinstance(build_merger(cfg), KeepAll)
    finally:
        del MERGER_REGISTRY._obj_map["KeepAll"]


def test_bad_values_are_told():
    cfg = get_cfg()
    cfg.TEST.MERGER.NAME = "average"
    with pytest.raises(ValueError, match=r"one of \['nms', 'NMSMerger'.*got 'average'"):
        build_merger(cfg)
    with pytest.raises(ValueError, match=r"IOU_THRESHOLD.*1\.5"):
        NMSMerger(iou_threshold=1.5, class_agnostic=False)
