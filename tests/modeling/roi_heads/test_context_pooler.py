"""Pooling of a region with its surroundings."""

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes

from smallobj.modeling.roi_heads.context_pooler import ContextPooler

CHANNELS = 32


def make(scale, fusion):
    pooler = ROIPooler(7, scales=(1 / 4,), sampling_ratio=2, pooler_type="ROIAlignV2")
    return ContextPooler(pooler, scale=scale, fusion=fusion, channels=CHANNELS)


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, CHANNELS, 32, 32, generator=generator)]


BOXES = [
    Boxes(torch.tensor([[40.0, 40, 60, 50], [10, 20, 30, 30]])),
    Boxes(torch.tensor([[64.0, 64, 72, 72]])),
]
# The same at twice the side, by hand.
DOUBLED = [
    Boxes(torch.tensor([[30.0, 35, 70, 55], [0, 15, 40, 35]])),
    Boxes(torch.tensor([[60.0, 60, 76, 76]])),
]


def test_replacing_pools_the_enlarged_boxes(features):
    context = make(2.0, "replace")
    torch.testing.assert_close(context(features, BOXES), context.pooler(features, DOUBLED))
    assert not list(context.parameters())


def test_boxes_stay_as_they_are(features):
    before = [boxes.tensor.clone() for boxes in BOXES]
    make(2.0, "concat")(features, BOXES)
    assert all(torch.equal(a, b.tensor) for a, b in zip(before, BOXES, strict=True))


def test_concatenation_has_the_shape_of_a_plain_pooler_and_a_gradient(features):
    context = make(2.0, "concat")
    features[0].requires_grad_()
    pooled = context(features, BOXES)
    assert pooled.shape == (3, CHANNELS, 7, 7)
    pooled.square().sum().backward()
    assert context.mix.weight.grad.abs().sum() > 0
    # Context of the last box, x and y from 60 to 76, is seen: so is what lies outside of the box.
    assert features[0].grad[1, :, 15, 15].abs().sum() > 0


def test_concatenation_depends_on_both_halves(features):
    context = make(2.0, "concat")
    pooled = context(features, BOXES)
    both = torch.cat([context.pooler(features, BOXES), context.pooler(features, DOUBLED)], dim=1)
    torch.testing.assert_close(pooled, context.mix(both))
    swapped = torch.cat([both[:, CHANNELS:], both[:, :CHANNELS]], dim=1)
    assert not torch.allclose(pooled, context.mix(swapped))


@pytest.mark.parametrize("fusion", ["replace", "concat"])
def test_no_boxes(features, fusion):
    pooled = make(2.0, fusion)(features, [Boxes(torch.zeros(0, 4)), Boxes(torch.zeros(0, 4))])
    assert pooled.shape == (0, CHANNELS, 7, 7)


@pytest.mark.parametrize(
    ("scale", "fusion", "message"),
    [(0.5, "replace", "CONTEXT_SCALE.*0.5"), (2.0, "add", "CONTEXT_FUSION.*add")],
)
def test_bad_values_are_refused(scale, fusion, message):
    with pytest.raises(ValueError, match=message):
        make(scale, fusion)
