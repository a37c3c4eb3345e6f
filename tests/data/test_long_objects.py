import logging

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from smallobj.config import get_cfg
from smallobj.data.long_objects import test_warning as warning_of_tests
from smallobj.data.long_objects import training_warning, warn_of_long_objects


@pytest.fixture
def dataset(catalog):
    """Registers images of (width, height) with boxes (width, height, class); returns a config."""

    def register(*images):
        records = [
            {
                "width": size[0],
                "height": size[1],
                "annotations": [
                    {
                        "bbox": [0, 0, w, h],
                        "bbox_mode": BoxMode.XYWH_ABS,
                        "category_id": index,
                        "iscrowd": 0,
                    }
                    for w, h, index in boxes
                ],
            }
            for size, boxes in images
        ]
        DatasetCatalog.register("long", lambda: records)
        MetadataCatalog.get("long").thing_classes = ["bolt", "sheet"]
        cfg = get_cfg()
        cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ("long",)
        cfg.INPUT.MIN_SIZE_TEST = 0
        cfg.INPUT.TILE.SIZE = 256
        cfg.TEST.TILE.SIZE = 512
        cfg.TEST.TILE.OVERLAP = 128
        return cfg

    yield register
    DatasetCatalog.remove("long")
    MetadataCatalog.remove("long")


def test_objects_longer_than_the_training_tile_are_counted_by_class(dataset):
    cfg = dataset(((2000, 1500), [(20, 20, 0), (256, 10, 0), (300, 20, 0), (800, 800, 1)]))
    text = training_warning(cfg, ("long",))
    assert text.startswith("2 of 4 (50%) objects of long are longer than a training tile")
    assert "bolt 1, sheet 1; the longest has 800 px" in text
    assert "which no piece of 1 is" in text, "256 of 300 px are visible, but not half of 800 x 800"
    assert "INPUT.TILE.SIZE 800 would hold all" in text
    cfg.INPUT.TILE.SIZE = 800
    assert training_warning(cfg, ("long",)) == ""
    cfg.INPUT.TILE.SIZE, cfg.INPUT.MAPPER = 256, "SquashMapper"
    assert training_warning(cfg, ("long",)) == "", "whole images are not cut"


def test_objects_longer_than_the_overlap_are_counted_where_images_are_cut(dataset):
    long = [(124, 10, 0), (125, 10, 0), (10, 200, 1), (600, 10, 1)]
    # An image that fits into a tile is not cut, and one of 500 px is cut in x alone.
    cfg = dataset(((2000, 1500), long), ((512, 512), long), ((2000, 500), [(10, 300, 0)]))
    text = warning_of_tests(cfg, ("long",))
    assert text.startswith("3 of 9 (33.3%) objects of long are longer than test tiles overlap")
    assert "sheet 2, bolt 1; the longest has 600 px" in text
    assert "1 are longer than a tile" in text
    assert "TEST.TILE.OVERLAP 604 with TEST.TILE.SIZE 1216 (and INPUT.TILE.SIZE 608) would" in text
    cfg.TEST.TILE.OVERLAP, cfg.TEST.TILE.SIZE = 604, 1216
    assert warning_of_tests(cfg, ("long",)) == ""
    cfg.TEST.TILE.OVERLAP, cfg.TEST.TILE.ENABLED = 128, False
    assert warning_of_tests(cfg, ("long",)) == ""


def test_one_warning_each_and_none_for_training_in_an_evaluation(dataset, caplog):
    cfg = dataset(((2000, 1500), [(600, 600, 0)]), ((2000, 1500), []))
    with caplog.at_level(logging.WARNING):
        warn_of_long_objects(cfg)
        warn_of_long_objects(cfg, with_training=False)
    texts = [record.getMessage() for record in caplog.records]
    assert ["training tile" in text for text in texts] == [True, False, False]


def test_no_objects_no_warning(dataset, caplog):
    cfg = dataset(((2000, 1500), []))
    warn_of_long_objects(cfg)
    assert not caplog.records
