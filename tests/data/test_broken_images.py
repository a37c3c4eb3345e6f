"""Training and testing with images that can't be read."""

import logging

import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.data.build import build_test_mapper, build_train_loader
from smallobj.data.datasets import register_from_config
from smallobj.inference.broken_images import WithoutBroken


@pytest.fixture
def config(tiny_config, tiny_dataset, catalog):
    """Gives a config whose first training images are cut off, and their paths."""

    def make(count, *options):
        cfg = tiny_config(*tiny_dataset.options("broken"), *options)
        register_from_config(cfg)
        records = DatasetCatalog.get(cfg.DATASETS.TRAIN[0])
        cut = [f"{record['file_name']}.cut.jpg" for record in records[:count]]
        for record, path in zip(records, cut, strict=False):
            with open(path, "wb") as file:
                file.write(b"\xff\xd8\xff\xe0\0\4ab\xff\xda")
            record["file_name"] = path
        DatasetCatalog.register("cut", lambda: records)
        cfg.DATASETS.TRAIN = ("cut",)
        return cfg, cut, len(records)

    return make


def take(loader, count):
    batches = iter(loader)
    return [tile["file_name"] for _ in range(count) for tile in next(batches)]


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_images_are_left_out_named_once_and_counted(config, workers, caplog):
    cfg, cut, count = config(2, "DATALOADER.NUM_WORKERS", workers, "INPUT.TILE.PER_IMAGE", 1)
    loader = build_train_loader(cfg)
    with caplog.at_level(logging.WARNING):
        used = take(loader, 40)
    assert not set(used) & set(cut)
    assert len(set(used)) == count - 2
    assert loader.broken.paths() == cut
    if not workers:  # other processes write to the log themselves
        for path in cut:
            assert caplog.text.count(f"left out of the training: {path}: truncated JPEG") == 1
    summary = loader.broken.summary()
    assert summary.startswith(f"2 of {count} training images can't be read")
    assert all(f"{path}: truncated JPEG" in summary for path in cut)


@pytest.mark.parametrize("workers", [0, 1])
def test_more_than_the_limit_stop_the_training_with_their_names(config, workers):
    options = ("DATALOADER.NUM_WORKERS", workers, "DATALOADER.MAX_BROKEN_IMAGES", 1)
    cfg, cut, _ = config(2, *options, "INPUT.TILE.PER_IMAGE", 1)
    with pytest.raises(ValueError, match=r"^2 of . training .*MAX_BROKEN_IMAGES is 1") as caught:
        take(build_train_loader(cfg), 40)
    assert all(path in str(caught.value) for path in cut)
    assert "Traceback" not in str(caught.value)


def test_no_image_left_is_an_error_whatever_the_limit(config):
    cfg, _, count = config(100, "DATALOADER.NUM_WORKERS", 0)
    with pytest.raises(ValueError, match=f"{count} of {count} training images can't be read"):
        take(build_train_loader(cfg), 1)


def test_wrong_labels_are_not_taken_for_broken_images(config):
    cfg, _, _ = config(0, "DATALOADER.NUM_WORKERS", 0)
    records = DatasetCatalog.get("cut")
    for record in records:
        record["width"] += 1
    with pytest.raises(ValueError, match="Mismatched image shape"):
        take(build_train_loader(cfg), 1)


class Detector(nn.Module):
    def forward(self, items):
        found = Instances((40, 50))
        found.pred_boxes, found.scores = Boxes(torch.ones(3, 4)), torch.ones(3)
        return [{"instances": found} for _ in items]


def test_a_broken_image_of_a_test_set_has_no_detections(config, caplog):
    cfg, cut, _ = config(1)
    record, good = DatasetCatalog.get("cut")[:2]
    items = [build_test_mapper(cfg)(one) for one in (record, good)]
    assert items[0]["height"] == record["height"]
    assert items[0]["width"] == record["width"]
    broken, other = WithoutBroken(Detector())(items)
    assert len(broken["instances"]) == 0
    assert len(other["instances"]) == 3
    told = f"counts as an image without detections: {cut[0]}: truncated JPEG"
    assert caplog.text.count(told) == 1
