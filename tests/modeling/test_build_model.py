"""Models from a config: precision, memory layout, sameness alone and in a batch."""

import pytest
import torch

from smallobj.modeling import build_model


def images(count, size=(96, 128)):
    generator = torch.Generator().manual_seed(0)
    return [
        {"image": torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)}
        for _ in range(count)
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_backbone_gives_float32_in_either_precision(tiny_config, precision, training):
    torch.manual_seed(0)
    model = build_model(tiny_config("MODEL.BACKBONE.PRECISION", precision))
    seen = []
    model.backbone.bottom_up.stem.conv1.register_forward_hook(lambda *a: seen.append(a[2].dtype))
    with torch.set_grad_enabled(training):
        features = model.backbone(torch.randn(1, 3, 64, 64))
    assert {feature.dtype for feature in features.values()} == {torch.float32}
    assert seen == [getattr(torch, precision)]
    if training:
        sum(feature.sum() for feature in features.values()).backward()
        assert model.backbone.bottom_up.stem.conv1.weight.grad.dtype == torch.float32


@torch.no_grad()
def test_bfloat16_features_are_near_float32_ones(tiny_config):
    torch.manual_seed(0)
    exact = build_model(tiny_config())
    coarse = build_model(tiny_config("MODEL.BACKBONE.PRECISION", "bfloat16"))
    coarse.load_state_dict(exact.state_dict())
    image = torch.randn(1, 3, 64, 64)
    there, here = exact.backbone(image)["p2"], coarse.backbone(image)["p2"]
    assert not torch.equal(there, here)
    assert (there - here).norm() < 0.03 * there.norm()


def test_an_unknown_precision_is_told(tiny_config):
    with pytest.raises(ValueError, match=r"PRECISION.*float32.*bfloat16.*got 'half'"):
        build_model(tiny_config("MODEL.BACKBONE.PRECISION", "half"))


def test_no_number_of_classes_is_told(tiny_config):
    with pytest.raises(ValueError, match="NUM_CLASSES is 0"):
        build_model(tiny_config("MODEL.ROI_HEADS.NUM_CLASSES", 0))


@torch.no_grad()
def test_an_image_is_detected_alike_alone_and_in_a_batch(tiny_config):
    torch.manual_seed(0)
    model = build_model(tiny_config("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)).eval()
    for predictor in model.roi_heads.box_predictor:
        predictor.cls_score.weight.normal_(0, 0.1)
        predictor.bbox_pred.weight.normal_(0, 0.1)
    batch = images(3)
    together = model(batch)
    for item, expected in zip(batch, together, strict=True):
        (alone,) = model([item])
        a, b = alone["instances"], expected["instances"]
        assert len(a) == len(b) > 0
        torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(a.scores, b.scores, atol=1e-4, rtol=1e-4)
