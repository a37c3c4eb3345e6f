"""A config that names a GPU, on a machine without one."""

import pytest
import torch

from smallobj.checkpoint import save_weights
from smallobj.inference import SmallObjectPredictor, load_detector
from smallobj.modeling import build_model
from smallobj.modeling.device import on_available_device


@pytest.fixture
def has_gpu(monkeypatch):
    return lambda found: monkeypatch.setattr(torch.cuda, "is_available", lambda: found)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_cpu_takes_the_place_of_a_missing_gpu(tiny_config, has_gpu, caplog, device):
    has_gpu(False)
    cfg = tiny_config("MODEL.DEVICE", device)
    cfg.freeze()
    replaced = on_available_device(cfg)
    assert replaced.MODEL.DEVICE == "cpu"
    assert cfg.MODEL.DEVICE != "cpu", "the given config stays"
    assert replaced.is_frozen()
    assert f"MODEL.DEVICE is {device}, but PyTorch finds no GPU: running on the CPU" in caplog.text


@pytest.mark.parametrize(("device", "found"), [("cpu", False), ("cuda", True)])
def test_a_device_that_is_there_stays(tiny_config, has_gpu, caplog, device, found):
    has_gpu(found)
    cfg = tiny_config("MODEL.DEVICE", device)
    assert on_available_device(cfg) is cfg
    assert not caplog.text


def test_detectors_of_a_config_for_gpus_run_without_one(tiny_config, has_gpu, tmp_path, caplog):
    has_gpu(False)
    weights = tmp_path / "w.safetensors"
    cfg = tiny_config("MODEL.DEVICE", "cuda", "MODEL.WEIGHTS", str(weights))
    model = build_model(cfg)
    assert model.device.type == "cpu"
    save_weights(model, weights)
    item = {"image": torch.zeros(3, 64, 64, dtype=torch.uint8)}
    for make in (load_detector, lambda cfg: SmallObjectPredictor(cfg, 0.5).model):
        caplog.clear()
        (output,) = make(cfg)([item])
        assert output["instances"].pred_boxes.device.type == "cpu"
        assert caplog.text.count("finds no GPU") == 1, "said once"
