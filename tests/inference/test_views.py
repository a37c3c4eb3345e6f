"""Views of an image: where pixels and boxes go, and the way back."""

import numpy as np
import pytest
import torch

from smallobj.geometry.masks import CropMasks
from smallobj.inference.views import (
    AS_IT_IS,
    PRESETS,
    TURNS,
    SizeRule,
    View,
    make_views,
    preset_views,
)

EVERY_TURN = {"as it is": AS_IT_IS, **TURNS}


@pytest.mark.parametrize("name", EVERY_TURN)
def test_a_box_goes_where_its_pixels_go(name):
    turn = EVERY_TURN[name]
    image = torch.zeros(1, 7, 11)
    image[0, 1:4, 2:9] = 1
    turned = turn.image(image)
    assert tuple(turned.shape[1:]) == turn.size((7, 11))
    ys, xs = turned[0].nonzero().unbind(dim=1)
    seen = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).double()
    box = torch.tensor([[2.0, 1, 9, 4]], dtype=torch.float64)
    assert torch.equal(turn.boxes(box, (7, 11))[0], seen)
    assert torch.equal(turn.boxes_back(seen[None], (7, 11)), box)


def test_the_eight_turns_differ_and_are_what_they_are_called():
    image = torch.arange(6).reshape(1, 2, 3)
    seen = {name: turn.image(image)[0].numpy() for name, turn in EVERY_TURN.items()}
    assert len({(one.shape, one.tobytes()) for one in seen.values()}) == 8
    flat = image[0].numpy()
    np.testing.assert_array_equal(seen["horizontal"], flat[:, ::-1])
    np.testing.assert_array_equal(seen["vertical"], flat[::-1])
    np.testing.assert_array_equal(seen["both"], np.rot90(flat, 2))
    np.testing.assert_array_equal(seen["transpose"], flat.T)
    np.testing.assert_array_equal(seen["clockwise"], np.rot90(flat, -1))
    np.testing.assert_array_equal(seen["counterclockwise"], np.rot90(flat))
    np.testing.assert_array_equal(seen["transverse"], np.rot90(flat, 2).T)


@pytest.mark.parametrize("name", EVERY_TURN)
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.6, 0.6), (1.7, 1.7), (1.0, 0.6)])
@pytest.mark.parametrize("size", [(2100, 2800), (333, 101)])
def test_boxes_come_back(name, scale, size):
    view = View(scale, EVERY_TURN[name])
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(50, 2, 2, generator=generator, dtype=torch.float64)
    corners = corners.sort(dim=1).values * torch.tensor([size[1], size[0]])
    boxes = corners.flatten(1)
    back = view.boxes_back(view.boxes(boxes, size), size, size)
    torch.testing.assert_close(back, boxes, rtol=0, atol=1e-9)
    in_frame = view.boxes_back(view.boxes(boxes, size), size, (size[0] * 2, size[1] * 3))
    torch.testing.assert_close(in_frame, boxes * boxes.new_tensor([3, 2, 3, 2]), rtol=0, atol=1e-9)


def test_scales_by_hand():
    assert View((0.6, 0.6)).scaled_size((2100, 2800)) == (1260, 1680)
    # The pair is of the longer and the shorter side.
    assert View((1.0, 0.6)).scaled_size((400, 600)) == (240, 600)
    assert View((1.0, 0.6)).scaled_size((600, 400)) == (600, 240)
    assert View((0.01, 0.01)).scaled_size((30, 40)) == (1, 1)
    boxes = torch.tensor([[10.0, 20, 30, 40]], dtype=torch.float64)
    placed = View((1.5, 1.5), TURNS["horizontal"]).boxes(boxes, (100, 200))
    assert placed.tolist() == [[255, 30, 285, 60]]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (SizeRule("max", ">", 32), [False, False, True, True]),
        (SizeRule("min", ">", 32), [False, False, False, True]),
        (SizeRule("max", "<", 32), [True, False, False, False]),
        (SizeRule("min", "<", 32), [True, False, True, False]),
    ],
)
def test_size_rules_leave_out_their_own_bound(rule, kept):
    boxes = torch.tensor([[0, 0, 31, 30], [5, 5, 37, 37], [0, 0, 33, 10], [0, 0, 40, 33]])
    assert rule.keeps(boxes.double()).tolist() == kept


def test_views_in_order_scale_by_scale():
    views = make_views([1.0, (1.5, 1)], ["horizontal", "clockwise"], ["", "min>4, max < 64.5"])
    assert [(view.scale, view.turn) for view in views] == [
        (scale, turn)
        for scale in ((1.0, 1.0), (1.5, 1.0))
        for turn in (AS_IT_IS, TURNS["horizontal"], TURNS["clockwise"])
    ]
    assert {view.rules for view in views[:3]} == {()}
    rules = (SizeRule("min", ">", 4), SizeRule("max", "<", 64.5))
    assert {view.rules for view in views[3:]} == {rules}


# Of the paper's release: arXiv 1711.06897, section 4.4.
PUBLISHED = {
    "refinedet320": {
        (1.0, 1.0): "",
        (1.0, 0.6): "",
        (0.6, 0.6): "max>32",
        (1.2, 1.2): "min<160",
        (1.4, 1.4): "min<128",
        (1.6, 1.6): "min<96",
        (1.8, 1.8): "min<64",
        (2.2, 2.2): "min<32",
    },
    "refinedet512": {
        (1.0, 1.0): "",
        (1.0, 0.75): "",
        (0.5, 0.5): "",
        (0.75, 0.75): "",
        (1.5, 1.5): "min<192",
        (1.75, 1.75): "min<128",
    },
}
PUBLISHED["refinedet320_coco"] = {**PUBLISHED["refinedet320"], (2.0, 2.0): "min<48"}
PUBLISHED["refinedet512_coco"] = {
    **PUBLISHED["refinedet512"],
    (1.25, 1.25): "min<224",
    (2.0, 2.0): "min<96",
    (2.25, 2.25): "min<64",
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_published_ones(name):
    views = preset_views(name)
    assert len(views) == 2 * len(PUBLISHED[name])
    told = {
        view.scale: ",".join(f"{r.side}{r.relation}{r.bound:g}" for r in view.rules)
        for view in views
    }
    assert told == PUBLISHED[name]
    assert {view.turn for view in views} == {AS_IT_IS, TURNS["horizontal"]}


@pytest.mark.parametrize(
    ("scales", "flips", "keep", "told"),
    [
        ((), (), (), r"SCALES must hold at least one scale; got \(\)"),
        ((0,), (), (), "SCALES must hold positive.*got 0"),
        ((1, "2"), (), (), "SCALES must hold positive.*got '2'"),
        (((1, 2, 3),), (), (), r"SCALES must hold positive.*got \(1, 2, 3\)"),
        ((float("nan"),), (), (), "SCALES must hold positive.*got nan"),
        ((1.0, 1), (), (), r"SCALES must differ; got \[1.0, 1\]"),
        ((1,), ("sideways",), (), "FLIPS must be some of .*got .'sideways'"),
        ((1,), ("vertical", "vertical"), (), "FLIPS must be some of .*'vertical', 'vertical'"),
        ((1, 2), (), ("min<9",), "KEEP must be .*got 1 for 2 scales"),
        ((1,), (), ("min<=9",), "KEEP must hold strings like .*got 'min<=9'"),
        ((1,), (), ("area<9",), "KEEP must hold strings like .*got 'area<9'"),
    ],
)
def test_wrong_settings_are_told(scales, flips, keep, told):
    with pytest.raises(ValueError, match=told):
        make_views(scales, flips, keep)


def test_an_unknown_preset_is_told():
    with pytest.raises(ValueError, match=r"PRESET must be .*refinedet512.*got 'ssd'"):
        preset_views("ssd")


@pytest.mark.parametrize("name", EVERY_TURN)
@pytest.mark.parametrize("scale", [(1.0, 1.0), (2.0, 2.0), (1.0, 2.0)])
def test_masks_come_back(name, scale):
    size = (9, 13)
    masks = torch.rand(6, *size, generator=torch.Generator().manual_seed(2)) > 0.6
    view = View(scale, EVERY_TURN[name])
    height, width = view.scaled_size(size)
    seen = masks.repeat_interleave(height // size[0], 1).repeat_interleave(width // size[1], 2)
    back = view.masks_back(CropMasks.from_bitmasks(view.turn.image(seen)), size)
    assert torch.equal(back.to_bitmasks(), masks)
