"""Normalisation: its dependence on the tile's content, and BatchNorm folded into convolutions."""

from itertools import chain

import pytest
import torch
from detectron2.layers import Conv2d, CycleBatchNormList, FrozenBatchNorm2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.norms import fold_batch_norm
from smallobj.modeling.precision import prepare_for_inference

KINDS = (_BatchNorm, FrozenBatchNorm2d)


def count(model):
    return sum(isinstance(module, KINDS) for module in model.modules())


@torch.no_grad()
@pytest.mark.parametrize("norm", ["BN", "SyncBN", "FrozenBN"])
def test_folding_changes_no_feature(tiny_config, norm, with_statistics):
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
def test_folding_changes_no_focus(repository, with_statistics):
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
def test_all_norms_of_a_detector_are_folded_for_inference(repository, with_statistics):
    torch.manual_seed(0)
    path = repository / "configs" / "quick" / "yolov3_tiny.yaml"
    options = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "TEST.PRECISION", "bfloat16"]
    model = with_statistics(build_model(load_config(str(path), [*options, "MODEL.DEVICE", "cpu"])))
    assert count(model) > 0
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    prepare_for_inference(model, torch.bfloat16)
    assert count(model) == 0
    assert {m.weight.dtype for m in model.backbone.modules() if isinstance(m, nn.Conv2d)} == {
        torch.bfloat16
    }
    assert torch.isfinite(model([{"image": image}])[0]["instances"].scores).all()


@torch.no_grad()
@pytest.mark.parametrize(("config", "keeps"), [("cascade_tiny", False), ("yolov3_tiny", True)])
def test_other_content_of_a_tile_changes_only_groupnorm(repository, config, keeps, with_statistics):
    torch.manual_seed(0)
    path = repository / "configs" / "quick" / f"{config}.yaml"
    options = ["MODEL.ROI_HEADS.NUM_CLASSES", "3"]
    backbone = with_statistics(build_model(load_config(str(path), options))).backbone
    bottom_up = getattr(backbone, "bottom_up", backbone)
    layers = [m for m in bottom_up.modules() if isinstance(m, Conv2d)][:4]
    small = torch.randn(1, 3, 96, 96)
    large = torch.zeros(1, 3, 288, 288)
    large[:, :, 96:192, 96:192] = small
    features = []
    layers[-1].register_forward_hook(lambda _module, _inputs, output: features.append(output))
    backbone(small), backbone(large)
    here, there = features
    side = here.shape[3]
    assert there.shape[3] == 3 * side
    # Far enough from the edges for these layers.
    inside = slice(side // 4, side - side // 4)
    of_large = there[:, :, side : 2 * side, side : 2 * side][:, :, inside, inside]
    difference = (here[:, :, inside, inside] - of_large).norm() / of_large.norm()
    assert difference < 1e-5 if keeps else difference > 0.1


@torch.no_grad()
def test_after_an_aborted_pass_each_level_keeps_its_statistics(repository):
    torch.manual_seed(0)
    path = repository / "configs" / "quick" / "retinanet_tiny.yaml"
    options = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.RETINANET.NORM", "SyncBN"]
    model = build_model(load_config(str(path), options)).eval()
    lists = [m for m in model.head.modules() if isinstance(m, CycleBatchNormList)]
    for norm in [norm for norms in lists for norm in norms]:
        norm.running_mean.uniform_(-1, 1)
    features = [torch.randn(1, 32, side, side) for side in (32, 16, 8, 4)]
    before = model.head(features)
    with pytest.raises(TypeError):
        model.head([features[0], None, None, None])
    for here, there in zip(chain(*model.head(features)), chain(*before), strict=True):
        torch.testing.assert_close(here, there)
