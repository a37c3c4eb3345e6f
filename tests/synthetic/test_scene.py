"""Drawings, poses and scenes of the synthetic dataset."""

import numpy as np
import pytest

from smallobj.data.classes import CHALLENGE_CLASSES_EN, CHALLENGE_CLASSES_KO
from smallobj.synthetic import scene as scene_module
from smallobj.synthetic.background import GROUNDS, textured_ground
from smallobj.synthetic.drawings import DRAWINGS, draw_class
from smallobj.synthetic.pose import Pose, shrink, tight_box, warp
from smallobj.synthetic.scene import SceneConfig, paste, render_scene
from smallobj.synthetic.sources import DrawnObjects, TexturedGrounds


def test_thirty_classes_in_two_languages():
    assert len(CHALLENGE_CLASSES_EN) == len(CHALLENGE_CLASSES_KO) == 30
    assert len(set(CHALLENGE_CLASSES_EN)) == len(set(CHALLENGE_CLASSES_KO)) == 30
    assert (CHALLENGE_CLASSES_EN[0], CHALLENGE_CLASSES_KO[0]) == ("SD card", "SD카드")
    assert (CHALLENGE_CLASSES_EN[29], CHALLENGE_CLASSES_KO[29]) == ("bearing", "베어링")
    assert tuple(DRAWINGS) == CHALLENGE_CLASSES_EN


@pytest.mark.parametrize("cls", range(30))
def test_every_class_draws(cls):
    first = draw_class(cls, np.random.default_rng(0), size=192)
    again = draw_class(cls, np.random.default_rng(0), size=192)
    other = draw_class(cls, np.random.default_rng(1), size=192)
    assert first.shape == (192, 192, 4)
    assert first.dtype == np.float32
    alpha = first[..., 3]
    assert alpha.min() >= 0
    assert alpha.max() <= 1.0001
    # Premultiplied: no colour exceeds white times alpha.
    assert (first[..., :3] <= 255 * alpha[..., None] + 0.01).all()
    assert (first[..., :3] >= -0.01).all()
    box = tight_box(alpha)
    assert box is not None
    # The drawing fills its canvas but does not touch the border, where it would be cut.
    assert max(box[2:]) > 0.8 * 192
    assert not (alpha[0] > 0.5).any()
    assert not (alpha[:, 0] > 0.5).any()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_coins_differ_in_detail_only():
    coins = [draw_class(c, np.random.default_rng(5), size=192) for c in range(6, 10)]
    for coin in coins[1:]:
        assert np.abs(coin[..., 3] - coins[0][..., 3]).max() < 1e-6
        assert np.abs(coin[..., :3] - coins[0][..., :3]).mean() > 1


@pytest.mark.parametrize("kind", sorted(GROUNDS))
def test_backgrounds_fill_the_image_with_texture(kind):
    ground = textured_ground(np.random.default_rng(2), 210, 281, kind)
    assert ground.shape == (210, 281, 3)
    assert ground.dtype == np.uint8
    assert ground.std() > 1


def test_shrunk_disc_has_the_expected_box_and_area():
    disc = np.zeros((200, 200, 4), np.float32)
    yy, xx = np.mgrid[:200, :200]
    disc[(yy - 99.5) ** 2 + (xx - 99.5) ** 2 < 90**2] = (100, 100, 100, 1)
    warped = warp(disc, Pose(turn=33, tilt=0, axis=0, keystone=0))
    assert abs(warped.shape[0] - 180) <= 3
    patch = shrink(np.random.default_rng(0), warped, 30.0)
    assert patch is not None
    assert all(29 <= side <= 31 for side in patch.box[2:])
    assert patch.pixels[..., 3].sum() == pytest.approx(np.pi * 15**2, rel=0.06)
    tilted = warp(disc, Pose(turn=0, tilt=60, axis=0, keystone=0))
    assert tilted.shape[0] == pytest.approx(90, abs=3)
    assert tilted.shape[1] == pytest.approx(180, abs=3)


def test_paste_is_the_over_operator_and_clips_at_the_edge():
    image = np.full((4, 4, 3), 100, np.uint8)
    pixels = np.zeros((3, 3, 4), np.float32)
    pixels[...] = (0.5 * 200, 0.5 * 200, 0.5 * 200, 0.5)
    paste(image, pixels, 2, -1)
    assert (image[:2, 2:] == 150).all()
    assert (image[2:] == 100).all()
    assert (image[:, :2] == 100).all()
    paste(image, pixels, 9, 9)


def test_boxes_are_tight_around_the_composed_alpha(monkeypatch):
    """Labels equal the boxes measured on a canvas with nothing but the alphas of the objects."""
    config = SceneConfig(300, 400, 5, 5)
    laid_objects = []
    original = scene_module._lay_objects

    def spy(*args):
        laid_objects[:] = original(*args)
        return list(laid_objects)

    monkeypatch.setattr(scene_module, "_lay_objects", spy)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        image, labels, masks = render_scene(rng, config, DrawnObjects(), TexturedGrounds())
        assert image.shape == (300, 400, 3)
        assert image.dtype == np.uint8
        assert len(labels) == 5
        rows = zip(laid_objects, labels, masks, strict=True)
        for (cls, patch, x, y), (label, bx, by, bw, bh), mask in rows:
            composed = np.zeros((300, 400), np.float32)
            h, w = patch.pixels.shape[:2]
            assert x >= 0
            assert y >= 0
            composed[y : y + h, x : x + w] += patch.pixels[..., 3]
            full = np.zeros((300, 400), bool)
            full[int(by) : int(by + bh), int(bx) : int(bx + bw)] = mask
            assert (full == (composed > 0.5)).all()
            rows, columns = np.nonzero(composed > 0.5)
            assert label == cls
            assert (bx, by) == (columns.min(), rows.min())
            assert (bx + bw, by + bh) == (columns.max() + 1, rows.max() + 1)


def test_sizes_have_the_documented_mean_and_range():
    rng = np.random.default_rng(0)
    sides = [scene_module._random_side(rng, SceneConfig()) for _ in range(4000)]
    assert min(sides) >= 10
    assert max(sides) <= 100
    assert np.mean(sides) == pytest.approx(45, abs=3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"objects_min": 3, "objects_max": 2}, "got 3 and 2"),
        ({"objects_min": 0}, "got 0 and 5"),
        ({"min_size": 50, "max_size": 40}, "got 50 and 40"),
        ({"height": 100}, "2800x100"),
    ],
)
def test_impossible_configs_state_rule_and_value(values, words):
    with pytest.raises(ValueError, match=words):
        SceneConfig(**values)


def test_too_many_objects_for_the_image_is_an_error():
    config = SceneConfig(130, 130, 6, 6, 90, 100)
    with pytest.raises(ValueError, match="at least 6 objects"):
        render_scene(np.random.default_rng(0), config, DrawnObjects(), TexturedGrounds())
