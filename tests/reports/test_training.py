"""metrics.json as curves."""

import json

import pytest

from smallobj.reports.training import read_training


def write(folder, *rows, end=""):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.json").write_text(text + end)


def test_losses_come_first_and_resumed_iterations_replace(tmp_path):
    write(
        tmp_path,
        {"iteration": 19, "total_loss": 2.0, "bbox/AP": 1.0, "loss_cls": 0.5, "time": 0.1},
        {"iteration": 39, "total_loss": 1.0},
        {"iteration": 39, "total_loss": 1.5, "bbox/AP": float("nan")},
        end='{"iteration": 59, "total_l',
    )
    assert read_training(tmp_path) == [
        {"name": "total_loss", "x": [19, 39], "y": [2.0, 1.5]},
        {"name": "loss_cls", "x": [19], "y": [0.5]},
        {"name": "bbox/AP", "x": [19, 39], "y": [1.0, None]},
    ]


def test_long_runs_are_thinned(tmp_path):
    write(tmp_path, *({"iteration": i, "lr": i} for i in range(10_000)))
    (curve,) = read_training(tmp_path)
    assert len(curve["x"]) == 400


@pytest.mark.parametrize("line", ["[1]", '{"total_loss": 1}', "{"])
def test_broken_lines_are_named(tmp_path, line):
    (tmp_path / "metrics.json").write_text(line + '\n{"iteration": 1}\n')
    with pytest.raises(ValueError, match=r"metrics\.json: line 1: "):
        read_training(tmp_path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"metrics\.json: the file must exist"):
        read_training(tmp_path)
