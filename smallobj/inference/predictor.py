"""One photograph in, its detections out."""

from __future__ import annotations

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import Metadata
from detectron2.engine import DefaultPredictor
from detectron2.structures import Instances

from smallobj.checkpoint import load_weights
from smallobj.data.build import image_tensor, resize_at_test
from smallobj.inference.tiled import wrap_for_test
from smallobj.modeling import build_model


class SmallObjectPredictor(DefaultPredictor):
    """Detectron2's predictor with tiles and with safe weights; what validation runs, for one image.

    Attributes:
        model: the detector, tiled if TEST.TILE.ENABLED.
        class_names: names of the classes, in the order of pred_classes.
    """

    def __init__(self, cfg: CfgNode) -> None:
        """
        Raises:
            ValueError: weights that don't fit the config, or are unsafe to read.
            FileNotFoundError: there is no file at MODEL.WEIGHTS.
        """
        # Not the base's __init__, which would unpickle the weights.
        self.cfg = cfg.clone()
        detector = build_model(self.cfg)
        load_weights(detector, cfg.MODEL.WEIGHTS)
        self.model = wrap_for_test(self.cfg, detector.eval())
        self.aug = resize_at_test(self.cfg)
        self.input_format = cfg.INPUT.FORMAT
        self.class_names = list(cfg.MODEL.CLASS_NAMES) or [
            f"class {index}" for index in range(cfg.MODEL.ROI_HEADS.NUM_CLASSES)
        ]
        self.metadata = Metadata(thing_classes=self.class_names)

    @torch.no_grad()
    def __call__(self, original_image: np.ndarray) -> dict[str, Instances]:
        """
        Args:
            original_image: (H, W, 3) uint8, BGR.

        Returns:
            {"instances": Instances} in the image's pixels, by falling score.
        """
        height, width = original_image.shape[:2]
        pixels = image_tensor(original_image, self.aug, self.input_format)
        return self.model([{"image": pixels, "height": height, "width": width}])[0]
