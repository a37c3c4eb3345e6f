"""Each detector overfits eight tiles; one that can't learn would not."""

import pytest

# A narrow backbone, since these tests are about heads, losses and proposals. With ResNet-18 they
# take seven times as long; retinanet_tiny shows that ResNet-18 learns.
NARROW = {"options": ("MODEL.BACKBONE.NAME", "build_narrow_resnet_fpn_backbone")}
SHALLOW = {"options": ("MODEL.TIMM.OPTIONS", "['depths=(1, 1, 1, 1)']")}
# Config in configs/quick/, largest number of steps, learning rate (Adam), keywords for ``overfit``.
# In alphabetical order. Aim at ten seconds of processor time, and allow twice the steps that it
# takes, as a reserve for other versions of PyTorch.
RECIPES = [
    ("cascade_convnext_atto", 200, 0.004, SHALLOW),
    ("cascade_tiny", 200, 0.006, NARROW),
    ("faster_rcnn_tiny", 200, 0.006, NARROW),
    ("integral_loss_tiny", 200, 0.006, NARROW),
    ("iterative_bbox_tiny", 200, 0.006, NARROW),
    ("refinedet_tiny", 120, 0.004, {}),
    ("retinanet_tiny", 80, 0.003, {}),
    ("ssd_tiny", 120, 0.002, {}),
    ("ssd_whole_tiny", 120, 0.002, {}),
    ("yolov3_tiny", 120, 0.005, {"batch": 8}),
]


@pytest.mark.parametrize(
    ("config", "steps", "rate", "more"), RECIPES, ids=[recipe[0] for recipe in RECIPES]
)
def test_eight_tiles_are_overfitted(overfit, config, steps, rate, more):
    result = overfit(f"configs/quick/{config}.yaml", steps=steps, learning_rate=rate, **more)
    assert result.map50 >= 0.95, result.history
