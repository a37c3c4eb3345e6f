"""A tiny untrained model on disk, and an image for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.rivals import Settings
from smallobj import load_config
from smallobj.checkpoint import save_weights
from smallobj.modeling import build_model


@pytest.fixture(scope="session")
def tiny_settings(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Settings:
    """Settings whose config and weights are those of an untrained model for three classes."""
    folder = tmp_path_factory.mktemp("tiny")
    cfg = load_config(str(repository / "configs" / "quick" / "cascade_tiny.yaml"))
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    cfg.MODEL.CLASS_NAMES = ["red", "green", "blue"]
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (), ()
    (folder / "config.yaml").write_text(cfg.dump())
    torch.manual_seed(0)
    save_weights(build_model(cfg), folder / "model.safetensors")
    return Settings(str(folder / "config.yaml"), str(folder / "model.safetensors"), "cpu", tile=128)


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Noise, 192 x 160."""
    path = str(tmp_path_factory.mktemp("photograph") / "noise.png")
    cv2.imwrite(path, np.random.default_rng(0).integers(0, 255, (160, 192, 3), dtype=np.uint8))
    return path
