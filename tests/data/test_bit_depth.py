"""The range of values of a training set."""

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog

from smallobj import load_config
from smallobj.data.bit_depth import resolve_bit_depth
from smallobj.data.build import build_test_mapper


@pytest.fixture
def cfg(tmp_path, catalog):
    """Files of 12 bits in 16, one of 8 and a broken one."""
    values = np.arange(64 * 64).reshape(64, 64)
    for name, image in (
        ("low.png", (values // 4).astype(np.uint16)),
        ("high.png", (values // 4 + 3000).astype(np.uint16)),
        ("eight.png", (values % 256).astype(np.uint8)),
    ):
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "broken.tif").write_bytes(b"II*\0junk")
    names = ["low.png", "high.png", "eight.png", "broken.tif"]
    records = [{"file_name": str(tmp_path / name), "image_id": name} for name in names]
    DatasetCatalog.register("deep", lambda: records)
    DatasetCatalog.register("flat", lambda: records[2:3])
    return load_config(
        None,
        [
            "DATASETS.TRAIN",
            "('deep',)",
            "INPUT.BIT_DEPTH.MODE",
            "dataset",
            "INPUT.MIN_SIZE_TEST",
            0,
        ],
    )


def test_the_limits_are_percentiles_of_all_files_and_are_used_at_test_time(cfg, tmp_path):
    node = resolve_bit_depth(cfg).INPUT.BIT_DEPTH
    both = np.concatenate([np.arange(4096) // 4, np.arange(4096) // 4 + 3000])
    low, high = np.percentile(both, (0.5, 99.5))
    np.testing.assert_allclose((node.LOW, node.HIGH), (low, high))
    # As it is stored with the model and read again.
    (tmp_path / "config.yaml").write_text(cfg.dump())
    again = load_config(str(tmp_path / "config.yaml"))
    assert resolve_bit_depth(again, ["flat"]) == again
    item = build_test_mapper(again)({"file_name": str(tmp_path / "high.png"), "image_id": 1})
    expected = (np.arange(4096) // 4 + 3000 - low) / (high - low) * 255
    found = item["image"][0].numpy().ravel()
    assert np.abs(found - expected.clip(0, 255)).max() <= 0.51


def test_other_modes_and_data_of_eight_bits_change_nothing(cfg):
    before = cfg.clone()
    assert resolve_bit_depth(cfg, ["flat"]) == before
    cfg.INPUT.BIT_DEPTH.MODE = "percentile"
    before = cfg.clone()
    assert resolve_bit_depth(cfg) == before
