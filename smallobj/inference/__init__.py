"""Running a detector: tiles, predictor."""

from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.inference.tiled import TiledDetector
from smallobj.inference.wrap import wrap_for_test

__all__ = ["SmallObjectPredictor", "TiledDetector", "wrap_for_test"]
