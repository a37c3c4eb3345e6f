"""P2 alone and path aggregation: against FPN and against the paper's steps one by one."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone
from detectron2.modeling.backbone import FPN, Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from torch.nn import functional as F

from smallobj.modeling import build_model
from smallobj.modeling.backbone import FinestLevelFPN, PathAggregationFPN

FINEST = (
    *("MODEL.BACKBONE.NAME", "build_resnet_finest_fpn_backbone"),
    *("MODEL.ANCHOR_GENERATOR.SIZES", [[14, 28, 56, 112]]),
    *("MODEL.RPN.IN_FEATURES", ["p2"], "MODEL.ROI_HEADS.IN_FEATURES", ["p2"]),
)
PAFPN = ("MODEL.BACKBONE.NAME", "build_resnet_pafpn_backbone")


class Layers(Backbone):
    """Returns given maps, one per level."""

    def __init__(self, channels=(3, 4, 5)):
        super().__init__()
        self._out_features = ["res2", "res3", "res4"]
        self._out_feature_channels = dict(zip(self._out_features, channels, strict=True))
        self._out_feature_strides = {"res2": 4, "res3": 8, "res4": 16}

    def forward(self, maps):
        return maps


def pyramid(kind, norm="", **more):
    torch.manual_seed(0)
    return kind(Layers(), ["res2", "res3", "res4"], 32, norm=norm, **more)


def maps(images=2):
    torch.manual_seed(1)
    return {f"res{i}": torch.randn(images, i + 1, 64 >> i, 96 >> i) for i in (2, 3, 4)}


def copy_fpn(source, target):
    """Copies the layers that both have; returns the names that only one of them has."""
    missing, unexpected = target.load_state_dict(source.state_dict(), strict=False)
    return missing, unexpected


@torch.no_grad()
def test_the_finest_level_is_that_of_fpn():
    fpn, finest = pyramid(FPN, "GN"), pyramid(FinestLevelFPN, "GN")
    missing, unexpected = copy_fpn(fpn, finest)
    assert missing == []
    # It has no output layers of the others.
    assert {name.split(".")[0] for name in unexpected} == {"fpn_output3", "fpn_output4"}
    found = finest(maps())
    assert list(found) == ["p2"]
    assert torch.equal(found["p2"], fpn(maps())["p2"])
    assert finest.output_shape() == {"p2": ShapeSpec(channels=32, stride=4)}
    assert finest.size_divisibility == 16


@torch.no_grad()
def test_path_aggregation_step_by_step():
    fpn, augmented = pyramid(FPN), pyramid(PathAggregationFPN, top_block=Pool("p4"))
    missing, unexpected = copy_fpn(fpn, augmented)
    assert unexpected == []
    assert {name.split(".")[0] for name in missing} == {
        *("pan_down3", "pan_aggregate3", "pan_down4", "pan_aggregate4")
    }
    p = fpn(maps())
    n = {"p2": p["p2"]}
    for finer, level in (("p2", "p3"), ("p3", "p4")):
        down = getattr(augmented, f"pan_down{level[1]}")
        lateral = getattr(augmented, f"pan_aggregate{level[1]}")
        step = F.relu(F.conv2d(n[finer], down.weight, down.bias, stride=2, padding=1))
        n[level] = F.relu(F.conv2d(p[level] + step, lateral.weight, lateral.bias, padding=1))
    n["p5"] = n["p4"][:, :, ::2, ::2]
    found = augmented(maps())
    assert list(found) == ["p2", "p3", "p4", "p5"]
    for level, expected in n.items():
        torch.testing.assert_close(found[level], expected)


class Pool(LastLevelMaxPool):
    def __init__(self, level):
        super().__init__()
        self.in_feature = level


def test_the_claimed_shapes_are_the_real_ones():
    augmented = pyramid(PathAggregationFPN, "GN", top_block=Pool("p4"))
    shapes = augmented.output_shape()
    assert list(shapes) == ["p2", "p3", "p4", "p5"]
    for level, feature in augmented(maps()).items():
        assert feature.shape == (2, 32, 64 // shapes[level].stride, 96 // shapes[level].stride)
    assert list(pyramid(PathAggregationFPN).output_shape()) == ["p2", "p3", "p4"]


def test_norms_are_those_of_the_pyramid():
    def norms(kind):
        return sum(isinstance(m, torch.nn.GroupNorm) for m in pyramid(kind, "GN").modules())

    assert norms(FPN) == 6  # three levels, lateral and output
    assert norms(PathAggregationFPN) == 6 + 4
    assert norms(FinestLevelFPN) == 4


@pytest.mark.parametrize("options", [FINEST, PAFPN], ids=["finest", "pafpn"])
@pytest.mark.parametrize("heads", ["SmallObjectCascadeROIHeads", "StandardROIHeads"])
def test_a_step_of_training_reaches_every_parameter(tiny_config, train_a_step, options, heads):
    torch.manual_seed(0)
    model = build_model(tiny_config(*options, "MODEL.ROI_HEADS.NAME", heads))
    train_a_step(model)
    unreached = [name for name, weight in model.named_parameters() if weight.grad is None]
    # Training on several GPUs stops at these.
    assert unreached == []
    assert model.backbone.bottom_up.stem.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("options", [FINEST, PAFPN], ids=["finest", "pafpn"])
def test_an_image_has_the_same_detections_alone_and_in_a_batch(
    tiny_config, alone_as_in_a_batch, options
):
    torch.manual_seed(0)
    alone_as_in_a_batch(build_model(tiny_config(*options)))


def test_weights_trained_with_fpn_fit(tiny_config):
    fpn, augmented = build_backbone(tiny_config()), build_backbone(tiny_config(*PAFPN))
    missing, unexpected = augmented.load_state_dict(fpn.state_dict(), strict=False)
    assert unexpected == []
    assert all("pan_" in name for name in missing)
