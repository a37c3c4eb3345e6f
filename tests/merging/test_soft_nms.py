"""Soft-NMS, against a slow reference."""

import math

import pytest
import torch

from smallobj.merging import NMSMerger, SoftNMSMerger


def slow_soft_nms(scene, ranking, overlap, decay, sigma, threshold, least, agnostic):
    """[(box, score), ...] as emitted."""
    boxes, classes = scene.pred_boxes.tensor.tolist(), scene.pred_classes.tolist()
    left = dict.fromkeys(ranking)
    scores = scene.scores.tolist()
    emitted = []
    while left:
        # To 10 digits, since the order of its factors changes a product's last ones.
        best = max(left, key=lambda i: float(f"{scores[i]:.10g}"))
        del left[best]
        if scores[best] >= least:
            emitted.append((best, scores[best]))
        for i in left:
            shared = overlap(boxes[best], boxes[i])
            if not agnostic and classes[i] != classes[best]:
                continue
            if decay == "gaussian":
                scores[i] *= math.exp(-(shared**2) / sigma)
            elif shared > threshold:
                scores[i] *= 1 - shared
    return emitted


@pytest.mark.parametrize(
    ("decay", "threshold", "least"),
    [("linear", 0.0, 0.0), ("linear", 0.3, 0.05), ("gaussian", 0.0, 0.05), ("gaussian", 0.3, 0.0)],
)
def test_against_a_slow_reference(
    scene, decay, threshold, least, metric, agnostic, slow_ranking, slow_overlap
):
    sigma = 0.5 - threshold
    merger = SoftNMSMerger(
        decay=decay,
        sigma=sigma,
        score_threshold=least,
        overlap_threshold=threshold,
        class_agnostic=agnostic,
        metric=metric,
    )
    merged = merger(scene)

    def overlap(a, b):
        return slow_overlap(a, b, metric)

    expected = slow_soft_nms(
        scene, slow_ranking(scene), overlap, decay, sigma, threshold, least, agnostic
    )
    scores = dict(expected)
    # By their scores as float32, in which they come out; equal ones as ranked.
    order = sorted(
        (i for i in slow_ranking(scene) if i in scores),
        key=lambda i: -torch.tensor(scores[i]).item(),
    )
    # Scores too small for float32 may come out as zeros.
    visible = [i for i in order if scores[i] > 1e-30]
    assert merged.number.tolist()[: len(visible)] == visible
    assert sorted(merged.number.tolist()) == sorted(order)
    found = merged.number
    torch.testing.assert_close(
        merged.scores, torch.tensor([scores[i] for i in found.tolist()]), rtol=1e-6, atol=1e-30
    )
    assert torch.equal(merged.pred_boxes.tensor, scene.pred_boxes.tensor[found])


def test_by_hand(make_instances):
    # Overlaps by IoU: 0-1 one half, 1-2 a fifth (below the linear threshold), 0-2 none.
    found = make_instances([[0, 0, 10, 1], [0, 0, 5, 1], [4, 0, 5, 1]], [0.8, 0.6, 0.5], [0, 0, 0])
    options = {
        "sigma": 0.5,
        "score_threshold": 0.0,
        "overlap_threshold": 0.3,
        "class_agnostic": False,
    }
    linear = SoftNMSMerger(decay="linear", **options)(found)
    assert linear.number.tolist() == [0, 2, 1]
    assert linear.scores.tolist() == pytest.approx([0.8, 0.5, 0.3])
    gaussian = SoftNMSMerger(decay="gaussian", **options)(found)
    # Box 2 lies in box 0: a tenth. Then box 2 (0.49) goes before box 1 (0.36), and lowers it too.
    second = 0.5 * math.exp(-(0.1**2) / 0.5)
    third = 0.6 * math.exp(-(0.5**2) / 0.5) * math.exp(-(0.2**2) / 0.5)
    assert gaussian.number.tolist() == [0, 2, 1]
    assert gaussian.scores.tolist() == pytest.approx([0.8, second, third])


def test_products_equal_on_paper_tie(make_instances):
    # 0.5 and 1 * (1 - 1/2): the one that ranked first at the start, with 1, goes first.
    found = make_instances([[0, 0, 10, 1], [0, 0, 5, 1], [90, 0, 99, 1]], [1, 1, 0.5], [0, 0, 0])
    merged = SoftNMSMerger(
        decay="linear", sigma=1, score_threshold=0.5, overlap_threshold=0.3, class_agnostic=False
    )(found)
    assert merged.number.tolist() == [0, 1, 2]
    assert merged.scores.tolist() == [1, 0.5, 0.5]


def test_a_tiny_sigma_is_nms_at_any_overlap(make_scene):
    scene = make_scene("crowd")
    soft = SoftNMSMerger(
        decay="gaussian",
        sigma=1e-9,
        score_threshold=1e-6,
        overlap_threshold=0,
        class_agnostic=False,
    )(scene)
    assert soft.number.tolist() == (
        NMSMerger(overlap_threshold=0, class_agnostic=False)(scene).number.tolist()
    )


def test_untouched_scores_stay_exact(make_scene):
    scene = make_scene("crowd")
    scene.pred_classes = torch.arange(len(scene))
    merged = SoftNMSMerger(
        decay="gaussian", sigma=0.5, score_threshold=0, overlap_threshold=0, class_agnostic=False
    )(scene)
    assert torch.equal(merged.scores, scene.scores.sort(descending=True).values)


def test_bad_values_are_told():
    options = {"score_threshold": 0.001, "overlap_threshold": 0.5, "class_agnostic": False}
    with pytest.raises(ValueError, match=r"DECAY must be one of .*got 'cubic'"):
        SoftNMSMerger(decay="cubic", sigma=0.5, **options)
    with pytest.raises(ValueError, match=r"SIGMA must be positive; got 0"):
        SoftNMSMerger(decay="gaussian", sigma=0, **options)
