"""Masks as crops give the same results as a tensor of full-size bitmaps."""

import numpy as np
import pytest
import torch
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Boxes, Instances
from pycocotools import mask as mask_util

from smallobj.geometry.masks import CropMasks, crop_rle, mask_rles

SIZE = (23, 37)


def random_bitmasks(seed=0, count=12, size=SIZE):
    """Blobs of all shapes: holes, single pixels, one empty, one full, some at the borders."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, *size, dtype=torch.bool)
    for mask in masks[2:]:
        y = torch.randint(0, size[0], (2,), generator=generator).sort().values.tolist()
        x = torch.randint(0, size[1], (2,), generator=generator).sort().values.tolist()
        part = mask[y[0] : y[1] + 1, x[0] : x[1] + 1]
        part.copy_(torch.rand(part.shape, generator=generator) > 0.4)
    masks[1] = True
    masks[2, 0, 0] = masks[3, -1, -1] = True
    return masks


@pytest.mark.parametrize("seed", range(5))
def test_bitmaps_survive_the_round_trip(seed):
    masks = random_bitmasks(seed)
    crops = CropMasks.from_bitmasks(masks)
    assert len(crops) == len(masks)
    assert torch.equal(crops.to_bitmasks(), masks)
    assert torch.equal(torch.stack(list(crops)), masks)
    assert np.array_equal(np.asarray(crops), masks.numpy())
    assert torch.equal(crops.areas(), masks.sum(dim=(1, 2)))
    for (x0, y0, x1, y1), mask in zip(crops.corners().tolist(), masks, strict=True):
        ys, xs = mask.nonzero().unbind(1)
        if len(xs):
            assert (x0, y0, x1, y1) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        else:
            assert (x0, y0, x1, y1) == (0, 0, 0, 0)


def test_crops_hold_no_full_bitmap():
    masks = torch.zeros(50, 400, 400, dtype=torch.bool)
    masks[:, 10:20, 10:15] = True
    crops = CropMasks.from_bitmasks(masks)
    assert all(crop.untyped_storage().nbytes() == 50 for crop in crops.crops)


@pytest.mark.parametrize(
    "item",
    [3, -1, slice(2, 7), torch.tensor([4, 4, 0]), torch.arange(12) % 3 == 0, torch.zeros(12) > 0],
)
def test_indexing_is_that_of_a_tensor(item):
    masks = random_bitmasks()
    expected = masks[item]
    if expected.dim() == 2:
        expected = expected[None]
    assert torch.equal(CropMasks.from_bitmasks(masks)[item].to_bitmasks(), expected)


def test_masks_work_in_instances():
    masks = random_bitmasks()
    instances = Instances(SIZE)
    instances.pred_masks = CropMasks.from_bitmasks(masks)
    instances.scores = torch.rand(len(masks))
    chosen = instances.to("cpu")[torch.tensor([1, 5])]
    both = Instances.cat([chosen, instances[2:4]])
    assert torch.equal(both.pred_masks.to_bitmasks(), masks[torch.tensor([1, 5, 2, 3])])
    assert both.pred_masks.device == torch.device("cpu")


def test_no_masks():
    none = CropMasks.from_bitmasks(torch.zeros(0, *SIZE, dtype=torch.uint8))
    assert len(none) == 0
    assert none.to_bitmasks().shape == (0, *SIZE)
    assert np.asarray(none).shape == (0, *SIZE)
    assert none.rles() == []
    assert none.corners().shape == (0, 4)
    assert none.resized((10, 10)).to_bitmasks().shape == (0, 10, 10)
    assert len(CropMasks.cat([none, none])) == 0


def test_masks_of_a_tile_are_moved_into_the_image():
    masks = random_bitmasks()
    moved = CropMasks.from_bitmasks(masks).moved(5, 11, (60, 70)).to_bitmasks()
    expected = torch.zeros(len(masks), 60, 70, dtype=torch.bool)
    expected[:, 11 : 11 + SIZE[0], 5 : 5 + SIZE[1]] = masks
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("size", [SIZE, (46, 74), (11, 18), (100, 31), (7, 90), (1, 1)])
def test_resizing_is_that_of_the_full_bitmap(size):
    masks = random_bitmasks()
    resized = CropMasks.from_bitmasks(masks).resized(size)
    assert resized.image_size == size
    # "nearest-exact" uses centres of pixels, in float32, so ties may be rounded either way.
    expected = torch.nn.functional.interpolate(masks[None].float(), size, mode="nearest-exact")[0]
    wrong = (resized.to_bitmasks() != expected.bool()).float().mean()
    assert wrong <= 0.02
    rows = ((np.arange(size[0]) + 0.5) * SIZE[0] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * SIZE[1] / size[1]).astype(int)
    assert np.array_equal(np.asarray(resized), masks.numpy()[:, rows][:, :, columns])


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_those_of_pycocotools(seed):
    masks = random_bitmasks(seed)
    expected = [
        mask_util.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in masks
    ]
    for rles in (CropMasks.from_bitmasks(masks).rles(), mask_rles(masks)):
        assert [rle["counts"] for rle in rles] == [
            expected_rle["counts"].decode() for expected_rle in expected
        ]
        assert all(rle["size"] == list(SIZE) for rle in rles)


def test_a_run_over_the_end_of_a_column():
    # The last pixel of a column and the first of the next are neighbours in COCO's order.
    full = np.zeros((4, 6), np.uint8)
    full[3, 2] = full[0, 3] = 1
    rle = crop_rle(full[:, 2:4].astype(bool), 2, 0, (4, 6))
    assert rle["counts"] == mask_util.encode(np.asfortranarray(full))["counts"].decode()


def test_detectron2s_evaluator_accepts_crops():
    masks = random_bitmasks()[1:]
    instances = Instances(SIZE)
    instances.pred_boxes = Boxes(torch.tensor([[0.0, 0, 5, 5]]).repeat(len(masks), 1))
    instances.scores = torch.rand(len(masks))
    instances.pred_classes = torch.zeros(len(masks), dtype=torch.int64)
    instances.pred_masks = masks
    expected = instances_to_coco_json(instances, 7)
    instances.pred_masks = CropMasks.from_bitmasks(masks)
    assert instances_to_coco_json(instances, 7) == expected


@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
def test_mirrors_are_those_of_the_full_bitmap(horizontal, vertical):
    masks = random_bitmasks(3)
    axes = [axis for axis, flip in ((2, horizontal), (1, vertical)) if flip]
    mirrored = CropMasks.from_bitmasks(masks).mirrored(horizontal, vertical)
    assert mirrored.image_size == SIZE
    assert torch.equal(mirrored.to_bitmasks(), masks.flip(axes) if axes else masks)


def test_transposing_is_that_of_the_full_bitmap():
    masks = random_bitmasks(4)
    transposed = CropMasks.from_bitmasks(masks).transposed()
    assert transposed.image_size == SIZE[::-1]
    assert torch.equal(transposed.to_bitmasks(), masks.transpose(1, 2))


def test_crops_are_taken_as_they_are_and_bitmaps_are_cropped():
    masks = random_bitmasks(5)
    crops = CropMasks.from_bitmasks(masks)
    assert CropMasks.of(crops) is crops
    assert torch.equal(CropMasks.of(masks).to_bitmasks(), masks)
