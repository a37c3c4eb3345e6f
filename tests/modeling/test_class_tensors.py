"""Classes are found in the tensors of every detector, on all of configs/quick/."""

from pathlib import Path

import smallobj  # isort: skip  (first: makes Detectron2 import)

import pytest
import torch
from torch import nn

from smallobj import load_config
from smallobj.checkpoint import load_weights, save_weights
from smallobj.modeling import build_model

FOLDER = Path(smallobj.__file__).parent.parent / "configs" / "quick"
SEESAW = ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "seesaw")
SHARED_MASK = ("MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", True)
# Variants of these have other weights.
VARIANTS = [(path.stem, ()) for path in sorted(FOLDER.glob("*_tiny.yaml"))] + [
    ("integral_loss_tiny", SEESAW),
    ("mask_rcnn_tiny", SHARED_MASK),
]
NAMES = ["bolt", "nut", "nail"]


def build(config, names, *options):
    words = ["MODEL.DEVICE", "cpu", "MODEL.CLASS_NAMES", repr(names), *map(str, options)]
    cfg = load_config(str(FOLDER / f"{config}.yaml"), words)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = len(names)
    if cfg.MODEL.META_ARCHITECTURE == "YOLOv3" and not cfg.MODEL.YOLO.ANCHORS:
        cfg.MODEL.YOLO.ANCHORS = [(8 + k, 8 + k) for k in range(9)]
    return cfg, build_model(cfg)


@pytest.mark.parametrize(("config", "options"), VARIANTS)
def test_the_table_has_each_tensor_that_grows_with_the_classes(config, options):
    (_, few), (_, many) = build(config, NAMES, *options), build(config, [*NAMES, "nip"], *options)
    sizes = many.state_dict()
    growing = {k for k, v in few.state_dict().items() if v.shape != sizes[k].shape}
    assert set(few.classes.rows or ()) == growing
    # A focus network finds things of any class.
    assert list(few.classes.names) == (NAMES if growing else [])


def loud(model):
    """Predicting layers with larger weights than at the start: there are detections to compare."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.std() < 0.02:
            nn.init.normal_(module.weight, std=0.1)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.5)
    return model.eval()


def scores_by_name(cfg, model, image):
    """Sums of the scores and of the boxes' coordinates of each class, by its name."""
    with torch.no_grad():
        found = model([{"image": image}])[0]["instances"]
    assert len(found) > 20
    sums = {}
    for k, name in enumerate(cfg.MODEL.CLASS_NAMES):
        chosen = found[found.pred_classes == k]
        tensors = [chosen.scores, chosen.pred_boxes.tensor]
        if chosen.has("pred_masks"):
            tensors.append(chosen.pred_masks.float().mean((1, 2)))
        sums[name] = torch.stack([t.sum() for t in tensors])
    return sums


DETECTORS = [variant for variant in VARIANTS if "focus" not in variant[0]]


@pytest.mark.parametrize(("config", "options"), DETECTORS)
def test_weights_find_the_same_in_another_order(config, options, tmp_path):
    quiet = ("TEST.DETECTIONS_PER_IMAGE", 3000, *options)
    torch.manual_seed(3)
    cfg, model = build(config, NAMES, *quiet)
    save_weights(loud(model), tmp_path / "w.safetensors", half=False)
    other_cfg, other = build(config, ["nail", "bolt", "nut"], *quiet)
    load_weights(other, tmp_path / "w.safetensors")
    size = 300 if "whole" in config else 256
    image = torch.randint(0, 255, (3, size, size), dtype=torch.uint8)
    expected = scores_by_name(cfg, model, image)
    found = scores_by_name(other_cfg, other.eval(), image)
    assert len({round(float(sums[0]), 3) for sums in expected.values()}) == 3
    for name in NAMES:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=0.05)
