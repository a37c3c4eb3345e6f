"""Masks through tiles, seam rule and mergers: those that the image shows, one an object."""

import tracemalloc

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.visualizer import Visualizer
from torch import nn

from smallobj.geometry.masks import CropMasks
from smallobj.inference.tiled import TiledDetector, resized_instances
from smallobj.merging import MERGER_REGISTRY, build_merger
from smallobj.scan.scanner import _plain

SIZE = (300, 420)
MERGERS = ["nms", "soft_nms", "nmm", "wbf", "vote", "soft_vote"]


class MaskOracle(nn.Module):
    """Finds each object in its tile, with its mask as Detectron2 gives it: (N, h, w) bool."""

    def forward(self, items):
        return [{"instances": self.look(item)} for item in items]

    @staticmethod
    def look(item):
        marks = item["image"][0]
        numbers = [number for number in marks.unique().tolist() if number]
        masks = torch.stack([marks == n for n in numbers]) if numbers else marks[None][:0] > 0
        found = Instances(tuple(marks.shape))
        found.pred_boxes = Boxes(CropMasks.from_bitmasks(masks).corners().float())
        found.scores = torch.tensor([0.4 + number % 50 / 100 for number in numbers])
        found.pred_classes = torch.tensor([number % 3 for number in numbers], dtype=torch.int64)
        found.pred_masks = masks
        return found


def detector(merger, tiny_config, **changes):
    options = ["TEST.MERGER.NAME", merger, "TEST.MERGER.SCORE_THRESH", 0.3]
    arguments = {
        "tile": 128,
        "overlap": 50,
        "batch_size": 3,
        "seam_margin": 2.0,
        "merger": build_merger(tiny_config(*options)),
        "max_detections": 1000,
    }
    return TiledDetector(MaskOracle(), **{**arguments, **changes})


def layout(seed, size=SIZE, count=18):
    """An image and the (N, H, W) masks of its objects."""
    item, number = draw_frames(seed, size, count)
    return item, torch.stack([item["image"][0] == n + 1 for n in range(number)])


def draw_frames(seed, size, count):
    """An image of frames, hollow inside, that touch none of the others; and their number.

    (What a seam leaves of a disc may have a much smaller box than the disc has there; the seam rule
    goes by boxes.)
    """
    rng = np.random.default_rng(seed)
    marks = torch.zeros(3, *size, dtype=torch.int32)
    number = 0
    for _ in range(count):
        h, w = rng.integers(8, 47, 2)
        y, x = rng.integers(3, size[0] - h - 3), rng.integers(3, size[1] - w - 3)
        if not marks[0, y - 3 : y + h + 3, x - 3 : x + w + 3].any():
            number += 1
            marks[0, y : y + h, x : x + w] = number
            marks[0, y + 2 : y + h - 3, x + 3 : x + w - 2] = 0
    return {"image": marks}, number


def in_order(masks):
    return sorted(rle["counts"] for rle in CropMasks.from_bitmasks(masks).rles())


@pytest.mark.parametrize("merger", MERGERS)
def test_every_object_has_its_whole_mask_once(merger, tiny_config):
    for seed in range(3):
        item, truth = layout(seed)
        (output,) = detector(merger, tiny_config)([item])
        found = output["instances"]
        assert isinstance(found.pred_masks, CropMasks)
        assert found.pred_masks.image_size == SIZE
        assert in_order(found.pred_masks.to_bitmasks()) == in_order(truth)
        assert torch.equal(found.pred_masks.corners().float(), found.pred_boxes.tensor.round())


def test_every_merger_is_tested():
    assert len(MERGERS) == len([name for name, _ in MERGER_REGISTRY])


def test_a_single_tile_and_a_window(tiny_config):
    item, truth = layout(1, (100, 110), count=6)
    (output,) = detector("nms", tiny_config)([item])
    assert in_order(output["instances"].pred_masks.to_bitmasks()) == in_order(truth)
    item, truth = layout(2)
    (output,) = detector("nms", tiny_config)([{**item, "tiles": [[30, 20, 200, 160]]}])
    found = output["instances"].pred_masks.to_bitmasks()
    seen = truth.clone()
    seen[:, :20] = seen[:, 160:] = False
    seen[:, :, :30] = seen[:, :, 200:] = False
    assert in_order(found) == in_order(seen[seen.any(dim=(1, 2))])


def test_masks_come_in_the_frame_that_is_asked_for(tiny_config):
    item, truth = layout(3)
    (output,) = detector("nms", tiny_config)([{**item, "height": 600, "width": 1260}])
    found = output["instances"]
    assert found.image_size == found.pred_masks.image_size == (600, 1260)
    expected = truth.repeat_interleave(2, dim=1).repeat_interleave(3, dim=2)
    assert in_order(found.pred_masks.to_bitmasks()) == in_order(expected)


def test_boxes_that_postprocessing_drops_take_their_masks_along():
    masks = torch.zeros(3, 20, 20, dtype=torch.bool)
    for index in range(3):
        masks[index, index, index] = True
    found = Instances((20, 20))
    found.pred_boxes = Boxes(torch.tensor([[0.0, 0, 1, 1], [30, 30, 40, 40], [2, 2, 3, 3]]))
    found.pred_masks = CropMasks.from_bitmasks(masks)
    kept = resized_instances(found, 20, 20)
    assert torch.equal(kept.pred_masks.to_bitmasks(), masks[[0, 2]])
    assert len(found.pred_masks) == 3


def test_nothing_to_find_and_nothing_to_read(tiny_config):
    empty = {"image": torch.zeros(3, *SIZE, dtype=torch.int32)}
    first, second = detector("nms", tiny_config)([empty, {**empty, "tiles": []}])
    assert first["instances"].pred_masks.to_bitmasks().shape == (0, *SIZE)
    assert len(second["instances"]) == 0


def test_large_images_take_little_memory(tiny_config):
    """Sixty masks of 2100 x 2800 px would be 353 MB."""
    item, number = draw_frames(5, (2100, 2800), count=60)
    run = detector("nms", tiny_config, tile=512)
    (output,) = run([item])
    held = sum(c.untyped_storage().nbytes() for c in output["instances"].pred_masks.crops)
    assert len(output["instances"]) == number > 50
    assert held < 60 * 47 * 47
    tracemalloc.start()
    rles = output["instances"].pred_masks.rles()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rles) == number
    assert peak < 2e6


def test_detectron2s_visualizer_draws_them(tiny_config):
    item, _ = layout(0)
    (output,) = detector("nms", tiny_config)([item])
    grey = np.full((*SIZE, 3), 120, np.uint8)
    drawn = Visualizer(grey).draw_instance_predictions(output["instances"]).get_image()
    assert (drawn != 120).any()


def test_a_scan_keeps_no_masks():
    item, _ = layout(0)
    assert not _plain(MaskOracle.look(item)).has("pred_masks")
