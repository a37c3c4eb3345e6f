"""Anchors: overlaps against Detectron2's own anchors, clusters against plain loops."""

import dataclasses

import numpy as np
import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes, pairwise_iou

from smallobj.geometry.anchors import (
    Anchors,
    SideAnchors,
    best_overlaps,
    cluster_sides,
    fit_anchors,
    fit_sides,
    grid_phases,
    measure_anchors,
    shape_iou,
)

PLAIN = Anchors(((14.0,), (28.0,)), ((0.5, 1.0, 2.0),) * 2, (4, 8))


def random_sides(count, seed=0):
    rng = np.random.default_rng(seed)
    size, ratio = (
        np.exp(rng.uniform(np.log(8), np.log(60), count)),
        np.exp(rng.normal(0, 0.4, count)),
    )
    return np.stack([size / np.sqrt(ratio), size * np.sqrt(ratio)], axis=1)


def centred(sides):
    return Boxes(torch.tensor(np.concatenate([-sides / 2, sides / 2], axis=1)))


def test_shape_iou_by_hand_and_as_detectron2_computes_it():
    assert shape_iou(np.array([[10.0, 20.0]]), np.array([[20.0, 10.0]])) == pytest.approx(1 / 3)
    sides, others = random_sides(30, 1), random_sides(20, 2)
    expected = pairwise_iou(centred(sides), centred(others)).numpy()
    assert np.allclose(shape_iou(sides, others), expected)


def generator(anchors):
    return DefaultAnchorGenerator(
        sizes=anchors.sizes,
        aspect_ratios=anchors.ratios,
        strides=anchors.strides,
        offset=anchors.offset,
    )


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_shapes_and_best_overlaps_are_those_of_detectron2s_anchors(offset):
    anchors = Anchors(((10.0, 14.0), (28.0, 40.0)), ((0.5, 2.0), (1.0, 1.5)), (4, 16), offset)
    generated = generator(anchors)
    for level, cell in enumerate(generated.cell_anchors):
        assert np.allclose(anchors.shapes(level), (cell[:, 2:] - cell[:, :2]).numpy(), atol=1e-4)
    grid = generated([torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 16, 16)])
    boxes = Boxes.cat(grid)
    sides, phases = random_sides(25), 5
    found = best_overlaps(sides, anchors, phases)
    # In the middle of 256 px, where the grid reaches as far as any object.
    for phase, place in enumerate(grid_phases(phases) * 16 + 128):
        low = torch.tensor(place - sides / 2).float()
        objects = Boxes(torch.cat([low, low + torch.tensor(sides).float()], dim=1))
        expected = pairwise_iou(objects, boxes).max(dim=1).values.numpy()
        assert np.allclose(found[:, phase], expected, atol=1e-5)


def test_phases_lie_evenly_in_the_unit_square():
    phases = grid_phases(16)
    assert ((phases >= 0) & (phases < 1)).all()
    for axis in (0, 1):
        assert np.bincount((phases[:, axis] * 4).astype(int), minlength=4).min() >= 3


def test_clusters_are_a_fixed_point_of_k_means():
    sides = random_sides(200)
    clusters = cluster_sides(sides, 6)
    members = [[] for _ in clusters]
    for w, h in sides:
        distances = []
        for cw, ch in clusters:
            common = min(w, cw) * min(h, ch)
            distances.append(1 - common / (w * h + cw * ch - common))
        members[int(np.argmin(distances))].append((w, h))
    for cluster, boxes in zip(clusters, members, strict=True):
        assert boxes
        assert np.allclose(cluster, np.mean(boxes, axis=0))
    assert (np.diff(clusters.prod(axis=1)) >= 0).all()


def test_tight_groups_are_found_from_any_seed():
    groups = np.array([[10, 10], [40, 12], [12, 40]])
    sides = np.repeat(groups, 20, axis=0) * np.random.default_rng(0).uniform(0.98, 1.02, (60, 2))
    for seed in range(5):
        found = cluster_sides(sides, 3, seed)
        assert np.array_equal(found, cluster_sides(sides, 3, seed))
        # The two long groups have nearly equal areas, so they come in either order.
        nearest = shape_iou(groups.astype(float), found)
        assert (nearest.max(axis=1) > 0.96).all()


def test_fewer_shapes_than_clusters():
    clusters = cluster_sides(np.array([[10.0, 20.0]] * 3), 4)
    assert np.allclose(clusters, [[10, 20]] * 4)
    assert len(cluster_sides(np.array([[7.0, 7.0]]), 2)) == 2


@pytest.mark.parametrize("sides", [np.zeros((0, 2)), np.array([[10.0, 0.0]])])
def test_no_boxes_and_empty_boxes_are_refused(sides):
    with pytest.raises(ValueError, match=r"at least one box to fit, .* positive sides"):
        cluster_sides(sides, 2)


def test_a_fit_keeps_the_number_of_anchors_and_is_no_worse():
    sides = random_sides(400, 3)
    large = dataclasses.replace(PLAIN, sizes=((32.0,), (64.0,)))
    fitted = fit_anchors(sides, large)
    assert [len(level) for level in fitted.sizes] == [1, 1]
    assert [len(level) for level in fitted.ratios] == [3, 3]
    assert (fitted.strides, fitted.offset) == (PLAIN.strides, PLAIN.offset)
    assert fitted.sizes[0] < fitted.sizes[1]
    before, after = measure_anchors(sides, large), measure_anchors(sides, fitted)
    assert after.recall[0.5] > before.recall[0.5] + 0.2
    assert after.mean > before.mean + 0.1
    assert fit_anchors(sides, large) == fitted
    # A fit that starts from good anchors is no worse, whatever the clusters are.
    good = measure_anchors(sides, fit_anchors(sides, fitted))
    assert good.recall[0.5] >= after.recall[0.5] - 0.01


def test_anchors_fit_objects_of_one_shape():
    fitted = fit_anchors(np.array([[30.0, 10.0]] * 10), PLAIN)
    fit = measure_anchors(np.array([[30.0, 10.0]]), fitted)
    assert fit.shape_recall == {0.5: 1, 0.7: 1}
    assert fit.recall[0.5] == 1
    assert fit.mean > measure_anchors(np.array([[30.0, 10.0]]), PLAIN).mean + 0.2


def test_several_sizes_per_level_are_kept():
    like = Anchors(((10.0, 14.0),), ((0.5, 1.0, 2.0),), (4,))
    fitted = fit_anchors(random_sides(100), like)
    assert [len(fitted.sizes[0]), len(fitted.ratios[0])] == [2, 3]


def test_recall_by_hand():
    # One 16 px anchor at multiples of 16. By shape the IoU of a 16 px object is 1; half a stride
    # off along one axis it is a third.
    anchors = Anchors(((16.0,),), ((1.0,),), (16,))
    fit = measure_anchors(np.array([[16.0, 16.0], [8.0, 8.0]]), anchors)
    assert fit.shape_recall == {0.5: 0.5, 0.7: 0.5}
    assert fit.shape_mean == pytest.approx((1 + 0.25) / 2)
    off = np.abs((grid_phases(16) * 16 + 8) % 16 - 8)
    common = (16 - off).prod(axis=1)
    expected = common / (2 * 256 - common)
    assert best_overlaps(np.array([[16.0, 16.0]]), anchors)[0] == pytest.approx(expected)
    assert fit.recall[0.5] == pytest.approx((expected >= 0.5).mean() / 2)


def test_the_best_of_several_runs_of_k_means():
    sides = random_sides(200)
    fitted = fit_sides(sides, 9, starts=4)
    runs = [cluster_sides(sides, 9, seed) for seed in range(4)]
    means = [shape_iou(sides, centres).max(axis=1).mean() for centres in runs]
    assert min(means) < max(means) - 1e-3, "where k-means ends depends on where it begins"
    assert np.allclose(fitted, runs[int(np.argmax(means))], atol=0.0501)
    assert np.allclose(fitted * 10, np.round(fitted * 10))


def test_a_fit_to_a_sample_of_many_objects_is_about_as_good():
    sides = random_sides(3000)
    every, sampled = fit_sides(sides, 9, 2), fit_sides(sides, 9, 2, most=500)
    means = [shape_iou(sides, anchors).max(axis=1).mean() for anchors in (every, sampled)]
    assert means[1] == pytest.approx(means[0], abs=0.02)
    assert np.array_equal(sampled, fit_sides(sides, 9, 2, most=500))


def test_no_side_is_rounded_to_zero():
    assert fit_sides(np.array([[0.01, 3.0]]), 2).tolist() == [[0.1, 3.0], [0.1, 3.0]]


def test_anchors_of_any_sides_are_measured_like_those_of_sizes_and_ratios():
    levels = tuple(tuple(map(tuple, PLAIN.shapes(level).tolist())) for level in (0, 1))
    same = SideAnchors(levels, PLAIN.strides, PLAIN.offset)
    assert np.array_equal(same.all_shapes, PLAIN.all_shapes)
    assert measure_anchors(random_sides(50), same) == measure_anchors(random_sides(50), PLAIN)
