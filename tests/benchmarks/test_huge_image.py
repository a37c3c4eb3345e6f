from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from benchmarks.huge_image import measure_scan, write_huge_image
from smallobj.data.build import resize_at_test
from smallobj.images.raster import Raster
from smallobj.inference.tiled import TiledDetector
from smallobj.merging import build_merger


@pytest.fixture
def photographs(tmp_path):
    """Four of 600 x 1100 px, each of one grey level."""
    paths = []
    for number, level in enumerate((30, 90, 150, 210)):
        path = str(tmp_path / f"{number}.png")
        cv2.imwrite(path, np.full((600, 1100, 3), level, np.uint8))
        paths.append(path)
    return paths


def test_a_mosaic_of_photographs_in_turn(photographs, tmp_path):
    path = str(tmp_path / "huge.tif")
    write_huge_image(path, (1100, 2300), photographs, crs="EPSG:32652")
    with open(path, "rb") as stream:
        assert stream.read(4) == b"II+\0"  # BigTIFF
    with Raster(path) as raster:
        assert raster.size == (1100, 2300)
        assert raster.crs.to_epsg() == 32652
        image = raster.read((0, 0, 2300, 1100)).astype(int)
    # Cut to 512 x 1024 px: three columns and three rows.
    levels = [[30, 90, 150], [210, 30, 90], [150, 210, 30]]
    for row, y in enumerate((0, 512, 1024)):
        for column, x in enumerate((0, 1024, 2048)):
            part = image[y : y + 512, x : x + 1024]
            assert np.abs(part - levels[row][column]).max() <= 2


def test_unusable_photographs_are_refused(tmp_path, photographs):
    path, small = str(tmp_path / "huge.tif"), str(tmp_path / "small.png")
    cv2.imwrite(small, np.zeros((100, 2000, 3), np.uint8))
    with pytest.raises(ValueError, match="at least one photograph"):
        write_huge_image(path, (900, 900), [])
    with pytest.raises(ValueError, match="at least 512 px"):
        write_huge_image(path, (900, 900), [small])
    with pytest.raises(ValueError, match=r"of one size; .*small\.png"):
        write_huge_image(path, (900, 900), [photographs[0], small])


class OneEach(nn.Module):
    """Detects one box in every tile, away from its edges."""

    def forward(self, items):
        outputs = []
        for item in items:
            found = Instances((item["height"], item["width"]))
            found.pred_boxes = Boxes(torch.tensor([[100.0, 100, 110, 110]]))
            found.scores, found.pred_classes = torch.tensor([0.9]), torch.tensor([0])
            outputs.append({"instances": found})
        return outputs


def test_the_cost_of_a_scan(photographs, tmp_path, tiny_config):
    path = str(tmp_path / "huge.tif")
    write_huge_image(path, (1100, 2300), photographs)
    cfg = tiny_config()
    detector = TiledDetector(
        OneEach(),
        tile=512,
        overlap=32,
        batch_size=2,
        seam_margin=2.0,
        merger=build_merger(cfg),
        max_detections=100,
    )

    class Predictor(SimpleNamespace):
        def __call__(self, image):
            self.warmed = image.shape
            return {}

    predictor = Predictor(
        model=detector, cfg=cfg, aug=resize_at_test(cfg), input_format="BGR", warmed=None
    )
    cost = measure_scan(predictor, path, threshold=0.5)
    assert (cost.width, cost.height) == (2300, 1100)
    assert cost.tiles == cost.found == 15
    assert cost.seconds > 0
    assert cost.cpu_seconds > 0
    assert cost.above > 0
    assert predictor.warmed == (512, 3 * 512 - 2 * 32, 3)
    assert measure_scan(predictor, path, 0.5, choose=lambda tiles, _: tiles[:1]).found == 3
