"""tools/seams.py: from labelled photographs to a table, a file and a picture."""

from __future__ import annotations

import json

import cv2
import pytest
import torch

from smallobj.modeling import build_model


@pytest.fixture
def tool(load_script, catalog):
    """The script as a module."""
    return load_script("tools/seams.py")


@pytest.fixture
def run_folder(tiny_config, tmp_path):
    """config.yaml and weights, as training leaves them."""
    names = "('red', 'green', 'blue')"
    cfg = tiny_config("MODEL.CLASS_NAMES", names, "MODEL.DEVICE", "cpu")
    torch.manual_seed(0)
    (tmp_path / "config.yaml").write_text(cfg.dump())
    torch.save({"model": build_model(cfg).state_dict()}, tmp_path / "model.pth")
    return tmp_path


def words(run_folder, spec):
    return [
        *("--config-file", str(run_folder / "config.yaml")),
        *("--weights", str(run_folder / "model.pth"), "--device", "cpu"),
        *("--register", spec, "--dataset", "some_squares"),
    ]


def test_a_study_is_printed_and_written(tool, run_folder, tiny_dataset, capsys):
    written, picture = run_folder / "seams.json", run_folder / "seams.png"
    arguments = [
        *words(run_folder, tiny_dataset.spec("some_squares", "val")),
        *("--images", "1", "--grids", "2", "--tile", "192", "--overlap", "48"),
        *("--json", str(written), "--plot", str(picture), "--any-class"),
        *("--confidence-threshold", "0", "--opts", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"),
    ]
    assert tool.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "The same objects near seams and off them" in printed
    assert "2 readings" in printed
    content = json.loads(written.read_text())
    assert content["tile"]["SIZE"] == 192
    zones = content["variants"]["seam rule"]["zones"]
    assert sum(zone["times"] for zone in zones.values()) == 2 * 3
    # An untrained model finds things everywhere, some of them worse near seams than off them.
    assert picture.is_file() == (f"wrote {picture}" in printed)
    if picture.is_file():
        assert cv2.imread(str(picture)).shape[0] > 300


def test_the_config_s_threshold_hides_nothing(tool, run_folder, tiny_dataset, monkeypatch, capsys):
    seen = []

    def read_with_grids(cfg, *_):
        seen.append(cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST)
        raise ValueError("seen")

    monkeypatch.setattr("benchmarks.seams.read_with_grids", read_with_grids)
    study = words(run_folder, tiny_dataset.spec("some_squares", "val"))
    for threshold in ("0.4", "0.9"):
        floor = ("--opts", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.8")
        assert tool.main([*study, "--confidence-threshold", threshold, *floor]) == 2
    assert seen == [0.4, 0.8]


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--images", "0"], "got 0 and 4"),
        (["--confidence-threshold", "2"], "[0, 1]; got 2.0"),
        (["--tile", "64", "--overlap", "64"], "got 64 and 64"),
        (["--opts", "TEST.TILE.ENABLED", "False"], "TEST.TILE.ENABLED"),
    ],
)
def test_bad_values_are_told(tool, run_folder, tiny_dataset, capsys, extra, told):
    spec = tiny_dataset.spec("some_squares", "val")
    assert tool.main([*words(run_folder, spec), *extra]) == 2
    assert told in capsys.readouterr().err
