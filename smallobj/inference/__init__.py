"""Inference: loading a detector, detection on tiles, and the predictor."""

from smallobj.inference.detector import load_detector, wrap_for_test
from smallobj.inference.model import load_model
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.inference.tiled import TiledDetector

__all__ = ["SmallObjectPredictor", "TiledDetector", "load_detector", "load_model", "wrap_for_test"]
