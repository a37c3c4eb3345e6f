"""SSD through the trainer: tiles, and whole photographs squashed and kept."""

import os

import numpy as np
import pytest

from smallobj import load_config
from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer


@pytest.mark.parametrize("name", ["ssd_tiny", "ssd_whole_tiny"])
def test_it_trains_and_is_evaluated(repository, tiny_dataset, tmp_path, catalog, name):
    options = ["MODEL.ROI_HEADS.NUM_CLASSES", 3, "OUTPUT_DIR", tmp_path, "TEST.VIS_IMAGES", 0]
    options += ["SOLVER.MAX_ITER", 2, "TEST.EVAL_PERIOD", 2, "TEST.METRICS", "['coco']"]
    path = str(repository / "configs" / "quick" / f"{name}.yaml")
    cfg = load_config(path, [str(o) for o in (*tiny_dataset.options("ssd"), *options)])
    register_from_config(cfg)
    trainer = Trainer(cfg)
    trainer.train()
    for value in ("bbox/AP50", "total_loss"):
        assert np.isfinite(trainer.storage.history(value).latest())
    kept = tmp_path / "squashed"
    assert kept.is_dir() == (name == "ssd_whole_tiny")
    if kept.is_dir():
        assert 1 <= len(os.listdir(kept)) <= 6
