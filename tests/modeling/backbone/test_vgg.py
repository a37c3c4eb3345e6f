"""VGG-16 with its extra layers: shapes of the papers, weights of torchvision's."""

import pytest
import torch
from detectron2.modeling import build_backbone
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from smallobj import load_config
from smallobj.modeling.backbone import VGG16

SSD300 = [(256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 1, 0), (128, 256, 3, 1, 0)]
SSD512 = [(256, 512, 3, 2, 1), *[(128, 256, 3, 2, 1)] * 3, (128, 256, 4, 1, 1)]
REFINEDET = [(256, 512, 3, 2, 1)]
MAPS = {
    300: (SSD300, 1, {"conv4_3": 38, "fc7": 19, "conv6_2": 10, "conv7_2": 5, "conv9_2": 1}),
    512: (SSD512, 1, {"conv4_3": 64, "fc7": 32, "conv6_2": 16, "conv9_2": 2, "conv10_2": 1}),
    320: (REFINEDET, 2, {"conv4_3": 40, "conv5_3": 20, "fc7": 10, "conv6_2": 5}),
}


def thin(**options):
    torch.manual_seed(0)
    return VGG16(**{"in_channels": 3, "width": 1 / 16, "norm": "GN", **options})


@pytest.mark.parametrize("side", MAPS)
def test_maps_have_the_papers_sizes(side):
    extra, stride, sizes = MAPS[side]
    backbone = thin(out_features=list(sizes), extra=extra, pool5_stride=stride)
    with torch.no_grad():
        features = backbone(torch.rand(1, 3, side, side))
    assert {name: feature.shape[-1] for name, feature in features.items()} == sizes
    for name, shape in backbone.output_shape().items():
        assert features[name].shape[1] == shape.channels


def test_strides_are_those_of_the_papers():
    extra, stride, sizes = MAPS[320]
    shapes = thin(out_features=list(sizes), extra=extra, pool5_stride=stride).output_shape()
    assert [shape.stride for shape in shapes.values()] == [8, 16, 32, 64]
    shapes = thin(out_features=["conv4_3", "fc7", "conv6_2", "conv10_2"], extra=SSD512)
    assert [shape.stride for shape in shapes.output_shape().values()] == [8, 16, 32, 256]


@pytest.mark.parametrize("size", [(1, 1), (64, 96), (301, 299)])
def test_any_size_goes_through(size):
    backbone = thin(out_features=["conv4_3", "fc7", "conv8_2", "conv9_2"], extra=SSD300)
    features = backbone(torch.rand(2, 3, *size))
    assert all(min(feature.shape) >= 1 for feature in features.values())
    sum(feature.sum() for feature in features.values()).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_without_norm_the_first_layers_are_torchvisions():
    backbone = VGG16(in_channels=3, out_features=["conv4_3"], norm="")
    torch.manual_seed(1)
    theirs = make_layers(cfgs["D"], batch_norm=False)[:23]  # up to conv4_3
    convolutions = [layer for layer in theirs if isinstance(layer, nn.Conv2d)]
    ours = [layer[0] for name, layer in backbone.layers.items() if name.startswith("conv")]
    for target, source in zip(ours, convolutions, strict=True):
        target.load_state_dict(source.state_dict())
    image = torch.rand(1, 3, 48, 32)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image)["conv4_3"], theirs(image))


def test_layers_behind_the_last_feature_are_not_built():
    assert list(thin(out_features=["conv2_2"]).layers) == [
        *("conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2")
    ]


@pytest.mark.parametrize(("norm", "kind"), [("GN", nn.GroupNorm), ("BN", nn.BatchNorm2d)])
def test_each_convolution_is_normalised(norm, kind):
    backbone = thin(out_features=["conv6_2"], extra=SSD300, norm=norm)
    convolutions = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert len([m for m in backbone.modules() if isinstance(m, kind)]) == len(convolutions) == 17
    assert all(m.bias is None for m in convolutions)


def test_groups_are_detectron2s_and_fewer_in_a_narrow_network():
    for width, groups in [(1, 32), (1 / 2, 16), (1 / 16, 2)]:
        backbone = thin(out_features=["conv1_2"], width=width)
        assert backbone.layers["conv1_1"][1].num_groups == groups


def test_activations_keep_their_size_from_scratch():
    backbone = thin(out_features=["conv1_2", "fc7"], norm="", width=0.25)
    with torch.no_grad():
        features = backbone(torch.randn(1, 3, 96, 96))
    ratio = features["fc7"].std() / features["conv1_2"].std()
    assert 0.1 < ratio < 10, "Detectron2's initialisation of He; PyTorch's own loses all by fc7"


def test_it_is_built_from_a_config():
    options = ["MODEL.BACKBONE.NAME", "build_vgg_backbone", "MODEL.VGG.WIDTH", "0.0625"]
    options += ["MODEL.VGG.OUT_FEATURES", "['conv5_3', 'conv6_2']", "MODEL.VGG.POOL5_STRIDE", "2"]
    options += ["MODEL.VGG.SIZE_DIVISIBILITY", "64"]
    options += ["MODEL.BACKBONE.EXTRA_LAYERS", "[[256, 512, 3, 2, 1]]"]
    backbone = build_backbone(load_config(None, options))
    assert backbone.size_divisibility == 64
    shapes = backbone.output_shape()
    assert {name: (s.channels, s.stride) for name, s in shapes.items()} == {
        "conv5_3": (32, 16),
        "conv6_2": (32, 64),
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"out_features": ["conv7_2"]}, "MODEL.VGG.OUT_FEATURES"),
        ({"out_features": []}, "MODEL.VGG.OUT_FEATURES"),
        ({"pool5_stride": 3}, "MODEL.VGG.POOL5_STRIDE"),
        ({"width": 0.001}, "MODEL.VGG.WIDTH"),
        ({"extra": [(256, 512, 3, 2)]}, "MODEL.BACKBONE.EXTRA_LAYERS"),
        ({"extra": [(256, 0, 3, 2, 1)]}, "MODEL.BACKBONE.EXTRA_LAYERS"),
    ],
)
def test_wrong_settings_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        thin(**{"out_features": ["fc7"], **options})
