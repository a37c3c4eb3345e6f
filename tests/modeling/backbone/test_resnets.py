"""ResNets of four depths with three norms: each builds, trains a step and tests on a CPU."""

import logging

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d, NaiveSyncBatchNorm
from torch import nn

from smallobj.modeling import build_model
from smallobj.modeling.norms import check_from_scratch

KINDS = {"GN": nn.GroupNorm, "SyncBN": NaiveSyncBatchNorm, "FrozenBN": FrozenBatchNorm2d}


def resnet(depth, norm):
    return (
        *(
            "MODEL.RESNETS.DEPTH",
            depth,
            "MODEL.RESNETS.RES2_OUT_CHANNELS",
            64 if depth < 50 else 256,
        ),
        *("MODEL.RESNETS.NORM", norm, "MODEL.FPN.NORM", "GN" if norm == "FrozenBN" else norm),
    )


@pytest.mark.parametrize("norm", KINDS)
@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_each_depth_with_each_norm_trains_and_tests(tiny_config, train_a_step, depth, norm):
    torch.manual_seed(0)
    model = build_model(tiny_config(*resnet(depth, norm)))
    bottom_up = model.backbone.bottom_up
    blocks = sum(len(stage) for stage in bottom_up.stages)
    assert blocks == {18: 8, 34: 16, 50: 16, 101: 33}[depth]
    norms = [m for m in bottom_up.modules() if isinstance(m, KINDS[norm])]
    # One behind each convolution.
    assert len(norms) == sum(isinstance(m, nn.Conv2d) for m in bottom_up.modules())
    train_a_step(model)
    assert bottom_up.stem.conv1.weight.grad.abs().sum() > 0
    with torch.no_grad():
        features = model.backbone.eval()(torch.randn(1, 3, 64, 96))
    assert all(torch.isfinite(feature).all() for feature in features.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("norm", KINDS)
def test_each_norm_goes_with_each_precision(tiny_config, norm, precision):
    torch.manual_seed(0)
    options = ("MODEL.BACKBONE.PRECISION", precision, "TEST.PRECISION", precision)
    exact = build_model(tiny_config(*resnet(18, norm))).backbone
    mixed = build_model(tiny_config(*resnet(18, norm), *options)).backbone
    mixed.load_state_dict(exact.state_dict())
    image = torch.randn(2, 3, 64, 96)
    for training in (True, False):
        exact.train(training), mixed.train(training)
        there, here = exact(image)["p2"], mixed(image)["p2"]
        assert here.dtype == torch.float32
        assert (there - here).norm() < 0.05 * there.norm()
        here.square().sum().backward()
        assert torch.isfinite(mixed.bottom_up.stem.conv1.weight.grad).all()


def test_synchronised_norms_are_replaced_on_a_cpu_and_this_is_logged(tiny_config, caplog):
    cfg = tiny_config("MODEL.RESNETS.NORM", "SyncBN")
    with caplog.at_level(logging.INFO, "smallobj"):
        model = build_model(cfg)
    assert "PyTorch's SyncBN needs GPUs" in caplog.text
    assert "MODEL.RESNETS.NORM naiveSyncBN" in caplog.text
    assert "RETINANET" not in caplog.text
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())
    assert cfg.MODEL.RESNETS.NORM == "SyncBN", "the config that is saved names what was asked for"
    # Weights of the one fit the other.
    here = {name for name in model.state_dict() if ".norm." in name}
    names = nn.SyncBatchNorm(4).state_dict()
    stem = "backbone.bottom_up.stem.conv1.norm."
    assert {name[len(stem) :] for name in here if name.startswith(stem)} == set(names)


def test_other_norms_are_kept_and_nothing_is_logged(tiny_config, caplog):
    with caplog.at_level(logging.INFO, "smallobj"):
        build_model(tiny_config())
    assert "SyncBN" not in caplog.text


def test_a_synchronised_norm_in_one_process_is_batch_norm(tiny_config):
    torch.manual_seed(0)
    synchronised = build_model(tiny_config(*resnet(18, "SyncBN"))).backbone
    plain = build_model(tiny_config(*resnet(18, "BN"))).backbone
    plain.load_state_dict(synchronised.state_dict())
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(synchronised.train()(image)["p3"], plain.train()(image)["p3"])
    assert torch.equal(synchronised.eval()(image)["p3"], plain.eval()(image)["p3"])


def test_from_scratch_nothing_may_be_frozen(tiny_config):
    check_from_scratch(build_model(tiny_config()), "")
    frozen_norm = build_model(tiny_config("MODEL.RESNETS.NORM", "FrozenBN"))
    with pytest.raises(ValueError, match=r"WEIGHTS is \"\".*FrozenBN.*Take GN"):
        check_from_scratch(frozen_norm, "")
    check_from_scratch(frozen_norm, "somewhere.pth")
    # Detectron2 freezes a stem's norm as FrozenBN, where it has BN; GN has parameters.
    frozen_stem = build_model(tiny_config("MODEL.BACKBONE.FREEZE_AT", 1))
    with pytest.raises(ValueError, match=r"3 frozen tensors.*stem.*FREEZE_AT 0"):
        check_from_scratch(frozen_stem, "")
