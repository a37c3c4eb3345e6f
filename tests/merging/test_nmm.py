"""Greedy non-maximum merging, against a slow reference."""

import torch

from smallobj.merging import NMMMerger


def test_against_a_slow_reference(scene, threshold, metric, agnostic, slow_clusters):
    merger = NMMMerger(overlap_threshold=threshold, class_agnostic=agnostic, metric=metric)
    merged = merger(scene)
    boxes = scene.pred_boxes.tensor
    clusters = slow_clusters(scene, threshold, metric, agnostic)
    assert merged.number.tolist() == [best for best, _ in clusters]
    for row, (best, taken) in enumerate(clusters):
        members = boxes[[best] + [i for i, _ in taken]]
        union = torch.cat([members[:, :2].amin(dim=0), members[:, 2:].amax(dim=0)])
        assert torch.equal(merged.pred_boxes.tensor[row], union)
    best = [best for best, _ in clusters]
    assert torch.equal(merged.scores, scene.scores[best])
    assert torch.equal(merged.pred_classes, scene.pred_classes[best])


def test_objects_in_a_row_are_not_chained(make_instances):
    """Each box overlaps the next; comparing with the grown union would swallow all of them."""
    row = [[x, 0, x + 10, 10] for x in range(0, 50, 5)]
    found = make_instances(row, [0.9 - x / 100 for x in range(10)], [0] * 10)
    merged = NMMMerger(overlap_threshold=0.3, class_agnostic=False)(found)
    assert merged.pred_boxes.tensor.tolist() == [[x, 0, x + 15, 10] for x in range(0, 50, 10)]


def test_two_halves_become_the_whole(make_instances):
    found = make_instances([[0, 0, 60, 20], [40, 0, 100, 20]], [0.6, 0.9], [3, 3])
    merged = NMMMerger(overlap_threshold=0.3, class_agnostic=False, metric="ios")(found)
    assert merged.pred_boxes.tensor.tolist() == [[0, 0, 100, 20]]
    assert merged.number.tolist() == [1]
