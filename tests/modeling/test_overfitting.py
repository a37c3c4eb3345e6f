"""A detector that can learn anything learns eight tiles by heart."""

import pytest

# Config in configs/quick/, most steps, learning rate (Adam; keywords for ``overfit`` behind them).
# In alphabetical order. Aim at a minute on one core: with twice the steps that it takes there is
# room for other versions of PyTorch.
RECIPES = [
    ("cascade_convnext_atto", 200, 0.002, {}),
    ("cascade_tiny", 300, 0.002, {}),
    ("faster_rcnn_tiny", 300, 0.002, {}),
    ("integral_loss_tiny", 300, 0.002, {}),
    ("iterative_bbox_tiny", 300, 0.002, {}),
    ("refinedet_tiny", 120, 0.002, {}),
    ("retinanet_tiny", 120, 0.002, {}),
    ("ssd_tiny", 120, 0.002, {}),
    ("ssd_whole_tiny", 120, 0.002, {}),
    ("yolov3_tiny", 120, 0.005, {"batch": 8, "check_every": 10}),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "steps", "rate", "more"), RECIPES, ids=[recipe[0] for recipe in RECIPES]
)
def test_eight_tiles_are_learnt_by_heart(overfit, config, steps, rate, more):
    result = overfit(f"configs/quick/{config}.yaml", steps=steps, learning_rate=rate, **more)
    assert result.map50 >= 0.95, result.history
