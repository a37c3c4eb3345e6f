"""A detector that can learn anything learns eight tiles by heart."""

import pytest

# What has to learn is their heads, losses and proposals. On ResNet-18 it takes seven times as long;
# retinanet_tiny proves that this one learns.
NARROW = {"options": ("MODEL.BACKBONE.NAME", "build_narrow_resnet_fpn_backbone")}
SHALLOW = {"options": ("MODEL.TIMM.OPTIONS", "['depths=(1, 1, 1, 1)']")}
# Config in configs/quick/, most steps, learning rate (Adam; keywords for ``overfit`` behind them).
# In alphabetical order. Aim at ten seconds of processor time; with twice the steps that it takes
# there is room for other versions of PyTorch.
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
def test_eight_tiles_are_learnt_by_heart(overfit, config, steps, rate, more):
    result = overfit(f"configs/quick/{config}.yaml", steps=steps, learning_rate=rate, **more)
    assert result.map50 >= 0.95, result.history
