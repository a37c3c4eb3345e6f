"""Objects in images and tiles of the data, against the limits of the config."""

import logging

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from detectron2.structures import BoxMode

from smallobj import get_cfg
from smallobj.data.crowding import limit_warnings, measure_crowding, resolve_detection_limit


def record(name, centres, size=(400, 600), crowd=0):
    boxes = [
        {
            "bbox": [x - 2, y - 2, 4, 4],
            "bbox_mode": BoxMode.XYWH_ABS,
            "category_id": 0,
            "iscrowd": crowd,
        }
        for x, y in centres
    ]
    return {"file_name": name, "height": size[0], "width": size[1], "annotations": boxes}


@pytest.fixture
def crowded(catalog):
    """Two images: 30 objects in one corner, and 40 all over."""
    corner = [(5 + 3 * i, 50) for i in range(30)]
    spread = [(x, y) for x in np.linspace(20, 580, 10) for y in np.linspace(20, 380, 4)]
    crowd = record("c.jpg", [(50, 50)] * 50, crowd=1)
    records = [record("corner.jpg", corner), record("spread.jpg", spread), crowd]
    DatasetCatalog.register("crowded", lambda: records)
    return ("crowded",)


def config(*options):
    cfg = get_cfg()
    tiles = ["TEST.TILE.SIZE", 200, "TEST.TILE.OVERLAP", 32, "INPUT.TILE.SIZE", 100]
    cfg.merge_from_list([*tiles, "INPUT.MAPPER", "TileMapper", *options])
    return cfg


def test_objects_of_images_and_tiles(crowded):
    crowding = measure_crowding(config(), crowded)
    assert sorted(crowding.counts) == [0, 30, 40], "crowd regions don't count"
    assert (crowding.most, crowding.file) == (40, "spread.jpg")
    assert crowding.in_test_tile == 30
    assert crowding.in_training_tile == 30
    assert "40 objects in an image (spread.jpg)" in str(crowding)


def test_without_tiling_an_image_is_the_tile(crowded):
    cfg = config("TEST.TILE.ENABLED", False, "INPUT.MAPPER", "DatasetMapper")
    crowding = measure_crowding(cfg, crowded)
    assert (crowding.in_test_tile, crowding.in_training_tile) == (40, 0)


def test_images_resized_at_test_time_have_their_objects_closer_together(crowded):
    # To a quarter of their size, so a tile of 200 px shows a whole image.
    assert measure_crowding(config("INPUT.MIN_SIZE_TEST", 100), crowded).in_test_tile == 40


def test_the_default_grows_with_the_data(crowded, monkeypatch, caplog):
    monkeypatch.setattr("smallobj.data.crowding.MOST_DETECTIONS", 50)
    cfg = config("TEST.DETECTIONS_PER_IMAGE", 50)
    with caplog.at_level(logging.INFO):
        assert resolve_detection_limit(cfg, crowded).TEST.DETECTIONS_PER_IMAGE == 80
    assert "80 in place of 50: spread.jpg has 40 objects" in caplog.text


def test_a_chosen_limit_stays_and_is_told(crowded, caplog):
    cfg = config("TEST.DETECTIONS_PER_IMAGE", 35)
    assert resolve_detection_limit(cfg, crowded).TEST.DETECTIONS_PER_IMAGE == 35
    assert "1 of 3 images have more objects than TEST.DETECTIONS_PER_IMAGE 35" in caplog.text
    assert "set it to 1000" in caplog.text


@pytest.mark.parametrize(
    ("architecture", "key"),
    [
        ("GeneralizedRCNN", "MODEL.RPN.POST_NMS_TOPK_TEST"),
        ("SSD", "MODEL.SSD.TOPK_CANDIDATES_TEST"),
        ("RefineDet", "MODEL.REFINEDET.TOPK_CANDIDATES_TEST"),
        ("YOLOv3", "MODEL.YOLO.TOPK_CANDIDATES_TEST"),
        ("RetinaNet", "MODEL.RETINANET.TOPK_CANDIDATES_TEST"),
    ],
)
@pytest.mark.parametrize(("allowed", "told"), [(29, True), (30, False)])
def test_limits_within_a_tile(crowded, architecture, key, allowed, told):
    cfg = config("MODEL.META_ARCHITECTURE", architecture, key, allowed)
    warnings = limit_warnings(cfg, measure_crowding(cfg, crowded))
    expected = f"a test tile has 30 objects, and {key} 29 allows fewer; set it to at least 60"
    assert warnings == ([expected] if told else [])


@pytest.mark.parametrize(("sampled", "told"), [(119, True), (120, False)])
def test_proposals_sampled_in_training(crowded, sampled, told):
    cfg = config("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", sampled)
    warnings = limit_warnings(cfg, measure_crowding(cfg, crowded))
    assert [("a step learns from at most 29" in warning) for warning in warnings] == [True] * told


def test_a_network_without_boxes_has_no_limits(crowded):
    options = ["MODEL.META_ARCHITECTURE", "FocusNet", "TEST.DETECTIONS_PER_IMAGE", 1]
    cfg = config(*options)
    assert limit_warnings(cfg, measure_crowding(cfg, crowded)) == []
