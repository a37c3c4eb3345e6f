"""Loaders: mixing of tiles, determinism over workers, whole images for testing."""

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.data import transforms as T
from detectron2.utils.env import seed_all_rng

from smallobj.data.build import (
    ShuffledTiles,
    WholeImageMapper,
    build_test_loader,
    build_train_loader,
    image_tensor,
)
from smallobj.data.datasets import register_from_config


@pytest.fixture
def config(tiny_config, tiny_dataset, catalog):
    def make(*options):
        cfg = tiny_config(*tiny_dataset.options("build"), *options)
        register_from_config(cfg)
        return cfg

    return make


def take(loader, count):
    batches = iter(loader)
    return [next(batches) for _ in range(count)]


def test_batches_have_the_configured_size_and_mix_images(config):
    cfg = config("SOLVER.IMS_PER_BATCH", 4, "INPUT.TILE.PER_IMAGE", 4)
    batches = take(build_train_loader(cfg), 12)
    assert [len(batch) for batch in batches] == [4] * 12
    assert {tile["image"].shape for batch in batches for tile in batch} == {(3, 128, 128)}
    of_several = [len({tile["file_name"] for tile in batch}) > 1 for batch in batches]
    assert np.mean(of_several) > 0.5
    assert len({tile["file_name"] for batch in batches for tile in batch}) == 6


@pytest.mark.parametrize("workers", [0, 2])
def test_the_seed_determines_the_batches(config, workers):
    def fingerprint(seed):
        seed_all_rng(seed)
        loader = build_train_loader(config("DATALOADER.NUM_WORKERS", workers))
        return [
            (tile["file_name"], tile["tile"], int(tile["image"].long().sum()))
            for batch in take(loader, 5)
            for tile in batch
        ]

    first = fingerprint(1)
    assert first == fingerprint(1)
    assert first != fingerprint(2)


def test_workers_differ(config):
    seed_all_rng(5)
    cfg = config("DATALOADER.NUM_WORKERS", 2, "INPUT.TILE.SHUFFLE_BUFFER", 1)
    tiles = [
        (t["file_name"], t["tile"]) for batch in take(build_train_loader(cfg), 10) for t in batch
    ]
    # Workers with the same random state would cut the same places from different images.
    assert len({place for _, place in tiles}) > len(tiles) * 0.8


def test_images_without_objects_are_background(config):
    cfg = config("INPUT.TILE.PER_IMAGE", 1)
    names = {t["file_name"] for batch in take(build_train_loader(cfg), 12) for t in batch}
    empty = {d["file_name"] for d in DatasetCatalog.get("build_train") if not d["annotations"]}
    assert len(empty) == 1
    assert empty <= names


def test_detectron2s_mapper_goes_through_the_same_loader(config):
    cfg = config("INPUT.MAPPER", "DatasetMapper", "INPUT.MIN_SIZE_TRAIN", "(64,)")
    (batch,) = take(build_train_loader(cfg), 1)
    assert [tuple(item["image"].shape) for item in batch] == [(3, 64, 80)] * 2


@pytest.mark.parametrize("buffer", [1, 3, 10])
def test_shuffling_loses_and_doubles_nothing(buffer):
    source = [[{"n": 4 * i + j} for j in range(4)] for i in range(10)]
    order = [tile["n"] for tile in ShuffledTiles(source, buffer)]
    assert len(order) == len(set(order)) == 40 - (buffer - 1)  # the rest waits for more
    if buffer == 1:
        assert order == list(range(40))
    else:
        assert order != sorted(order)
        # None comes earlier than the buffer allows.
        assert all(n < place + buffer for place, n in enumerate(order))


def test_whole_images_come_at_native_resolution(config, tiny_dataset):
    cfg = config()
    items = [item for batch in build_test_loader(cfg, "build_val") for item in batch]
    assert [item["image_id"] for item in items] == [1, 2, 3]
    for item in items:
        assert item["image"].shape == (3, 256, 320)
        assert item["image"].dtype == torch.uint8
        assert (item["height"], item["width"]) == (256, 320)
        assert "annotations" not in item


def test_whole_images_are_resized_if_configured(config):
    cfg = config("INPUT.MIN_SIZE_TEST", 128)
    item = WholeImageMapper(cfg)(DatasetCatalog.get("build_val")[0])
    assert item["image"].shape == (3, 128, 160)
    assert (item["height"], item["width"]) == (256, 320)  # boxes are returned in this frame


def test_colour_order():
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 2] = 200  # red
    keep = T.ResizeShortestEdge([0, 0], 1333)
    assert image_tensor(image, keep, "BGR")[:, 0, 0].tolist() == [0, 0, 200]
    assert image_tensor(image, keep, "RGB")[:, 0, 0].tolist() == [200, 0, 0]
