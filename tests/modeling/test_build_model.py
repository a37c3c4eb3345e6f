"""Models from a config: precision, memory layout, sameness alone and in a batch."""

from pathlib import Path

import pytest
import torch

import smallobj
from smallobj import load_config
from smallobj.modeling import build_model

REPOSITORY = Path(smallobj.__file__).parent.parent


def images(count, size=(96, 128)):
    generator = torch.Generator().manual_seed(0)
    return [
        {"image": torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)}
        for _ in range(count)
    ]


def test_no_number_of_classes_is_refused(tiny_config):
    with pytest.raises(ValueError, match="NUM_CLASSES is 0"):
        build_model(tiny_config("MODEL.ROI_HEADS.NUM_CLASSES", 0))


@pytest.mark.parametrize(
    ("head", "instead"),
    [
        ("StandardROIHeads", "SmallObjectROIHeads"),
        ("CascadeROIHeads", "SmallObjectCascadeROIHeads"),
    ],
)
@pytest.mark.parametrize(("key", "value"), [("CLS_LOSS", "seesaw"), ("CONTEXT_SCALE", 2.0)])
def test_a_key_that_a_head_of_detectron2_would_ignore_is_refused(
    tiny_config, head, instead, key, value
):
    options = (f"MODEL.ROI_BOX_HEAD.{key}", value)
    with pytest.raises(ValueError, match=f"{head}.*{key}; got.*{value}.*Name {instead}"):
        build_model(tiny_config("MODEL.ROI_HEADS.NAME", head, *options))
    build_model(tiny_config("MODEL.ROI_HEADS.NAME", head))
    build_model(tiny_config("MODEL.ROI_HEADS.NAME", instead, *options))


@pytest.mark.parametrize(
    "head",
    [
        "SmallObjectROIHeads",
        "SmallObjectCascadeROIHeads",
        "IterativeBBoxROIHeads",
        "IntegralLossROIHeads",
    ],
)
@torch.no_grad()
def test_an_image_has_the_same_detections_alone_and_in_a_batch(tiny_config, head):
    torch.manual_seed(0)
    options = ("MODEL.ROI_HEADS.NAME", head, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
    model = build_model(tiny_config(*options)).eval()
    for name, weight in model.roi_heads.box_predictor.named_parameters():
        if name.endswith("weight"):
            weight.normal_(0, 0.1)
    batch = images(3)
    together = model(batch)
    for item, expected in zip(batch, together, strict=True):
        (alone,) = model([item])
        a, b = alone["instances"], expected["instances"]
        assert len(a) == len(b) > 0
        torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(a.scores, b.scores, atol=1e-4, rtol=1e-4)


RETINANET = str(REPOSITORY / "configs" / "quick" / "retinanet_tiny.yaml")


def test_retinanet_takes_the_number_of_classes_that_all_detectors_take():
    cfg = load_config(RETINANET, ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    cfg.freeze()
    model = build_model(cfg)
    assert model.num_classes == 3
    assert model.head.cls_score.out_channels == 3 * 9
    assert cfg.MODEL.RETINANET.NUM_CLASSES == 0
    agreed = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.RETINANET.NUM_CLASSES", "3"]
    assert build_model(load_config(RETINANET, agreed)).num_classes == 3
    with pytest.raises(ValueError, match=r"RETINANET\.NUM_CLASSES is 80 and .*NUM_CLASSES 3"):
        build_model(load_config(RETINANET, [*agreed[:3], "80"]))
