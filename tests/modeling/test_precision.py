"""Mixed precision: which parts compute in which type, and that the results agree."""

import pytest
import torch
from torch import nn

from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.precision import (
    computes_natively,
    fastest_precision,
    precision_at_test,
    precision_in_training,
    round_weights,
    set_precision,
    warn_of_emulation,
)

BFLOAT16 = ("TEST.PRECISION", "bfloat16")


def dtypes_seen(modules, run):
    """The types of each module's outputs during ``run``."""
    seen = []
    hooks = [m.register_forward_hook(lambda *a: seen.append(a[2].dtype)) for m in modules]
    result = run()
    for hook in hooks:
        hook.remove()
    return seen, result


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_in_training_the_backbone_alone_is_mixed(tiny_config, precision):
    torch.manual_seed(0)
    model = build_model(tiny_config("MODEL.BACKBONE.PRECISION", precision, *BFLOAT16))
    convolution = model.backbone.bottom_up.stem.conv1
    head = model.proposal_generator.rpn_head
    seen, features = dtypes_seen([convolution], lambda: model.backbone(torch.randn(1, 3, 64, 64)))
    assert seen == [getattr(torch, precision)]
    assert {feature.dtype for feature in features.values()} == {torch.float32}
    maps = [features[level] for level in model.proposal_generator.in_features]
    seen, (logits, deltas) = dtypes_seen([head.conv], lambda: head(maps))
    assert set(seen) == {torch.float32}
    sum(output.sum() for output in [*logits, *deltas]).backward()
    assert convolution.weight.grad.dtype == torch.float32
    assert convolution.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_trainer_s_autocast_reaches_backbone_and_heads(tiny_config, precision):
    model = build_model(tiny_config("MODEL.BACKBONE.PRECISION", precision))
    convolution = model.backbone.bottom_up.stem.conv1
    head = model.proposal_generator.rpn_head
    # float16 as AMP has it, but in a backbone that has asked for bfloat16.
    expected = torch.float16 if precision == "float32" else torch.bfloat16
    with torch.autocast("cpu", dtype=torch.float16):
        image = torch.randn(1, 3, 64, 64)
        seen, features = dtypes_seen([convolution], lambda: model.backbone(image))
        assert seen == [expected]
        assert {feature.dtype for feature in features.values()} == {torch.float32}
        maps = [features[level] for level in model.proposal_generator.in_features]
        seen, (logits, deltas) = dtypes_seen([head.conv], lambda: head(maps))
        assert set(seen) == {torch.float16}
        assert {output.dtype for output in [*logits, *deltas]} == {torch.float32}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@torch.no_grad()
def test_at_test_time_backbone_and_heads_are_mixed_and_give_float32(tiny_config, precision):
    torch.manual_seed(0)
    model = build_model(
        tiny_config("TEST.PRECISION", precision, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
    ).eval()
    parts = [
        model.backbone.bottom_up.stem.conv1,
        model.proposal_generator.rpn_head.conv,
        *(head.fc1 for head in model.roi_heads.box_head),
    ]
    image = torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)
    seen, (output,) = dtypes_seen(parts, lambda: model([{"image": image}]))
    assert set(seen) == {getattr(torch, precision)}
    assert len(seen) == 1 + 4 + 3  # one convolution of RPN's runs on four levels
    assert output["instances"].pred_boxes.tensor.dtype == torch.float32
    assert len(output["instances"]) > 0


@torch.no_grad()
def test_bfloat16_features_are_near_float32_ones(tiny_config):
    torch.manual_seed(0)
    exact = build_model(tiny_config()).eval()
    coarse = build_model(tiny_config(*BFLOAT16)).eval()
    coarse.load_state_dict(exact.state_dict())
    image = torch.randn(1, 3, 64, 64)
    there, here = exact.backbone(image)["p2"], coarse.backbone(image)["p2"]
    assert not torch.equal(there, here)
    assert (there - here).norm() < 0.03 * there.norm()


def test_unknown_precisions_are_refused(tiny_config):
    with pytest.raises(ValueError, match=r"BACKBONE.PRECISION.*float32.*bfloat16.*got 'half'"):
        build_model(tiny_config("MODEL.BACKBONE.PRECISION", "half"))
    with pytest.raises(ValueError, match=r"TEST.PRECISION.*auto.*float16.*got 'half'"):
        build_model(tiny_config("TEST.PRECISION", "half"))


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bw": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_the_fastest_precision_of_a_processor(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fastest_precision("cpu") is expected


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_the_fastest_precision_of_a_gpu(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert fastest_precision("cuda:0") is expected


@pytest.mark.parametrize("units", [{"avx512_bf16": True}, {"avx512_f": True}])
def test_shipped_configs_never_choose_an_emulated_type(monkeypatch, units, repository):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units, raising=False)
    configs = [*repository.glob("configs/**/*.yaml"), *repository.glob("smallobj/weights/*.yaml")]
    assert len(configs) > 40
    seen = set()
    for path in configs:
        cfg = load_config(str(path), ["MODEL.DEVICE", "cpu"])
        for dtype in (precision_in_training(cfg), precision_at_test(cfg)):
            assert computes_natively(dtype, "cpu"), path
            seen.add(dtype)
    assert (torch.bfloat16 in seen) == ("avx512_bf16" in units)


@pytest.mark.parametrize(
    ("dtype", "units", "told"),
    [
        (torch.bfloat16, {"avx512_f": True}, True),
        (torch.float16, {"avx512_bf16": True}, True),
        (torch.bfloat16, {"amx_bf16": True}, False),
        (torch.float32, {"avx512_f": True}, False),
        (torch.bfloat16, {"bf16": True, "architecture": "aarch64"}, False),
        (torch.bfloat16, {}, False),  # unknown
    ],
)
def test_an_emulated_type_that_somebody_set_is_told(monkeypatch, caplog, dtype, units, told):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units, raising=False)
    warn_of_emulation("TEST.PRECISION", dtype, "cpu")
    assert ("is emulated here" in caplog.text) == told
    assert ("set TEST.PRECISION auto" in caplog.text) == told


def test_gpus_that_emulate_bfloat16_train_in_float32(monkeypatch, tiny_config, caplog):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    options = ("MODEL.DEVICE", "cuda", "MODEL.BACKBONE.PRECISION")
    assert precision_in_training(tiny_config(*options, "auto")) == torch.float32
    explicit = precision_in_training(tiny_config(*options, "bfloat16"))
    warn_of_emulation("MODEL.BACKBONE.PRECISION", explicit, "cuda")
    assert "MODEL.BACKBONE.PRECISION bfloat16 is emulated here" in caplog.text


class Heads(nn.Module):
    """Remembers the features that it gets."""

    def forward(self, images, features, proposals, targets=None):
        self.features = features
        return proposals, {}


@torch.no_grad()
def test_regions_are_pooled_from_plain_features_of_equal_values():
    model = nn.Module()
    model.backbone, model.roi_heads = nn.Identity(), Heads()
    set_precision(model, torch.float32, torch.float32)
    features = {
        "p2": torch.randn(3, 5, 6, 7).contiguous(memory_format=torch.channels_last),
        "p3": torch.randn(3, 5, 3, 4),
    }
    model.eval().roi_heads(None, features, [[1], [], []])
    for level, feature in model.roi_heads.features.items():
        assert feature.is_contiguous()
        assert torch.equal(feature, features[level])
    # Nothing to pool: nothing to do.
    model.roi_heads(None, features, [[], [], []])
    assert model.roi_heads.features is features


def test_a_dense_detectors_head_is_mixed_too():
    model = nn.Module()
    model.backbone, model.head = nn.Identity(), nn.Conv2d(4, 2, 1)
    set_precision(model, torch.float32, torch.bfloat16)
    feature = torch.randn(1, 4, 5, 5)
    in_training = model.head(feature)
    model.eval()
    at_test = model.head(feature)
    assert at_test.dtype == torch.float32
    assert not torch.equal(in_training, at_test)
    torch.testing.assert_close(in_training, at_test, atol=0.05, rtol=0.05)


@torch.no_grad()
def test_rounding_the_weights_once_changes_no_result(tiny_config):
    torch.manual_seed(0)
    options = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, "MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", 2.0)
    model = build_model(tiny_config(*BFLOAT16, *options)).eval()
    image = torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)
    before = model([{"image": image}])[0]["instances"]
    round_weights(model, torch.bfloat16)
    after = model([{"image": image}])[0]["instances"]
    assert len(before) > 0
    assert torch.equal(before.pred_boxes.tensor, after.pred_boxes.tensor)
    assert torch.equal(before.scores, after.scores)
    stem, head = model.backbone.bottom_up.stem.conv1, model.roi_heads.box_head[0]
    assert {stem.weight.dtype, head.fc1.weight.dtype, head.fc1.bias.dtype} == {torch.bfloat16}
    assert {stem.norm.weight.dtype, model.roi_heads.box_predictor[0].cls_score.weight.dtype} == {
        torch.float32
    }


@torch.no_grad()
def test_group_norm_gives_the_same_on_small_maps_of_either_layout():
    model = nn.Module()
    model.backbone = nn.Sequential(nn.GroupNorm(4, 8))
    norm = model.backbone[0]
    norm.weight.copy_(torch.rand(8))
    expected = [norm(torch.linspace(-3, 5, 2 * 8 * n).view(2, 8, -1, 3)) for n in (30, 3000)]
    set_precision(model.eval(), torch.float32, torch.float32)
    for reference, n in zip(expected, (30, 3000), strict=True):
        plain = torch.linspace(-3, 5, 2 * 8 * n).view(2, 8, -1, 3)
        for layout in (torch.contiguous_format, torch.channels_last):
            given = plain.contiguous(memory_format=layout)
            found = norm(given)
            torch.testing.assert_close(found, reference, atol=1e-4, rtol=1e-4)
            assert found.is_contiguous(memory_format=layout)
