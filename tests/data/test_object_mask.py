"""Masks cut by tiles, against bitmaps."""

import numpy as np
import pytest
from detectron2.data import transforms as T
from detectron2.structures.masks import polygons_to_bitmask
from pycocotools import mask as mask_util

from smallobj.data.object_mask import clip_polygon, object_mask, segmentation_rle

SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]
# Tiles that show the whole object, half, a quarter and nothing of it; and one that lies inside it.
TILES = {(0, 0, 50, 50): 1, (20, 0, 60, 40): 0.5, (20, 20, 60, 60): 0.25, (30, 0, 60, 40): 0}


def rle_of(polygons, size=(80, 90)):
    return segmentation_rle(polygons, size)


def test_both_kinds_are_cut_alike():
    for tile, share in TILES.items():
        for segmentation in (SQUARE, rle_of(SQUARE)):
            whole = object_mask(segmentation)
            assert whole.area() == 400
            assert whole.box().tolist() == [10, 10, 30, 30]
            cut = whole.cut(tile)
            assert cut.area() == 400 * share
            if share:
                x0, y0 = tile[:2]
                box = [max(10 - x0, 0), max(10 - y0, 0), 30 - x0, 30 - y0]
                assert cut.box().tolist() == box


def test_a_tile_inside_an_object_shows_nothing_else():
    for segmentation in (SQUARE, rle_of(SQUARE)):
        cut = object_mask(segmentation).cut((12, 14, 20, 20))
        assert cut.area() == 8 * 6
        assert cut.box().tolist() == [0, 0, 8, 6]


@pytest.mark.parametrize("seed", range(30))
def test_clipped_polygons_are_the_cut_bitmap(seed):
    """Stars with many concave corners, so that clipping gives several pieces."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 14))
    radius = rng.uniform(8, 60, 14)
    star = np.stack([60 + radius * np.cos(angle), 55 + radius * np.sin(angle)], axis=1)
    x0, y0 = rng.integers(0, 70, 2).tolist()
    tile = (x0, y0, x0 + 40, y0 + 30)
    cut = object_mask([star.ravel().tolist()]).cut(tile)
    # At eight times the resolution, so that pycocotools' rounding of outlines hardly matters.
    whole = polygons_to_bitmask([star.ravel() * 8], 130 * 8, 130 * 8)
    expected = whole[y0 * 8 : (y0 + 30) * 8, x0 * 8 : (x0 + 40) * 8]
    if cut.polygons:
        found = polygons_to_bitmask([p.ravel() * 8 for p in cut.polygons], 240, 320)
        assert (found != expected).mean() < 0.01
        assert (cut.polygons[0] >= 0).all()
        assert (cut.polygons[0] <= [40, 30]).all()
    assert cut.area() == pytest.approx(expected.sum() / 64, abs=6)


def test_clipping_keeps_a_polygon_inside_unchanged():
    triangle = np.array([[1.0, 1], [9, 2], [4, 7]])
    assert np.array_equal(clip_polygon(triangle, (10, 10)), triangle)
    assert len(clip_polygon(triangle + 20, (10, 10))) == 0
    corner = clip_polygon(np.array([[-5.0, -5], [5, -5], [5, 5], [-5, 5]]), (10, 10))
    assert sorted(map(tuple, corner.tolist())) == [(0, 0), (0, 5), (5, 0), (5, 5)]


def test_flips():
    flip = T.TransformList([T.HFlipTransform(40)])
    for segmentation in (SQUARE, rle_of(SQUARE)):
        mask = object_mask(segmentation).cut((0, 0, 40, 40)).transformed(flip)
        assert mask.box().tolist() == [10, 10, 30, 30]
        mask = object_mask(segmentation).cut((5, 0, 45, 40)).transformed(flip)
        assert mask.box().tolist() == [15, 10, 35, 30]


def test_run_lengths_of_polygons_are_pycocotools():
    two = [[1, 1, 9, 1, 9, 9], [20, 20, 30, 20, 30, 31, 20, 31]]
    expected = mask_util.decode(mask_util.merge(mask_util.frPyObjects(two, 50, 40)))
    assert np.array_equal(mask_util.decode(segmentation_rle(two, (50, 40))), expected)
    rle = rle_of(SQUARE)
    assert segmentation_rle(rle, (80, 90)) is rle
