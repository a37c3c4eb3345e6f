"""A dataset dict with its image, for the tests of all mappers."""

import cv2
import numpy as np
import pytest
from detectron2.structures import BoxMode

GREY = 110
COLORS = [(0, 0, 230), (0, 200, 0), (230, 0, 0), (220, 220, 0)]


@pytest.fixture
def write_sample(tmp_path):
    """``write_sample(boxes)``: box i, XYWH, has class i and one of four colours, on grey."""

    def write(boxes, size=(300, 400), crowd=()):
        image = np.full((*size, 3), GREY, np.uint8)
        annotations = []
        for number, (x, y, w, h) in enumerate(boxes):
            image[y : y + h, x : x + w] = COLORS[number % 4]
            annotations.append(
                {
                    "bbox": [x, y, w, h],
                    "bbox_mode": BoxMode.XYWH_ABS,
                    "category_id": number % 4,
                    "iscrowd": int(number in crowd),
                }
            )
        path = str(tmp_path / "image.png")
        cv2.imwrite(path, image)
        height, width = size
        return {
            "file_name": path,
            "image_id": 5,
            "height": height,
            "width": width,
            "annotations": annotations,
        }

    return write
