"""What the limits of a detector have cut, over tiles, images, members and processes."""

import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.inference.cuts import Cut, count_from, sum_cuts, take_cuts
from smallobj.inference.tiled import TiledDetector
from smallobj.merging import NMSMerger
from smallobj.modeling import build_model
from smallobj.modeling.detection_limit import DetectionLimit

KEY = "TEST.DETECTIONS_PER_IMAGE"


class Model(nn.Module):
    """Finds five boxes in each input, with scores from 0.9 down, and keeps ``most``."""

    def __init__(self, most):
        super().__init__()
        self.limit = DetectionLimit(most)

    def forward(self, items):
        return [{"instances": self.limit(self.look(item))} for item in items]

    @staticmethod
    def look(item):
        corner = torch.arange(5.0)[:, None] * 12 + 10
        return Instances(
            tuple(item["image"].shape[1:]),
            pred_boxes=Boxes(torch.cat([corner, corner, corner + 8, corner + 8], dim=1)),
            scores=torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]),
            pred_classes=torch.zeros(5, dtype=torch.int64),
        )


def tiled(in_tile, in_image):
    return TiledDetector(
        Model(in_tile).eval(),
        tile=100,
        overlap=0,
        batch_size=1,
        seam_margin=0.0,
        merger=NMSMerger(overlap_threshold=0.5, class_agnostic=False),
        max_detections=in_image,
    )


def test_limits_of_tiles_and_of_images_are_told_apart():
    detector = tiled(4, 6)
    detector([{"image": torch.zeros(3, 100, 200, dtype=torch.uint8)}])
    of_image, of_tiles = sorted(take_cuts(detector), key=lambda cut: cut.what)
    assert (of_image.what, of_image.most, of_image.inputs, of_image.detections) == (
        "images",
        6,
        1,
        2,
    )
    assert (of_tiles.what, of_tiles.most, of_tiles.inputs, of_tiles.detections) == (
        "tiles",
        4,
        2,
        2,
    )
    assert str(of_image) == (
        "TEST.DETECTIONS_PER_IMAGE 6 cut 2 detections, with scores of up to 0.60, in 1 image; "
        "set it higher to keep them"
    )
    assert "in 2 tiles" in str(of_tiles)
    assert take_cuts(detector) == []


def test_what_nobody_asked_for_is_not_counted():
    detector = tiled(4, 6)
    count_from(detector, 0.55)
    detector([{"image": torch.zeros(3, 100, 200, dtype=torch.uint8)}])
    assert [cut.what for cut in take_cuts(detector)] == ["images"]


def test_processes_are_summed():
    first, second = Cut(KEY, "images", 6, 1, 2, 0.5), Cut(KEY, "images", 6, 3, 4, 0.75)
    other = Cut(KEY, "tiles", 6, 1, 1, 0.9)
    assert sum_cuts([first, other, second]) == [Cut(KEY, "images", 6, 4, 6, 0.75), other]


def test_an_overflow_is_told(tiny_config):
    torch.manual_seed(0)
    model = build_model(tiny_config("TEST.PRECISION", "float32")).eval()
    item = {"image": torch.zeros(3, 64, 64, dtype=torch.uint8)}
    with torch.no_grad():
        model([item])
        assert take_cuts(model) == []
        # One kernel of the first layer; the weights are finite, and what they compute isn't.
        model.backbone.bottom_up.stem.conv1.weight[0, 0, 0, 0] = 3e38
        model([item])
    (cut,) = take_cuts(model)
    assert str(cut) == (
        "in 1 pass the network computed NaN or infinite values, whose boxes are lost; "
        "TEST.PRECISION float32 avoids an overflow of 16 bits"
    )
    assert take_cuts(model) == []
