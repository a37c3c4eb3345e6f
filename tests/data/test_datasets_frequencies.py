"""The share of images that show each class, and how it gets into the config."""

import logging

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj import get_cfg
from smallobj.data.datasets import class_frequencies, resolve_class_frequencies

HEAD = "MODEL.ROI_BOX_HEAD."


def register(name, images):
    """A dataset of images, each given as a list of (class, whether it is a crowd region)."""
    records = [
        {"annotations": [{"category_id": c, "iscrowd": crowd} for c, crowd in image]}
        for image in images
    ]
    # One without a list of annotations shows nothing.
    DatasetCatalog.register(name, lambda: [*records, {}])
    MetadataCatalog.get(name).thing_classes = ["nut", "bolt", "coin"]


@pytest.fixture
def two(catalog):
    register("frequencies_a", [[(0, 0), (0, 0), (1, 0)], [(0, 0)], [(1, 1)]])
    register("frequencies_b", [[(0, 0)], [], [], []])
    yield ("frequencies_a", "frequencies_b")
    for name in ("frequencies_a", "frequencies_b"):
        MetadataCatalog.remove(name)


def config(names, *options):
    cfg = get_cfg()
    cfg.merge_from_list(["DATASETS.TRAIN", names, HEAD + "CLS_LOSS", "equalization", *options])
    cfg.freeze()
    return cfg


def test_images_are_counted_and_not_objects(two):
    # Nine photographs; class 0 in three of them, class 1 in one and as a crowd in another.
    assert class_frequencies(two) == [3 / 9, 1 / 9, 0]
    assert class_frequencies(two[:1]) == [2 / 4, 1 / 4, 0]


@pytest.mark.parametrize("loss", ["equalization", "equalization_softmax"])
def test_the_config_gets_frequencies_if_the_loss_needs_them(two, loss):
    cfg = config(two, HEAD + "CLS_LOSS", loss)
    assert resolve_class_frequencies(cfg) is cfg
    assert cfg.MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES == [3 / 9, 1 / 9, 0]
    assert cfg.is_frozen()


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "seesaw"])
def test_no_data_are_read_for_other_losses(loss):
    cfg = config(("frequencies_nowhere",), HEAD + "CLS_LOSS", loss)
    assert resolve_class_frequencies(cfg).MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES == []


def test_frequencies_in_the_config_are_kept(two):
    given = [0.1, 0.2, 0.3]
    cfg = resolve_class_frequencies(config(two, HEAD + "CLASS_FREQUENCIES", given))
    assert given == cfg.MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES


def test_without_training_data_nothing_changes():
    assert resolve_class_frequencies(config(())).MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES == []


def test_rare_classes_and_their_share_are_logged(two, caplog):
    caplog.set_level(logging.INFO)
    resolve_class_frequencies(config(two, HEAD + "EQUALIZATION_LAMBDA", 0.2))
    assert "coin 0.00000, bolt 0.11111; tail ratio 0.250" in caplog.text


def test_a_warning_is_logged_if_no_class_is_rare(two, caplog):
    resolve_class_frequencies(
        config(two, HEAD + "CLASS_FREQUENCIES", [0.5, 0.2, 0.3], HEAD + "EQUALIZATION_LAMBDA", 0.1)
    )
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "no class is rarer" in record.message
    assert "bolt 0.20000, coin 0.30000, nut 0.50000" in record.message
