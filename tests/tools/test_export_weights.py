"""tools/export_weights.py: what it writes is a model that runs elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from smallobj import load_config
from smallobj.inference import SmallObjectPredictor
from smallobj.modeling import build_model


@pytest.fixture
def run_folder(tiny_config, tmp_path: Path) -> Path:
    """What a training leaves: config.yaml and a checkpoint."""
    cfg = tiny_config("MODEL.CLASS_NAMES", "('red', 'green', 'blue')")
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "config.yaml").write_text(cfg.dump())
    torch.manual_seed(0)
    model = build_model(cfg)
    torch.save({"model": model.state_dict(), "iteration": 3}, folder / "model_best.pth")
    return folder


def test_export_finds_what_the_checkpoint_finds(run_script, run_folder, tmp_path) -> None:
    words = ("--run", run_folder, "--weights", run_folder / "model_best.pth")
    status, told = run_script("tools/export_weights.py", *words, "--output", tmp_path / "m/parts")
    assert status == 0, told
    tensors = tmp_path / "m" / "parts.safetensors"
    assert tensors.stat().st_size < 0.6 * (run_folder / "model_best.pth").stat().st_size

    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3), dtype=np.uint8)
    found = []
    for config, weights in (
        (tmp_path / "m" / "parts.yaml", tensors),
        (run_folder / "config.yaml", run_folder / "model_best.pth"),
    ):
        options = ["MODEL.WEIGHTS", str(weights), "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]
        predictor = SmallObjectPredictor(
            load_config(str(config), [*options, "MODEL.DEVICE", "cpu"])
        )
        assert predictor.class_names == ["red", "green", "blue"]
        found.append(predictor(image)["instances"])
    assert len(found[0]) > 0
    # Half precision moves untrained scores by some thousandths.
    assert torch.allclose(found[0].scores[:5], found[1].scores[:5], atol=0.02)


def test_a_missing_checkpoint_is_named(run_script, run_folder, tmp_path) -> None:
    words = (
        "--run",
        run_folder,
        "--weights",
        tmp_path / "none.pth",
        "--output",
        tmp_path / "parts",
    )
    status, told = run_script("tools/export_weights.py", *words)
    assert status == 2
    assert "none.pth" in told
