"""Darknet-53: its published size, its features, its settings."""

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from torch import nn

from smallobj import load_config
from smallobj.modeling.backbone.darknet import Darknet, build_darknet_backbone


def small(**settings):
    torch.manual_seed(0)
    defaults = {"stem_channels": 4, "blocks": (1, 0, 2, 1, 1), "norm": "BN"}
    return Darknet(**{**defaults, "out_features": ["dark3", "dark5"], **settings})


def test_darknet_53_has_the_published_convolutions():
    cfg = load_config(None)
    with torch.device("meta"):
        backbone = build_darknet_backbone(cfg, ShapeSpec(channels=3))
    convolutions = backbone.darknet_order()
    # 53 with the classifier's, which a detector has no use for.
    assert len(convolutions) == 52
    assert len(set(convolutions)) == len([m for m in backbone.modules() if type(m) in KINDS])
    # Table 1 of the paper: 32 filters, then for each stage 64 / 1x 32-64, 128 / 2x 64-128, ...
    stages = [(64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)]
    expected = [(32, 3, 1)]
    for width, blocks in stages:
        expected += [(width, 3, 2), *[(width // 2, 1, 1), (width, 3, 1)] * blocks]
    found = [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions]
    assert found == expected


KINDS = {type(small().stem)}


@torch.no_grad()
def test_features_have_the_claimed_strides_and_channels():
    backbone = small(out_features=[f"dark{i}" for i in range(1, 6)]).eval()
    features = backbone(torch.rand(2, 3, 64, 96))
    assert backbone.size_divisibility == 32
    for number, (name, feature) in enumerate(features.items(), start=1):
        shape = backbone.output_shape()[name]
        assert name == f"dark{number}"
        assert shape == ShapeSpec(channels=4 * 2**number, stride=2**number)
        assert feature.shape == (2, shape.channels, 64 // shape.stride, 96 // shape.stride)


@torch.no_grad()
def test_a_block_adds_two_convolutions_with_leaky_relu_to_its_input():
    block = small().eval().stages[0][1]
    x = torch.randn(1, 8, 5, 6)
    narrow = nn.functional.conv2d(x, block.reduce.weight) / (1 + 1e-5) ** 0.5
    narrow = torch.where(narrow > 0, narrow, 0.1 * narrow)
    wide = nn.functional.conv2d(narrow, block.expand.weight, padding=1) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x), x + torch.where(wide > 0, wide, 0.1 * wide))


@pytest.mark.parametrize(
    ("norm", "kind"), [("BN", nn.BatchNorm2d), ("GN", nn.GroupNorm), ("", None)]
)
def test_the_norm_is_the_one_asked_for(norm, kind):
    backbone = small(norm=norm, stem_channels=32)
    for convolution in backbone.darknet_order():
        assert convolution.norm is None if kind is None else isinstance(convolution.norm, kind)
        assert (convolution.bias is None) == bool(norm)


def test_frozen_parts_stay_as_they_are():
    backbone = small(freeze_at=2)
    assert isinstance(backbone.stem.norm, FrozenBatchNorm2d)
    assert not any(p.requires_grad for p in backbone.stem.parameters())
    assert not any(p.requires_grad for p in backbone.stages[0].parameters())
    assert all(p.requires_grad for p in backbone.stages[1].parameters())
    assert isinstance(backbone.stages[1][0].norm, nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": (1, 1, 1)}, r"BLOCKS needs five numbers from 0 on; got \[1, 1, 1\]"),
        ({"blocks": (1, 1, -1, 1, 1)}, "BLOCKS needs five"),
        ({"out_features": ["res3"]}, r"OUT_FEATURES must be some of .*got \['res3'\]"),
        ({"norm": "GN"}, "STEM_CHANNELS must be a positive multiple of 32 .*'GN'; got 4"),
        ({"stem_channels": 0}, "STEM_CHANNELS must be a positive multiple of 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)
