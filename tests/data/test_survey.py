"""Surveys: counts of images and objects, and their sizes in pixels of the network's input."""

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from detectron2.structures import BoxMode

from smallobj.data.survey import survey_datasets


@pytest.fixture
def records(catalog):
    """Registers dataset dicts under a name."""

    def register(name, *images):
        DatasetCatalog.register(
            name,
            lambda: [
                {
                    "file_name": f"{index}.jpg",
                    "height": height,
                    "width": width,
                    "annotations": [
                        {
                            "bbox": box,
                            "bbox_mode": BoxMode.XYWH_ABS,
                            "category_id": 0,
                            "iscrowd": crowd,
                        }
                        for *box, crowd in boxes
                    ],
                }
                for index, (height, width, boxes) in enumerate(images)
            ],
        )

    return register


def test_boxes_and_sizes_at_native_resolution(records, tiny_config):
    records("a", (300, 500, [(10, 20, 8, 16, 0), (0, 0, 200, 200, 1)]), (100, 90, []))
    records("b", (300, 500, [(1, 2, 30, 4, 0)]))
    survey = survey_datasets(tiny_config(), ["a", "b"])
    assert survey.names == ("a", "b")
    assert survey.image_sizes.tolist() == [[300, 500], [100, 90], [300, 500]]
    assert survey.sides.tolist() == [[8, 16], [30, 4]], "crowd regions are no objects"
    assert survey.longest.tolist() == [16, 30]
    assert [len(boxes) for boxes in survey.boxes] == [1, 0, 1]
    assert not survey.resized
    assert survey.example() == 0


def test_everything_is_in_pixels_of_the_networks_input(records, tiny_config):
    records("c", (400, 800, [(100, 40, 20, 8, 0)]), (2000, 1000, []))
    cfg = tiny_config("INPUT.MIN_SIZE_TEST", 200, "INPUT.MAX_SIZE_TEST", 380)
    survey = survey_datasets(cfg, ["c"])
    # 400 x 800 to 200 x 400 would be too long: 190 x 380.
    assert survey.image_sizes.tolist() == [[190, 380], [380, 190]]
    assert survey.original_sizes.tolist() == [[400, 800], [2000, 1000]]
    assert np.allclose(survey.boxes[0], np.array([[100, 40, 120, 48]]) * 0.475)
    assert survey.resized


def test_data_without_objects_is_refused(records, tiny_config):
    records("d", (100, 100, [(0, 0, 5, 5, 1)]))
    with pytest.raises(ValueError, match=r"at least one labelled object; d has none"):
        survey_datasets(tiny_config(), ["d"])


def test_an_image_without_a_size_is_refused(records, tiny_config):
    records("e", (None, 100, [(0, 0, 5, 5, 0)]))
    with pytest.raises(ValueError, match=r"height and width; 0\.jpg has none"):
        survey_datasets(tiny_config(), ["e"])
