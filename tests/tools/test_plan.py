"""tools/plan.py: every command of docs/planning.md, and what goes wrong in one sentence."""

import re
import shlex
import sys

import pytest
import torch

from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.planning import budget

CONFIG = "configs/quick/cascade_tiny.yaml"


@pytest.fixture
def tool(load_script, repository, monkeypatch, catalog):
    """Runs the tool in this process, in the repository."""
    module = load_script("tools/plan.py")
    monkeypatch.chdir(repository)
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["plan.py", *map(str, words)])
        return module.cli()

    return run


def test_the_commands_of_the_page_run(tool, repository, tmp_path, monkeypatch, capsys):
    # tests/costs/test_memory.py measures in earnest.
    monkeypatch.setattr(
        budget, "measure_peaks", lambda cfg, sizes: [2**29 + 160 * h * w for h, w in sizes]
    )
    page = (repository / "docs" / "planning.md").read_text()
    lines = re.search(r"```bash\n(.*?)```", page, re.DOTALL).group(1).strip().splitlines()
    assert len(lines) == 2
    for line in lines:
        python, script, *words = shlex.split(line)
        assert (python, script) == ("python", "tools/plan.py")
        words = [
            w.replace("output/", f"{tmp_path}/").replace("datasets/", f"{repository}/datasets/")
            for w in words
        ]
        assert tool(*words) == 0
    told = capsys.readouterr().out
    assert told.count("recommended:") == 2
    assert "MiB measured" in told
    assert (tmp_path / "plan.png").stat().st_size > 10_000
    cfg = load_config(str(tmp_path / "plan.yaml"), ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    cfg.MODEL.DEVICE = "cpu"
    model = build_model(cfg).eval()
    side = cfg.INPUT.TILE.SIZE
    with torch.no_grad():
        (output,) = model([{"image": torch.zeros(3, side, side, dtype=torch.uint8)}])
    assert "instances" in output


def test_it_plans_for_the_config_training_data(tool, tiny_dataset, capsys):
    options = tiny_dataset.options("planned")
    assert tool("--config-file", CONFIG, "--max-tile", 160, "--opts", *options) == 0
    told = capsys.readouterr().out
    assert "planned_train: 6 images of 320x256, 15 objects" in told
    assert "planned_val" not in told


def test_it_raises_and_reports_limits_of_crowded_data(tool, tiny_dataset, tmp_path, capsys):
    options = [*tiny_dataset.options("crowd"), "TEST.DETECTIONS_PER_IMAGE", 2]
    options += ["MODEL.RPN.POST_NMS_TOPK_TEST", 1]
    output = tmp_path / "plan.yaml"
    words = ["--config-file", CONFIG, "--max-tile", 160, "--output", output]
    assert tool(*words, "--opts", *options) == 0
    told = capsys.readouterr().out
    assert "TEST.DETECTIONS_PER_IMAGE 1000: an image has 3 objects" in told
    assert "warning: a test tile has 2 objects, and MODEL.RPN.POST_NMS_TOPK_TEST 1" in told
    assert load_config(str(output)).TEST.DETECTIONS_PER_IMAGE == 1000
    assert "DETECTIONS_PER_IMAGE: 1000" in output.read_text()
    assert tool(*words, "--opts", *tiny_dataset.options("crowd2")) == 0
    assert "DETECTIONS_PER_IMAGE" not in output.read_text(), "the default is enough"


def test_open_anchors_of_yolo_are_fitted_before_it_plans(tool, tiny_dataset, capsys):
    options = [*tiny_dataset.options("open"), "MODEL.YOLO.ANCHORS", "()"]
    config = "configs/quick/yolov3_tiny.yaml"
    assert tool("--config-file", config, "--max-tile", 160, "--opts", *options) == 0
    told = capsys.readouterr().out
    assert "the fitted anchors are not clearly better" in told
    assert told.count("ANCHORS [[") == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--config-file", "none.yaml"), "none.yaml: there is no such config file"),
        (("--config-file", CONFIG, "--register", "a=coco:none.json:none"), "none.json"),
        (("--config-file", CONFIG, "--register", "nonsense"), "nonsense"),
        (("--config-file", CONFIG, "--max-tile", "0"), "--max-tile must be positive; got 0"),
        (("--config-file", CONFIG, "--opts", "TEST.NONE", "1"), "TEST.NONE"),
    ],
)
def test_wrong_arguments_end_with_a_sentence(tool, capsys, words, told):
    assert tool(*words) == 2
    error = capsys.readouterr().err
    # Above it there may be a complaint of a logger that another test has set up and left behind.
    assert any(line.startswith("plan.py: ") for line in error.splitlines())
    assert told in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--cover", "1.5"), "must lie in (0, 1]; got 1.5"),
        (("--max-tile", "64"), "Give --max-tile 96 or more, or --cover 0."),
        (("--plot", "plan.nonsense"), "nonsense"),
        (("--output", "README.md/plan.yaml"), "README.md"),
    ],
)
def test_impossible_plans_end_with_a_sentence(tool, tiny_dataset, capsys, words, told):
    options = tiny_dataset.options("refused")
    assert tool("--config-file", CONFIG, *words, "--opts", *options) == 2
    error = capsys.readouterr().err
    # Above it there may be a complaint of a logger that another test has set up and left behind.
    assert any(line.startswith("plan.py: ") for line in error.splitlines())
    assert told in error


def test_a_config_file_is_needed(tool, capsys):
    with pytest.raises(SystemExit) as ended:
        tool()
    assert ended.value.code == 2
    assert "--config-file" in capsys.readouterr().err
