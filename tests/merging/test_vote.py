"""Box voting, hard and soft, against a slow reference."""

import pytest
import torch

from smallobj.merging import SoftVoteMerger, VoteMerger


def slow_vote(scene, clusters):
    boxes, scores = scene.pred_boxes.tensor.tolist(), scene.scores.tolist()
    voted = []
    for best, taken in clusters:
        members = [best] + [i for i, _ in taken]
        total = sum(scores[i] for i in members)
        place = [sum(scores[i] * boxes[i][k] for i in members) / total for k in range(4)]
        voted.append((best, place, scores[best]))
    return voted


def assert_found(merged, expected):
    """``expected``: (number, box, score), by falling score."""
    assert merged.number.tolist() == [number for number, _, _ in expected]
    boxes = torch.tensor([box for _, box, _ in expected])
    torch.testing.assert_close(merged.pred_boxes.tensor, boxes, rtol=1e-6, atol=0)
    scores = torch.tensor([score for _, _, score in expected])
    torch.testing.assert_close(merged.scores, scores, rtol=1e-6, atol=0)


def test_vote_against_a_slow_reference(scene, threshold, metric, agnostic, slow_clusters):
    merger = VoteMerger(overlap_threshold=threshold, class_agnostic=agnostic, metric=metric)
    merged = merger(scene)
    assert_found(merged, slow_vote(scene, slow_clusters(scene, threshold, metric, agnostic)))
    assert torch.equal(merged.pred_classes, scene.pred_classes[merged.number])


def test_soft_vote_against_a_slow_reference(
    scene, threshold, metric, agnostic, slow_clusters, slow_ranking
):
    merger = SoftVoteMerger(
        overlap_threshold=threshold, class_agnostic=agnostic, metric=metric, score_threshold=0.1
    )
    clusters = slow_clusters(scene, threshold, metric, agnostic)
    expected = slow_vote(scene, clusters)
    boxes, scores = scene.pred_boxes.tensor.tolist(), scene.scores.tolist()
    back = {i: scores[i] * (1 - overlap) for _, taken in clusters for i, overlap in taken}
    for i in slow_ranking(scene):
        if back.get(i, 0) >= 0.1:
            expected.append((i, boxes[i], back[i]))
    # Compared as float32, in which they come out.
    expected.sort(key=lambda row: -torch.tensor(row[2]).item())
    assert_found(merger(scene), expected)


def test_a_box_alone_keeps_its_exact_place(make_instances):
    found = make_instances([[39000.1, 0.1, 39010.3, 7.7]], [0.1], [0])
    merged = VoteMerger(overlap_threshold=0.5, class_agnostic=False)(found)
    assert torch.equal(merged.pred_boxes.tensor, found.pred_boxes.tensor)


def test_scores_of_zero_weigh_alike(make_instances):
    found = make_instances([[0, 0, 10, 10], [1, 1, 11, 11]], [0, 0], [0, 0])
    merged = VoteMerger(overlap_threshold=0.5, class_agnostic=False)(found)
    assert merged.pred_boxes.tensor.tolist() == [[0.5, 0.5, 10.5, 10.5]]


def test_the_soft_variant_never_gives_back_the_best_box(make_instances):
    found = make_instances(
        [[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 8]], [0.9, 0.8, 0.5], [0] * 3
    )
    options = {"overlap_threshold": 0.5, "class_agnostic": False}
    merged = SoftVoteMerger(score_threshold=0.0, **options)(found)
    assert merged.number.tolist() == [0, 2, 1]
    assert merged.scores.tolist() == pytest.approx([0.9, 0.1, 0])
    assert SoftVoteMerger(score_threshold=0.01, **options)(found).number.tolist() == [0, 2]
