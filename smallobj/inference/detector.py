"""The detector that validation, ``--eval-only`` and the demo run: a model wrapped as in TEST."""

from __future__ import annotations

from detectron2.config import CfgNode
from torch import nn

from smallobj.data.build import check_native_resolution
from smallobj.inference.ensemble import build_ensemble
from smallobj.inference.focus import FocusedDetector, build_focus
from smallobj.inference.model import load_model
from smallobj.inference.tiled import TiledDetector
from smallobj.inference.tta import TTADetector
from smallobj.modeling.device import on_available_device
from smallobj.modeling.score_threshold import lower_score_threshold


def load_detector(cfg: CfgNode, score_threshold: float | None = None) -> nn.Module:
    """Builds the detector that a config describes, ready to run.

    >>> detector = load_detector(cfg)
    >>> (output,) = detector([{"image": torch.zeros(3, 2100, 2800, dtype=torch.uint8)}])
    >>> output["instances"].pred_boxes  # in pixels of the image

    Args:
        cfg: config of the detector.
        score_threshold: lowers the score thresholds of the config and of the models in
            TEST.ENSEMBLE so that all detections of at least this score are returned; None leaves
            the thresholds unchanged.

    Raises:
        ValueError, FileNotFoundError: as :func:`load_model` and :func:`wrap_for_test`.
    """
    cfg = on_available_device(cfg)
    if score_threshold is not None:
        cfg = cfg.clone()
        cfg.defrost()
        lower_score_threshold(cfg, score_threshold)
    return wrap_for_test(cfg, load_model(cfg), score_threshold)


def wrap_for_test(
    cfg: CfgNode, model: nn.Module, score_threshold: float | None = None
) -> nn.Module:
    """Wraps a model as TEST says: tiling, test-time augmentation, focus and ensemble.

    From the inside out: augmentation of each tile (TEST.TTA.PER_TILE), tiles, augmentation of the
    whole image, focus, ensemble. Each wrapper is added only if its key is set.

    Args:
        cfg: config of the model.
        model: with Detectron2's contract.
        score_threshold: as in :func:`load_detector`, for the other models of an ensemble.

    Raises:
        ValueError: keys that contradict each other, or a value out of range.
        FileNotFoundError: a file named in TEST.FOCUS or TEST.ENSEMBLE does not exist.
    """
    detector = _wrap_alone(cfg, model)
    if cfg.TEST.ENSEMBLE.MEMBERS:
        return build_ensemble(cfg, detector, _wrap_alone, score_threshold)
    return detector


def _wrap_alone(cfg: CfgNode, model: nn.Module) -> nn.Module:
    _check(cfg)
    tta = cfg.TEST.TTA
    detector = TTADetector(cfg, model) if tta.ENABLED and tta.PER_TILE else model
    if cfg.TEST.TILE.ENABLED:
        detector = TiledDetector(cfg, detector)
    if tta.ENABLED and not tta.PER_TILE:
        detector = TTADetector(cfg, detector)
    return FocusedDetector(build_focus(cfg), detector) if cfg.TEST.FOCUS.ENABLED else detector


def _check(cfg: CfgNode) -> None:
    if cfg.TEST.AUG.ENABLED:
        raise ValueError(
            "TEST.AUG.ENABLED is Detectron2's test-time augmentation, which is not supported; set "
            "TEST.TTA.ENABLED True (and TEST.TTA.SCALES, TEST.TTA.FLIPS) instead"
        )
    if cfg.TEST.FOCUS.ENABLED and not cfg.TEST.TILE.ENABLED:
        raise ValueError("TEST.FOCUS.ENABLED chooses tiles, and needs TEST.TILE.ENABLED True")
    if cfg.TEST.FOCUS.ENABLED:
        check_native_resolution(cfg, "TEST.FOCUS.ENABLED looks at images at full scale")
    tta = cfg.TEST.TTA
    if tta.ENABLED and tta.PER_TILE and not cfg.TEST.TILE.ENABLED:
        raise ValueError("TEST.TTA.PER_TILE looks at tiles, and needs TEST.TILE.ENABLED True")
    if cfg.MODEL.META_ARCHITECTURE == "FocusNet" and (tta.ENABLED or cfg.TEST.ENSEMBLE.MEMBERS):
        raise ValueError(
            "TEST.TTA and TEST.ENSEMBLE merge boxes, and a FocusNet finds none; set them in the "
            "config of the detector"
        )
