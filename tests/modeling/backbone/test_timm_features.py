"""Backbones from timm: features by ResNet's names, tiles of any size, no downloads."""

import sys
from pathlib import Path

import pytest
import torch

import smallobj
from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.backbone import PathAggregationFPN, TimmFeatures
from smallobj.modeling.backbone.timm_features import _arguments

ROOT = Path(smallobj.__file__).parent.parent
# The smallest models of either family.
SWIN_OPTIONS = ["strict_img_size=False", "embed_dim=24", "depths=(2, 2, 2, 2)"]
SWIN = ("swin_tiny_patch4_window7_224", SWIN_OPTIONS)
CONVNEXT = ("convnext_atto", [])


@pytest.fixture
def timm():
    return pytest.importorskip("timm", reason="timm is optional: requirements-timm.txt")


@pytest.fixture(params=[CONVNEXT, SWIN], ids=["convnext", "swin"])
def family(request):
    return request.param


def options_of(family, *more, backbone="build_timm_fpn_backbone"):
    name, options = family
    return (
        *("MODEL.BACKBONE.NAME", backbone, "MODEL.TIMM.NAME", name),
        *("MODEL.TIMM.OPTIONS", options),
        *more,
    )


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (128, 128), (224, 224), (160, 288)])
def test_features_of_images_of_any_size_have_the_claimed_strides(timm, family, size):
    torch.manual_seed(0)
    features = TimmFeatures(*family).eval()
    found = features(torch.randn(2, 3, *size))
    shapes = features.output_shape()
    assert list(found) == list(shapes) == ["res2", "res3", "res4", "res5"]
    assert [shape.stride for shape in shapes.values()] == [4, 8, 16, 32]
    for level, feature in found.items():
        stride = shapes[level].stride
        places = (size[0] // stride, size[1] // stride)
        assert feature.shape == (2, shapes[level].channels, *places)


@torch.no_grad()
def test_swin_features_are_at_the_right_place(timm):
    """A bright spot shows where it is, also behind the change from (N, h, w, C) to (N, C, h, w)."""
    torch.manual_seed(0)
    features = TimmFeatures(*SWIN).eval()
    dark = torch.zeros(1, 3, 224, 448)
    bright = dark.clone()
    bright[:, :, 8:12, 400:404] = 5
    change = (features(bright)["res2"] - features(dark)["res2"]).abs().sum(dim=1)[0]
    row, column = divmod(change.argmax().item(), change.shape[1])
    assert (row, column) == (8 // 4, 400 // 4)


def test_the_shipped_models_are_those_of_the_papers(timm):
    """Parameters without a classifier: 27.8 million, and 27.5."""
    counts = {}
    for path in ("cascade_convnext_tiny", "cascade_swin_tiny"):
        node = load_config(f"{ROOT}/configs/{path}.yaml").MODEL.TIMM
        features = TimmFeatures(node.NAME, node.OPTIONS)
        counts[path] = sum(p.numel() for p in features.parameters()) / 1e6
        shapes = features.output_shape().values()
        assert [shape.channels for shape in shapes] == [96, 192, 384, 768]
    assert counts["cascade_convnext_tiny"] == pytest.approx(27.8, abs=0.05)
    assert counts["cascade_swin_tiny"] == pytest.approx(27.5, abs=0.05)


@pytest.mark.parametrize("backbone", ["build_timm_fpn_backbone", "build_timm_pafpn_backbone"])
def test_a_step_of_training_reaches_every_parameter(
    timm, tiny_config, train_a_step, family, backbone
):
    torch.manual_seed(0)
    model = build_model(tiny_config(*options_of(family, backbone=backbone)))
    assert isinstance(model.backbone, PathAggregationFPN) == ("pafpn" in backbone)
    train_a_step(model)
    unreached = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert unreached == []


def test_an_image_has_the_same_detections_alone_and_in_a_batch(
    timm, tiny_config, alone_as_in_a_batch, family
):
    torch.manual_seed(0)
    alone_as_in_a_batch(build_model(tiny_config(*options_of(family))))


def test_bfloat16_features_are_near_float32_ones(timm, tiny_config, family):
    torch.manual_seed(0)
    mixed = ("MODEL.BACKBONE.PRECISION", "bfloat16", "TEST.PRECISION", "bfloat16")
    exact = build_model(tiny_config(*options_of(family))).backbone
    coarse = build_model(tiny_config(*options_of(family, *mixed))).backbone
    coarse.load_state_dict(exact.state_dict())
    image = torch.randn(1, 3, 96, 128)
    for training in (True, False):
        there, here = exact.train(training)(image)["p2"], coarse.train(training)(image)["p2"]
        assert here.dtype == torch.float32
        assert not torch.equal(there, here)
        assert (there - here).norm() < 0.05 * there.norm()


def test_options_survive_the_config_that_a_run_saves(tmp_path):
    cfg = load_config(f"{ROOT}/configs/cascade_swin_tiny.yaml")
    path = tmp_path / "config.yaml"
    path.write_text(cfg.dump())
    again = load_config(str(path))
    assert again.MODEL.TIMM == cfg.MODEL.TIMM
    assert again.MODEL.TIMM.OPTIONS == ["strict_img_size=False", "drop_path_rate=0.1"]


def test_without_timm_the_message_says_what_to_install(monkeypatch, tiny_config):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"MODEL.TIMM.NAME .*pip install -r requirements-timm.txt"):
        build_model(tiny_config("MODEL.BACKBONE.NAME", "build_timm_fpn_backbone"))


def test_wrong_settings_are_refused(timm):
    with pytest.raises(ValueError, match=r"TIMM.NAME must be a model of timm, like .*'convnex_t'"):
        TimmFeatures("convnex_t")
    with pytest.raises(ValueError, match=r"TIMM.OPTIONS .*no_such.* don't suit convnext_atto"):
        TimmFeatures("convnext_atto", ["no_such=3"])
    with pytest.raises(ValueError, match=r"OPTIONS are each .NAME=VALUE.; got 'drop_path_rate'"):
        TimmFeatures("convnext_atto", ["drop_path_rate"])
    with pytest.raises(ValueError, match=r"strides \[4, 8, 16, 32\]; 'vit_tiny_patch16_224' has"):
        TimmFeatures("vit_tiny_patch16_224")


def test_values_of_options_are_python_literals():
    options = ["a=0.1", "b=False", "c=(2, 2)", "act_layer=relu", "d='x=1'"]
    assert _arguments(options) == {
        **{"a": 0.1, "b": False, "c": (2, 2), "act_layer": "relu", "d": "x=1"}
    }
