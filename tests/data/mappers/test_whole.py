"""Detectron2's mapper of whole images."""

import cv2
import numpy as np
import pytest

from smallobj.data.mappers import build_train_mapper


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_more_than_eight_bits_are_refused(tiny_config, write_sample, tmp_path, ending):
    mapper = build_train_mapper(tiny_config("INPUT.MAPPER", "DatasetMapper"))
    sample = write_sample([(10, 10, 20, 20)])
    assert mapper(sample)["image"].shape[0] == 3
    deep = np.full((300, 400), 4000, np.uint16)
    sample["file_name"] = str(tmp_path / f"a.{ending}")
    cv2.imwrite(sample["file_name"], deep.astype(np.uint8))
    assert mapper(sample)["image"].shape[0] == 3
    cv2.imwrite(sample["file_name"], deep)
    with pytest.raises(ValueError, match=rf"a\.{ending}: INPUT.MAPPER DatasetMapper .* 8 bits"):
        mapper(sample)


def test_bands_are_refused(tiny_config):
    cfg = tiny_config("INPUT.MAPPER", "DatasetMapper", "INPUT.BANDS", "(3, 2, 1)")
    with pytest.raises(ValueError, match=r"reads no INPUT.BANDS; got \(3, 2, 1\)"):
        build_train_mapper(cfg)
