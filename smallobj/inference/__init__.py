"""Running a detector: tiles, predictor."""

from smallobj.inference.detector import wrap_for_test
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.inference.tiled import TiledDetector

__all__ = ["SmallObjectPredictor", "TiledDetector", "wrap_for_test"]
