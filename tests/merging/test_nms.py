"""Greedy non-maximum suppression, against a slow reference."""

import torch
from torchvision.ops import batched_nms, nms

from smallobj.merging import NMSMerger


def test_against_a_slow_reference(scene, threshold, metric, agnostic, slow_clusters):
    merger = NMSMerger(overlap_threshold=threshold, class_agnostic=agnostic, metric=metric)
    merged = merger(scene)
    kept = [best for best, _ in slow_clusters(scene, threshold, metric, agnostic)]
    assert merged.number.tolist() == kept
    assert torch.equal(merged.pred_boxes.tensor, scene.pred_boxes.tensor[kept])
    assert torch.equal(merged.scores, scene.scores[kept])
    assert torch.equal(merged.pred_classes, scene.pred_classes[kept])


def test_equal_to_torchvision_on_a_crowd(make_scene):
    scene = make_scene("crowd", 500)
    boxes, scores = scene.pred_boxes.tensor, scene.scores
    across = NMSMerger(overlap_threshold=0.4, class_agnostic=True)(scene)
    assert across.number.tolist() == nms(boxes, scores, 0.4).tolist()
    within = NMSMerger(overlap_threshold=0.4, class_agnostic=False)(scene)
    assert within.number.tolist() == batched_nms(boxes, scores, scene.pred_classes, 0.4).tolist()


def test_equal_boxes_and_scores_leave_the_first_of_each_class(make_instances):
    found = make_instances([[0, 0, 10, 10]] * 4, [0.5] * 4, [2, 1, 1, 1])
    assert NMSMerger(overlap_threshold=0.5, class_agnostic=False)(found).number.tolist() == [0, 1]


def test_an_overlap_of_exactly_the_threshold_is_kept(make_instances):
    # 3 of 10 pixels shared.
    found = make_instances([[0, 0, 10, 1], [0, 0, 3, 1]], [0.9, 0.8], [0, 0])
    assert len(NMSMerger(overlap_threshold=0.3, class_agnostic=False)(found)) == 2
    assert len(NMSMerger(overlap_threshold=0.29, class_agnostic=False)(found)) == 1


def test_nwd_joins_boxes_that_a_few_pixels_part_and_never_those_that_share_no_area(make_instances):
    # 5 px apart, exp(-5 / 12.8) = 0.68, an IoU of 0.13; 6 px and side by side.
    found = make_instances([[0, 0, 6, 6], [3, 4, 9, 10], [0, 6, 6, 12]], [0.9, 0.8, 0.7], [0] * 3)
    merger = NMSMerger(overlap_threshold=0.5, class_agnostic=False, metric="nwd")
    assert merger(found).number.tolist() == [0, 2]
    assert len(NMSMerger(overlap_threshold=0.5, class_agnostic=False)(found)) == 3
    strict = NMSMerger(overlap_threshold=0.5, class_agnostic=False, metric="nwd", nwd_constant=7)
    # 0.49 now, so the second stays and takes the third, 3.6 px off, exp(-3.6 / 7) = 0.60.
    assert strict(found).number.tolist() == [0, 1]


def test_half_a_pixel_more_than_half_of_a_large_box_counts(make_instances):
    # 3037 * 5525 = (5793 * 5793 + 1) / 2; in float32 the overlap would round to one half.
    found = make_instances([[0, 0, 5793, 5793], [0, 0, 3037, 5525]], [0.9, 0.8], [0, 0])
    assert len(NMSMerger(overlap_threshold=0.5, class_agnostic=False)(found)) == 1


def test_a_suppressed_box_suppresses_none(make_instances):
    row = [[x, 0, x + 10, 10] for x in (0, 4, 8, 12, 16)]
    found = make_instances(row, [0.9, 0.8, 0.7, 0.6, 0.5], [0] * 5)
    assert NMSMerger(overlap_threshold=0.4, class_agnostic=False)(found).number.tolist() == [
        0,
        2,
        4,
    ]
