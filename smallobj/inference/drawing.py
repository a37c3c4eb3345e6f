"""Pictures with boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.data import Metadata
from detectron2.structures import Instances
from detectron2.utils.visualizer import Visualizer

from smallobj.data.image_file import read_image


def draw_detections(image: np.ndarray, instances: Instances, class_names: list[str]) -> np.ndarray:
    """Draws boxes, class names and scores.

    Args:
        image: (H, W, 3) uint8, BGR.
        instances: on the CPU, in the image's pixels.
        class_names: in the order of pred_classes.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    visualizer = Visualizer(image[:, :, ::-1], Metadata(thing_classes=class_names))
    return visualizer.draw_instance_predictions(instances).get_image()[:, :, ::-1]


def draw_comparison(
    sample: dict[str, Any], instances: Instances, class_names: list[str]
) -> np.ndarray:
    """Ground truth on the left, predictions on the right.

    Args:
        sample: dataset dict with annotations.
        instances: on the CPU, in the image's pixels.
        class_names: in the order of category ids.

    Returns:
        (H, 2 W, 3) uint8, BGR.
    """
    image = read_image(sample["file_name"])
    metadata = Metadata(thing_classes=class_names)
    truth = Visualizer(image[:, :, ::-1], metadata).draw_dataset_dict(sample).get_image()
    return np.hstack([truth[:, :, ::-1], draw_detections(image, instances, class_names)])
