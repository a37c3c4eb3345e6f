"""Scans of files against the same detector on the same image in memory."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.checkpoint import save_weights
from smallobj.data.build import resize_at_test
from smallobj.geometry.tiling import plan_tiles
from smallobj.images.raster import Raster
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.inference.tiled import TiledDetector
from smallobj.merging import build_merger
from smallobj.modeling import build_model
from smallobj.scan.scan_log import ScanLog
from smallobj.scan.scanner import RowMerger, Scanner, read_strips

SIZE = (500, 340)
MERGERS = ["nms", "soft_nms", "nmm", "wbf", "vote", "soft_vote"]


class Oracle(nn.Module):
    """Finds the numbered objects of channel 0 in its tile, cut where the tile cuts them."""

    def __init__(self):
        super().__init__()
        self.looked = 0

    def forward(self, items):
        self.looked += len(items)
        return [{"instances": self.look(item["image"][0])} for item in items]

    @staticmethod
    def look(marks):
        boxes, scores = [], []
        for number in marks.unique().tolist():
            if number:
                ys, xs = (marks == number).nonzero().unbind(dim=1)
                boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                scores.append(0.5 + (number * 37 + len(xs)) % 997 / 2500)
        order = torch.tensor(scores).argsort(descending=True)
        found = Instances(tuple(marks.shape))
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)[order])
        found.scores = torch.tensor(scores)[order]
        found.pred_classes = torch.zeros(len(boxes), dtype=torch.int64)
        return found


@pytest.fixture
def scanner(tiny_config):
    """A scanner around a model, by default an oracle, with tiles of 200 px."""

    def make(model=None, merger="nms", tile=200, overlap=64, **changes):
        cfg = tiny_config("TEST.MERGER.NAME", merger)
        detector = TiledDetector(
            model or Oracle(),
            tile=tile,
            overlap=overlap,
            batch_size=3,
            seam_margin=2.0,
            merger=build_merger(cfg),
            max_detections=10**6,
        )
        aug = resize_at_test(cfg)
        stub = SimpleNamespace(model=detector, cfg=cfg, aug=aug, input_format="BGR")
        return Scanner(stub, **changes)

    return make


def layout(seed, size=SIZE, count=40, longest=60):
    """(H, W, 3) uint8 BGR with numbered objects in channel 0, none of which covers another."""
    rng = np.random.default_rng(seed)
    image = np.zeros((*size, 3), dtype=np.uint8)
    number = 0
    for _ in range(count):
        w, h = (min(int(rng.integers(4, longest + 1)), side) for side in (size[1], size[0]))
        x, y = int(rng.integers(0, size[1] - w + 1)), int(rng.integers(0, size[0] - h + 1))
        if not image[y : y + h, x : x + w, 0].any():
            number += 1
            image[y : y + h, x : x + w, 0] = number
    return image


@pytest.fixture
def save(tmp_path):
    def write(image, name="a.tif", **profile):
        path = str(tmp_path / name)
        height, width = image.shape[:2]
        options = {"driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64, **profile}
        with rasterio.open(
            path, "w", height=height, width=width, count=3, dtype="uint8", **options
        ) as file:
            file.write(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))
        return path

    return write


def in_memory(scanner, image):
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return scanner.detector([{"image": pixels}])[0]["instances"]


def as_set(instances):
    boxes, scores = instances.pred_boxes.tensor.tolist(), instances.scores.tolist()
    return sorted(zip(scores, boxes, instances.pred_classes.tolist(), strict=True))


@pytest.mark.parametrize("merger", MERGERS)
@pytest.mark.parametrize("size", [SIZE, (190, 700), (700, 150), (150, 120), (201, 200)])
def test_a_scan_finds_what_the_image_in_memory_gives(size, merger, scanner, save):
    for seed in range(2):
        image = layout(seed, size, longest=150)
        detect = scanner(merger=merger)
        with Raster(save(image)) as raster:
            found = detect(raster)
        expected = in_memory(detect, image)
        assert as_set(found) == as_set(expected), seed
        assert len(found) > 0
        assert found.image_size == size
        assert (found.scores.diff() <= 0).all()
        assert sorted(found.get_fields()) == ["pred_boxes", "pred_classes", "scores"]


@pytest.mark.parametrize("merger", MERGERS)
def test_rows_merged_apart_give_what_all_at_once_give(merger, scanner):
    """Crowds of boxes in chains over many rows, at places where float32 is coarse."""
    detector = scanner(merger=merger).detector
    rng = np.random.default_rng(0)
    offset = 39_000
    tiles = plan_tiles((1500, 500), 200, 64) + offset
    outputs = []
    for x0, y0, x1, y1 in tiles.tolist():
        count = int(rng.integers(0, 30))
        corner = rng.uniform(0, 180, (count, 2))
        ends = (corner + rng.uniform(3, 40, (count, 2))).clip(max=(x1 - x0, y1 - y0))
        found = Instances((y1 - y0, x1 - x0))
        boxes = torch.from_numpy(np.concatenate([corner, ends], axis=1)).float()
        found.pred_boxes = Boxes(boxes)
        found.scores = torch.from_numpy(rng.permutation(count) + rng.random(count)).float() / 31
        found.pred_classes = torch.from_numpy(rng.integers(0, 2, count))
        outputs.append(found)
    size = (offset + 1500, offset + 500)
    every = detector.to_image_frame(outputs, tiles, size)
    assert every.cut.any()
    expected = detector.merge_tiles(every)
    rows = RowMerger(detector.merge_tiles)
    tops = np.unique(tiles[:, 1])
    pending = []
    for top, below in zip(tops, [*tops[1:], np.inf], strict=True):
        row = np.flatnonzero(tiles[:, 1] == top)
        rows.add(detector.to_image_frame([outputs[i] for i in row], tiles[row], size), float(below))
        pending.append(len(rows._pending))
    assert as_set(rows.result(size)) == as_set(expected)
    assert 0 < len(expected) < len(every)
    # It does merge as it goes.
    assert pending[-1] == 0
    assert max(pending) < len(every) / 2


def test_every_object_of_a_long_file_is_found_at_its_place(scanner, save):
    image = layout(0, (40_000, 50), count=40, longest=50)
    with Raster(save(image)) as raster:
        found = scanner(tile=2048)(raster)
    truth = Oracle.look(torch.from_numpy(image[:, :, 0]))
    assert sorted(found.pred_boxes.tensor.tolist()) == sorted(truth.pred_boxes.tensor.tolist())
    assert float(found.pred_boxes.tensor.max()) > 39_000


def test_a_model_sees_the_same_pixels(tiny_config, tmp_path, save):
    torch.manual_seed(0)
    cfg = tiny_config("TEST.DETECTIONS_PER_IMAGE", 1000, "TEST.TILE.BATCH_SIZE", 1)
    cfg.INPUT.FORMAT = "RGB"
    cfg.MODEL.WEIGHTS = str(tmp_path / "w.safetensors")
    save_weights(build_model(cfg), cfg.MODEL.WEIGHTS)
    predictor = SmallObjectPredictor(cfg)
    image = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    with Raster(save(image)) as raster:
        found = Scanner(predictor)(raster)
    expected = predictor(image)["instances"]
    assert len(expected) > 10
    assert as_set(found) == as_set(expected)


def test_scores_below_the_threshold_do_not_count(scanner, save):
    image = layout(0)
    with Raster(save(image)) as raster:
        every, some = scanner()(raster), scanner(threshold=0.7)(raster)
    assert 0 < len(some) < len(every)
    assert as_set(some) == as_set(every[every.scores >= 0.7])


def test_more_than_the_cap_of_an_image_are_found(scanner, save):
    image = layout(0)
    detect = scanner()
    detect.detector.max_detections = 5
    with Raster(save(image)) as raster:
        assert len(detect(raster)) > 5


@pytest.mark.parametrize("size", [SIZE, (100, 100)])
def test_nothing_to_find(size, scanner, save):
    with Raster(save(np.zeros((*size, 3), np.uint8))) as raster:
        found = scanner()(raster)
    assert len(found) == 0
    assert found.pred_boxes.tensor.shape == (0, 4)
    assert found.image_size == size


def test_tiles_may_be_left_out(scanner, save):
    image = layout(0)
    model = Oracle()
    strips = []

    def choose(tiles, strip):
        strips.append((tiles[0].tolist(), strip.copy()))
        return tiles[:1] if tiles[0, 1] else tiles[:0]

    with Raster(save(image)) as raster:
        found = scanner(model, choose=choose)(raster)
    rows = scanner().rows(SIZE)
    assert model.looked == len(rows) - 1
    for tile, strip in strips:
        np.testing.assert_array_equal(strip, image[tile[1] : tile[3]])
    left = float(found.pred_boxes.tensor[:, 2].max())
    assert 0 < left <= rows[0][0, 2]


class Counted:
    """A raster that writes down what is read."""

    def __init__(self, image):
        self.image = image
        self.size = image.shape[:2]
        self.read_lines = []

    def read(self, window, out):
        x0, y0, x1, y1 = window
        assert (x0, x1) == (0, self.size[1])
        self.read_lines += range(y0, y1)
        out[:] = self.image[y0:y1]


@pytest.mark.parametrize("overlap", [0, 64, 150])
@pytest.mark.parametrize("first", [0, 2])
def test_each_line_is_decoded_once(overlap, first, scanner):
    image = layout(0, (900, 80))
    raster = Counted(image)
    rows = scanner(overlap=overlap).rows((900, 80))[first:]
    for tiles, strip in zip(rows, read_strips(raster, rows), strict=True):
        np.testing.assert_array_equal(strip, image[tiles[0, 1] : tiles[0, 3]])
    assert raster.read_lines == list(range(rows[0][0, 1], 900))


IDENTITY = {"file": "a.tif", "size": [1, 2.5], "classes": ["a", "b"]}


@pytest.mark.parametrize("tiles_before", [1, 4, 11])
def test_a_killed_scan_goes_on_to_the_same_result(tiles_before, scanner, save, tmp_path):
    path, log_path = save(layout(0)), str(tmp_path / "scan.progress")
    with Raster(path) as raster:
        expected = scanner()(raster)

    class Deadly(Oracle):
        def forward(self, items):
            if self.looked + len(items) > tiles_before:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().forward(items)

    child = os.fork()
    if not child:
        with Raster(path) as raster:
            scanner(Deadly())(raster, ScanLog(log_path, IDENTITY, resume=False))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    model = Oracle()
    with Raster(path) as raster, ScanLog(log_path, IDENTITY, resume=True) as log:
        rows = scanner().rows(SIZE)
        done = sum(map(len, rows[: log.finished]))
        found = scanner(model)(raster, log)
    assert done <= tiles_before
    assert model.looked == sum(map(len, rows)) - done
    assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)
    assert torch.equal(found.scores, expected.scores)
    # A finished one is only read back.
    again = Oracle()
    with Raster(path) as raster, ScanLog(log_path, IDENTITY, resume=True) as log:
        found = scanner(again)(raster, log)
    assert again.looked == 0
    assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)


def test_a_turned_photograph_is_scanned_upright(scanner, tmp_path):
    from PIL import Image

    upright = layout(0)
    image = Image.fromarray(np.rot90(upright)[:, :, ::-1])
    exif = image.getexif()
    exif[0x112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(upright[:, :, ::-1]).save(tmp_path / "upright.png")
    found = []
    for name in ("turned.png", "upright.png"):
        with Raster(tmp_path / name) as raster:
            found.append(scanner()(raster))
    assert len(found[0]) > 0
    assert found[0].pred_boxes.tensor.equal(found[1].pred_boxes.tensor)


def test_a_row_of_tiles_must_fit_into_memory(scanner, save, monkeypatch):
    monkeypatch.setattr("smallobj.scan.scanner._MOST_STRIP_BYTES", 2 << 20)
    with Raster(save(np.zeros((300, 4000, 3), np.uint8))) as raster:
        assert len(scanner(tile=170)(raster)) == 0
        with pytest.raises(ValueError, match=r"must fit into 2 MiB; one of 4000x180 .* lower TEST"):
            scanner(tile=180)(raster)


def test_a_config_that_does_not_tile_cannot_scan(scanner):
    predictor = scanner().predictor
    predictor.cfg.INPUT.MIN_SIZE_TEST = 800
    with pytest.raises(ValueError, match="MIN_SIZE_TEST 0; got 800"):
        Scanner(predictor)
    predictor.cfg.INPUT.MIN_SIZE_TEST = 0
    predictor.cfg.INPUT.SQUASH = (300, 300)
    with pytest.raises(ValueError, match=r"INPUT\.SQUASH \(0, 0\); got \(300, 300\)"):
        Scanner(predictor)
    predictor.model = Oracle()
    with pytest.raises(ValueError, match=r"TEST\.TILE\.ENABLED True"):
        Scanner(predictor)
