"""Loading a trained model for inference, without the wrappers around it."""

from __future__ import annotations

from detectron2.config import CfgNode
from torch import nn

from smallobj.checkpoint import load_weights
from smallobj.modeling import build_model
from smallobj.modeling.device import on_available_device
from smallobj.modeling.precision import precision_at_test, prepare_for_inference, warn_of_emulation


def load_model(cfg: CfgNode) -> nn.Module:
    """Builds the model, loads MODEL.WEIGHTS, folds BatchNorm and rounds weights to TEST.PRECISION.

    The result is for inference only: its norms are gone and its weights may be 16 bits wide.
    Without a GPU it is on the CPU, whatever MODEL.DEVICE says.

    Args:
        cfg: config of the model; MODEL.WEIGHTS names a file.

    Returns:
        The model in evaluation mode, with Detectron2's contract: list[dict] in, list[dict] out.

    Raises:
        ValueError: weights that do not fit the config or are unsafe to load, or a wrong value of a
            key.
        FileNotFoundError: there is no file at MODEL.WEIGHTS.
    """
    cfg = on_available_device(cfg)
    precision = precision_at_test(cfg)
    warn_of_emulation("TEST.PRECISION", precision, cfg.MODEL.DEVICE)
    model = build_model(cfg)
    load_weights(model, cfg.MODEL.WEIGHTS)
    prepare_for_inference(model, precision)
    return model.eval()
