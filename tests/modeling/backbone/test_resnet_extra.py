"""A ResNet to conv4 with SSD's further layers."""

import pytest
import torch
from detectron2.modeling import build_backbone

from smallobj import load_config


def backbone(*options):
    words = ["MODEL.BACKBONE.NAME", "build_resnet_extra_backbone", "MODEL.RESNETS.NORM", "GN"]
    words += ["MODEL.RESNETS.DEPTH", "18", "MODEL.RESNETS.RES2_OUT_CHANNELS", "64"]
    words += ["MODEL.BACKBONE.FREEZE_AT", "0", "MODEL.BACKBONE.EXTRA_LAYERS"]
    words += ["[[64, 128, 3, 2, 1], [64, 128, 3, 2, 1], [64, 64, 3, 2, 1], [64, 64, 3, 1, 0],"]
    words[-1] += " [64, 64, 3, 1, 0]]"
    torch.manual_seed(0)
    return build_backbone(load_config(None, [*words, *options]))


def test_maps_are_those_of_ssd300():
    model = backbone("MODEL.RESNETS.RES4_STRIDE", "1")
    names = ["res4", *(f"conv{number}_2" for number in range(6, 11))]
    with torch.no_grad():
        features = model(torch.rand(1, 3, 300, 300))
    assert [features[name].shape[-1] for name in names] == [38, 19, 10, 5, 3, 1]
    shapes = model.output_shape()
    assert [shapes[name].stride for name in names] == [8, 16, 32, 64, 64, 64]
    assert [features[name].shape[1] for name in names] == [shapes[n].channels for n in names]


def test_res4_has_its_usual_stride_by_default():
    model = backbone()
    assert model.output_shape()["res4"].stride == 16
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 96))["res4"].shape[-2:] == (4, 6)


def test_weights_fit_whatever_the_stride():
    model = backbone("MODEL.RESNETS.RES4_STRIDE", "1")
    model.load_state_dict(backbone().state_dict())


def test_another_stride_is_refused():
    with pytest.raises(
        ValueError, match=r"MODEL.RESNETS.RES4_STRIDE must be one of \[1, 2\]; got 4"
    ):
        backbone("MODEL.RESNETS.RES4_STRIDE", "4")


def test_a_resnet_without_res4_is_refused():
    with pytest.raises(ValueError, match="needs no res4"):
        backbone("MODEL.RESNETS.RES4_STRIDE", "1", "MODEL.RESNETS.OUT_FEATURES", "['res3']")
