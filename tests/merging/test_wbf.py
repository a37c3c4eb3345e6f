"""Weighted boxes fusion, against a slow reference."""

import pytest
import torch

from smallobj.merging import WBFMerger


def slow_wbf(scene, ranking, overlap, threshold, agnostic, local):
    """[(founder, box, members), ...]; ``local`` adds the rule that keeps distant boxes apart."""
    boxes, classes = scene.pred_boxes.tensor.tolist(), scene.pred_classes.tolist()
    scores = scene.scores.tolist()
    clusters = []
    for i in ranking:
        best, most = None, threshold
        for cluster in clusters:
            if not agnostic and classes[cluster["members"][0]] != classes[i]:
                continue
            near = [overlap(boxes[i], boxes[j]) > threshold / 2 for j in cluster["members"]]
            shared = overlap(cluster["box"], boxes[i])
            if shared > most and (any(near) or not local):
                best, most = cluster, shared
        if best is None:
            clusters.append({"members": [i], "box": boxes[i]})
            continue
        best["members"].append(i)
        weight = sum(scores[j] for j in best["members"])
        best["box"] = [
            sum(scores[j] * boxes[j][k] for j in best["members"]) / weight for k in range(4)
        ]
    return [(cluster["members"][0], cluster["box"], cluster["members"]) for cluster in clusters]


def assert_fused(merger, scene, clusters, score):
    merged = merger(scene)
    scores = scene.scores.tolist()
    expected = [(n, box, score([scores[i] for i in members])) for n, box, members in clusters]
    expected.sort(key=lambda row: -torch.tensor(row[2]).item())
    assert merged.number.tolist() == [row[0] for row in expected]
    torch.testing.assert_close(
        merged.pred_boxes.tensor, torch.tensor([row[1] for row in expected]), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(
        merged.scores, torch.tensor([row[2] for row in expected]), rtol=1e-6, atol=0
    )
    assert torch.equal(merged.pred_classes, scene.pred_classes[merged.number])


@pytest.mark.parametrize(
    ("threshold", "score"), [(0.0, "mean"), (0.3, "max"), (0.55, "mean"), (1.0, "max")]
)
def test_against_a_slow_reference(
    scene, threshold, score, metric, agnostic, slow_ranking, slow_overlap
):
    merger = WBFMerger(
        wbf_score=score, overlap_threshold=threshold, class_agnostic=agnostic, metric=metric
    )

    def overlap(a, b):
        return slow_overlap(a, b, metric)

    clusters = slow_wbf(scene, slow_ranking(scene), overlap, threshold, agnostic, local=True)
    combine = max if score == "max" else lambda scores: sum(scores) / len(scores)
    assert_fused(merger, scene, clusters, combine)


@pytest.mark.parametrize("threshold", [0.4, 0.55, 0.7])
def test_the_local_rule_changes_nothing_at_thresholds_in_use(
    threshold, make_scene, make_instances, slow_ranking, slow_overlap
):
    """Several shaky looks at each object of a crowd."""

    def overlap(a, b):
        return slow_overlap(a, b, "iou")

    for seed in range(3):
        objects = make_scene("crowd", 25, seed).pred_boxes.tensor.repeat(6, 1)
        generator = torch.Generator().manual_seed(seed)
        looks = objects + torch.randn(150, 4, generator=generator)
        scene = make_instances(looks, torch.rand(150, generator=generator), [0] * 150)
        published = slow_wbf(scene, slow_ranking(scene), overlap, threshold, True, local=False)
        assert max(len(members) for _, _, members in published) > 5
        merger = WBFMerger(wbf_score="max", overlap_threshold=threshold, class_agnostic=True)
        assert_fused(merger, scene, published, max)


def test_by_hand(make_instances):
    # The second box overlaps the first by 0.6 and moves it by a quarter of 2.5 px ...
    found = make_instances(
        [[0, 0, 10, 10], [2.5, 0, 12.5, 10], [3.5, 0, 13.5, 10]], [0.75, 0.25, 0.1], [0, 0, 0]
    )
    merger = WBFMerger(wbf_score="mean", overlap_threshold=0.5, class_agnostic=False)
    merged = merger(found)
    # ... which brings the third, at 0.48 from the first alone, to 0.55.
    assert len(merger(found[[0, 2]])) == 2
    x = (0.75 * 0 + 0.25 * 2.5 + 0.1 * 3.5) / 1.1
    torch.testing.assert_close(
        merged.pred_boxes.tensor, torch.tensor([[x, 0, 10 + x, 10]]), rtol=1e-6, atol=1e-6
    )
    assert merged.scores.tolist() == pytest.approx([1.1 / 3])


def test_a_box_that_one_tile_alone_saw_keeps_its_score(make_instances):
    found = make_instances([[0, 0, 10, 10]], [0.8], [0])
    merged = WBFMerger(wbf_score="mean", overlap_threshold=0.55, class_agnostic=False)(found)
    assert torch.equal(merged.scores, found.scores)
    assert torch.equal(merged.pred_boxes.tensor, found.pred_boxes.tensor)


def test_scores_of_zero_weigh_alike(make_instances):
    found = make_instances([[0, 0, 10, 10], [1, 1, 11, 11]], [0, 0], [0, 0])
    merged = WBFMerger(wbf_score="mean", overlap_threshold=0.5, class_agnostic=False)(found)
    assert merged.pred_boxes.tensor.tolist() == [[0.5, 0.5, 10.5, 10.5]]


def test_a_bad_score_rule_is_told():
    with pytest.raises(ValueError, match=r"WBF_SCORE must be one of .*got 'sum'"):
        WBFMerger(wbf_score="sum", overlap_threshold=0.5, class_agnostic=False)
