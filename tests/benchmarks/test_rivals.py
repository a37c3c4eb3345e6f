"""benchmarks.rivals: each row runs the same model in another way."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from benchmarks.rival_packages import RivalUnavailable, import_rival
from benchmarks.rivals import Settings, build_rival, build_rivals
from smallobj.data.image_file import read_image


def test_own_rows_and_whole_image_agree_where_one_tile_is_enough(
    tiny_settings: Settings, photograph: str
) -> None:
    settings = dataclasses.replace(tiny_settings, opts=("TEST.TILE.SIZE", "256"))
    whole, ours = (build_rival(name, settings) for name in ("whole", "ours-float32"))
    image = read_image(photograph)
    (found,) = whole.detect_arrays([whole.prepare(image)])
    (same,) = ours.detect_arrays([ours.prepare(image)])
    assert len(found) > 0
    torch.testing.assert_close(found.scores, same.scores, atol=1e-4, rtol=1e-4)
    (read,) = ours.detect_files([photograph])
    torch.testing.assert_close(read.scores, same.scores)


def test_shrinking_is_detectron2s_default(tiny_settings: Settings) -> None:
    rival = build_rival("whole-800", tiny_settings)
    predictor = rival.predictor  # type: ignore[attr-defined]
    assert (predictor.aug.short_edge_length, predictor.aug.max_size) == ([800, 800], 1333)


def test_a_broken_file_ends_the_run(tiny_settings: Settings, tmp_path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        list(build_rival("ours", tiny_settings).detect_files([str(path)]))


def test_threshold_replaces_the_configs(tiny_settings: Settings) -> None:
    cfg = dataclasses.replace(tiny_settings, threshold=0.3).config()
    assert cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST == 0.3
    options = ("MODEL.META_ARCHITECTURE", "SSD")
    ssd = dataclasses.replace(tiny_settings, threshold=0.3, opts=options).config()
    assert ssd.MODEL.SSD.SCORE_THRESH_TEST == 0.3


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(RivalUnavailable, match=r"pip install -r requirements-benchmark\.txt"):
        import_rival("a_package_that_nobody_has.part")


def test_rows_that_cannot_run_are_left_out_with_a_sentence(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(module: str) -> None:
        raise RivalUnavailable(f"{module} is not here")

    monkeypatch.setattr("benchmarks.sahi_rival.import_rival", refuse)
    rivals, absent = build_rivals(["sahi", "whole"], tiny_settings)
    assert list(rivals) == ["whole"]
    assert absent == ["sahi: left out, sahi.predict is not here"]
