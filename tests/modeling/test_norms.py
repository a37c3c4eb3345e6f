"""BatchNorm folded into convolutions."""

import pytest
import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.norms import fold_batch_norm
from smallobj.modeling.precision import settle

KINDS = (_BatchNorm, FrozenBatchNorm2d)


def with_statistics(model):
    """Random means, variances, weights and biases in all BatchNorms."""
    for module in model.modules():
        if isinstance(module, KINDS):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval()


def count(model):
    return sum(isinstance(module, KINDS) for module in model.modules())


@torch.no_grad()
@pytest.mark.parametrize("norm", ["BN", "SyncBN", "FrozenBN"])
def test_folding_changes_no_feature(tiny_config, norm):
    torch.manual_seed(0)
    options = ("MODEL.RESNETS.NORM", norm, "MODEL.FPN.NORM", norm, "TEST.PRECISION", "float32")
    backbone = with_statistics(build_model(tiny_config(*options))).backbone
    image = torch.randn(2, 3, 64, 96)
    before = backbone(image)
    convolutions = sum(isinstance(module, nn.Conv2d) for module in backbone.modules())
    assert count(backbone) == convolutions
    fold_batch_norm(backbone)
    assert count(backbone) == 0
    for level, feature in backbone(image).items():
        assert before[level].std() > 0.01
        torch.testing.assert_close(feature, before[level], atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_folding_changes_no_focus(repository):
    torch.manual_seed(0)
    path = repository / "configs" / "quick" / "focus_tiny.yaml"
    options = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "TEST.PRECISION", "float32"]
    network = with_statistics(build_model(load_config(str(path), options)))
    nn.init.normal_(network.head.weight, std=0.5)
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    before = network([{"image": image}])[0]["focus"]
    fold_batch_norm(network)
    after = network([{"image": image}])[0]["focus"]
    assert before.std() > 0.01
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-3)
    assert count(network) == 0
    assert sum(isinstance(module, Conv2d) for module in network.modules()) == 7


@torch.no_grad()
def test_a_detector_is_settled_whole(repository):
    torch.manual_seed(0)
    path = repository / "configs" / "quick" / "yolov3_tiny.yaml"
    options = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "TEST.PRECISION", "bfloat16"]
    model = with_statistics(build_model(load_config(str(path), [*options, "MODEL.DEVICE", "cpu"])))
    assert count(model) > 0
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    settle(model, torch.bfloat16)
    assert count(model) == 0
    assert {m.weight.dtype for m in model.backbone.modules() if isinstance(m, nn.Conv2d)} == {
        torch.bfloat16
    }
    assert torch.isfinite(model([{"image": image}])[0]["instances"].scores).all()
