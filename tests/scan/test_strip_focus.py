"""Focus in scans: a strip's regions, and that a scan which reads them finds what they show."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj import load_config
from smallobj.data.build import image_tensor
from smallobj.images.raster import Raster
from smallobj.inference.focus import FocusedDetector, RegionChooser
from smallobj.inference.tiled import TiledDetector
from smallobj.merging import NMSMerger
from smallobj.modeling import build_model
from smallobj.scan.scanner import Scanner
from smallobj.scan.strip_focus import StripFocus

SETTINGS = {"threshold": 0.5, "windows": (96,), "margins": (24,), "max_area": 4.0}


def to_tensor(pixels):
    return image_tensor(pixels, None, "BGR")


class BrightCells(nn.Module):
    """A focus network that finds a cell as hot as its brightest pixel."""

    reduction = 2
    stride = 16
    reach = 0

    def forward(self, items):
        maps = [nn.functional.max_pool2d(i["image"][:1].float(), 8, ceil_mode=True) for i in items]
        side = torch.full_like(maps[0][0], 20)
        return [{"focus": heat[0] / 255, "side": side, "stride": 16} for heat in maps]


class BrightObjects(nn.Module):
    """A detector that boxes each grey value of a tile, and counts the pixels that it is shown."""

    def __init__(self):
        super().__init__()
        self.read = 0

    def forward(self, items):
        return [{"instances": self.look(item["image"][0])} for item in items]

    def look(self, marks):
        self.read += marks.numel()
        boxes = []
        for value in marks[marks > 0].unique().tolist():
            ys, xs = (marks == value).nonzero().unbind(dim=1)
            boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        found = Instances(tuple(marks.shape))
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.full((len(boxes),), 0.9)
        found.pred_classes = torch.zeros(len(boxes), dtype=torch.int64)
        return found


@pytest.fixture
def predictor(tiny_config):
    detector = TiledDetector(
        BrightObjects().eval(),
        tile=256,
        overlap=64,
        batch_size=2,
        seam_margin=2.0,
        merger=NMSMerger(overlap_threshold=0.5, class_agnostic=False),
        max_detections=100,
    )
    focused = FocusedDetector(RegionChooser(BrightCells(), **SETTINGS), detector)
    return SimpleNamespace(model=focused, cfg=tiny_config(), aug=None, input_format="BGR")


def save(path, image):
    height, width = image.shape[:2]
    options = {"driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64}
    with rasterio.open(
        path, "w", height=height, width=width, count=3, dtype="uint8", **options
    ) as file:
        file.write(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))
    return str(path)


def scattered(rng, size, count):
    """An image (H, W, 3) with squares of different grey values, far apart, and their boxes."""
    image, boxes = np.zeros((*size, 3), np.uint8), []
    while len(boxes) < count:
        side = int(rng.integers(8, 24))
        x, y = int(rng.integers(0, size[1] - side)), int(rng.integers(0, size[0] - side))
        around = image[max(y - 9, 0) : y + side + 9, max(x - 9, 0) : x + side + 9]
        if not around.any():
            image[y : y + side, x : x + side] = 140 + len(boxes)
            boxes.append([x, y, x + side, y + side])
    return image, sorted(boxes)


@pytest.mark.parametrize("size", [(900, 500), (256, 1100), (120, 90), (300, 256)])
def test_a_focused_scan_finds_all_that_is_hot(size, predictor, tmp_path):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        image, boxes = scattered(rng, size, 6 if min(size) > 100 else 1)
        with Raster(save(tmp_path / f"{seed}.tif", image)) as raster:
            found = Scanner(predictor)(raster)
        assert sorted(found.pred_boxes.tensor.tolist()) == boxes


def test_where_nothing_is_hot_nothing_is_read(predictor, tmp_path):
    with Raster(save(tmp_path / "a.tif", np.zeros((600, 400, 3), np.uint8))) as raster:
        assert len(Scanner(predictor)(raster)) == 0
    assert predictor.model.detector.model.read == 0


def test_less_is_read_than_by_tiles(predictor, tmp_path):
    image, boxes = scattered(np.random.default_rng(0), (900, 900), 4)
    with Raster(save(tmp_path / "a.tif", image)) as raster:
        found = Scanner(predictor)(raster)
    assert len(found) == len(boxes)
    # A window for each, and a second one for some that lie where two rows overlap.
    assert predictor.model.detector.model.read <= 8 * 96 * 96


def random_network(opts=()):
    torch.manual_seed(0)
    cfg = load_config(
        "configs/focus.yaml", ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "1", *opts]
    )
    cfg.MODEL.BACKBONE.PRECISION = "float32"
    network = build_model(cfg).eval()
    with torch.no_grad():
        network.head.weight *= 100
        network.head.bias.zero_()
    return network


@pytest.mark.parametrize("dilations", [(1, 2, 4), (2,), ()])
def test_heat_in_pieces_is_heat_of_the_strip(dilations):
    network = random_network(["MODEL.FOCUS.DILATIONS", str(dilations)])
    strip = np.random.default_rng(0).integers(0, 256, (150, 1003, 3), dtype=np.uint8)
    focus = StripFocus(RegionChooser(network, **SETTINGS), to_tensor, piece=160)
    heat, side, stride = focus._look(strip)
    whole, whole_side, whole_stride = focus.chooser.look({"image": to_tensor(strip)})
    assert stride == whole_stride
    assert heat.std() > 0.01
    np.testing.assert_allclose(heat, whole, atol=1e-6)
    np.testing.assert_allclose(side, whole_side, rtol=1e-5)


def test_a_cell_depends_on_what_the_network_says_it_does():
    network = random_network().double()
    cell = 32
    image = torch.rand(3, 512, 512, dtype=torch.float64, requires_grad=True)
    network.backbone(image[None])["focus"][0, :, cell, cell].sum().backward()
    ys, xs = image.grad.abs().sum(dim=0).nonzero().unbind(dim=1)
    beyond = cell * 8 - int(min(ys.min(), xs.min()))
    assert beyond == network.backbone.reach == network.reach // 2


def test_regions_lie_in_their_strip():
    strip = np.zeros((200, 700, 3), np.uint8)
    strip[190:200, 400:420] = 250
    tiles = np.array([[0, 1000, 256, 1200], [444, 1000, 700, 1200]])
    focus = StripFocus(RegionChooser(BrightCells(), **SETTINGS), to_tensor, piece=128)
    regions = focus(tiles, strip)
    assert len(regions) == 1
    x0, y0, x1, y1 = regions[0].tolist()
    assert (y1 - y0, x1 - x0) == (96, 96)
    assert 1000 <= y0 < 1190 < y1 <= 1200
    assert x0 <= 376 < 444 <= x1
