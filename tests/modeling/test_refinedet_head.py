"""Transfer connections and the layers that predict."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import nn
from torch.nn import functional as F

from smallobj.modeling.meta_arch.refinedet_head import RefineDetHead, TransferConnection

SHAPES = [ShapeSpec(channels=c, stride=s) for c, s in ((8, 8), (8, 16), (16, 32), (12, 64))]


def make(**changes):
    torch.manual_seed(0)
    options = {
        "input_shape": SHAPES,
        "num_classes": 5,
        "num_anchors": 3,
        "channels": 16,
        "norm": "",
        "l2_scales": (10.0, 8.0, 0.0, 0.0),
    }
    return RefineDetHead(**{**options, **changes})


def features(height=128, width=192, images=2):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.rand(images, s.channels, height // s.stride, width // s.stride, generator=generator)
        for s in SHAPES
    ]


def test_each_module_predicts_for_each_anchor_of_each_level():
    outputs = make()(features())
    assert [len(output) for output in outputs] == [4, 4, 4, 4]
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3)]
    for output, numbers in zip(outputs, (2, 4, 5 + 1, 4), strict=True):
        assert [tuple(x.shape) for x in output] == [(2, 3 * numbers, *size) for size in sizes]


def test_sizes_need_not_be_multiples_of_the_strides():
    sizes = [(9, 13), (5, 7), (3, 4), (2, 2)]
    inputs = [torch.rand(1, s.channels, *size) for s, size in zip(SHAPES, sizes, strict=True)]
    for output in make()(inputs):
        assert [tuple(x.shape[2:]) for x in output] == sizes


def test_the_two_finest_levels_have_lengths_10_and_8():
    head = make()
    lengths = [norm(x).norm(dim=1) for norm, x in zip(head.norms, features(), strict=True)]
    torch.testing.assert_close(lengths[0], torch.full((2, 16, 24), 10.0))
    torch.testing.assert_close(lengths[1], torch.full((2, 8, 12), 8.0))
    assert isinstance(head.norms[2], nn.Identity)
    assert isinstance(head.norms[3], nn.Identity)


def test_a_transfer_connection_is_two_convolutions_a_sum_with_the_deconvolution_and_one_more():
    torch.manual_seed(2)
    block = TransferConnection(8, 16, "", coarsest=False)
    x, coarser = torch.randn(1, 8, 6, 4), torch.randn(1, 16, 3, 2)

    def convolve(x, block):
        return F.conv2d(x, block[0].weight, block[0].bias, padding=1)

    deconvolution = block.upsample[0]
    up = F.conv_transpose2d(coarser, deconvolution.weight, deconvolution.bias, stride=2)
    expected = convolve(F.relu(convolve(x, block.first)), block.second) + up
    expected = F.relu(convolve(F.relu(expected), block.last))
    torch.testing.assert_close(block(x, coarser), expected)


def test_the_coarsest_one_is_three_convolutions():
    block = TransferConnection(8, 16, "", coarsest=True)
    x = torch.randn(1, 8, 3, 2)
    expected = x
    for layer in (block.first, block.second, block.last):
        expected = F.relu(F.conv2d(expected, layer[0].weight, layer[0].bias, padding=1))
    torch.testing.assert_close(block(x, None), expected)
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in block.modules())


def test_coarse_features_influence_fine_detections_but_not_fine_refinements():
    head, inputs = make(), features()
    before = head(inputs)
    inputs[3] = inputs[3] + 1
    after = head(inputs)
    same = [
        [torch.equal(a, b) for a, b in zip(one, other, strict=True)]
        for one, other in zip(before, after, strict=True)
    ]
    assert same[0] == same[1] == [True, True, True, False], "the ARM looks at its own level"
    assert same[2] == same[3] == [False] * 4


@pytest.mark.parametrize("norm", ["", "GN", "BN"])
def test_every_parameter_trains(norm):
    head = make(norm=norm)
    assert any(isinstance(module, nn.GroupNorm) for module in head.modules()) == (norm == "GN")
    outputs = head(features())
    sum(x.square().sum() for output in outputs for x in output).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all()
        assert norm or parameter.grad.abs().sum() > 0, name


def test_the_untrained_head_leaves_anchors_nearly_where_they_are():
    arm_deltas = make(norm="GN")(features())[1]
    assert all(x.std() < 0.5 for x in arm_deltas), "a twentieth of an anchor's side"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l2_scales": (10.0, 8.0)}, r"L2_SCALES needs 4 numbers.*\[10.0, 8.0\]"),
        ({"l2_scales": (10.0, -8.0, 0, 0)}, "L2_SCALES.*-8.0"),
        ({"input_shape": [SHAPES[0], *SHAPES[2:]], "l2_scales": (0, 0, 0)}, r"\[8, 32, 64\]"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
