"""The checks before training: problems of all datasets, and dropping."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from detectron2.data import DatasetCatalog

from smallobj import get_cfg
from smallobj.data.datasets import (
    DatasetError,
    check_datasets,
    load_checked,
    register_dataset,
)
from smallobj.data.datasets.checks import DatasetCounts
from smallobj.data.labels.policy import Policy
from smallobj.data.labels.problems import Changes
from smallobj.data.labels.rules import Rule

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path, catalog):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    (tmp_path / "data").mkdir()
    for name in ("0.jpg", "1.jpg"):
        PIL.Image.new("RGB", (40, 30)).save(tmp_path / "data" / name)
    (tmp_path / "two.json").write_text('["cat", "dog"]')
    return tmp_path


def register(root: Path, name: str, labels: dict, classes: str = "two.json") -> str:
    (root / name).write_text(json.dumps(labels))
    spec = f"{name}=challenge:{name}:data:{classes}"
    register_dataset(spec)
    return spec


GOOD = [0, 1, 1, 5, 5]


def make_cfg(train=(), test=()):
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = tuple(train)
    cfg.DATASETS.TEST = tuple(test)
    return cfg


def test_good_datasets_are_counted(root):
    register(root, "good", {"0.jpg": [GOOD, [1, 2, 2, 3, 3]], "1.jpg": [GOOD]})
    (count,) = check_datasets(make_cfg(["good"], ["good"]))
    assert str(count) == "good: 2 images, 3 boxes (cat 2, dog 1)"
    assert not count.changes


def test_crowd_regions_count_apart_from_boxes(root):
    boxes = [{"bbox": [1, 1, 5, 5 + crowd], "iscrowd": crowd, "id": crowd} for crowd in (0, 1)]
    content = {
        "images": [{"id": 1, "file_name": "0.jpg"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{**box, "image_id": 1, "category_id": 1} for box in boxes],
    }
    (root / "crowds.json").write_text(json.dumps(content))
    register_dataset("crowds=coco:crowds.json:data")
    (count,) = check_datasets(make_cfg(["crowds"]))
    assert str(count) == "crowds: 1 images, 1 boxes (cat 1), 1 crowd regions"


def test_problems_of_all_datasets_come_in_one_error(root):
    register(root, "first", {"0.jpg": [[0, 1, 1, 0, 5]]})
    register(root, "second", {"gone.jpg": [GOOD], "0.jpg": [[7, 1, 1, 5, 5]]})
    with pytest.raises(DatasetError) as error:
        check_datasets(make_cfg(["first"], ["second"]))
    assert [(Path(p.file).name, p.entry) for p in error.value.problems] == [
        ("first", "0.jpg[0]"),
        ("second", "0.jpg[0]"),
        ("second", "gone.jpg"),
    ]
    assert all(str(problem) in str(error.value) for problem in error.value.problems)


def test_dropping_keeps_the_good_boxes_and_counts_the_dropped_ones(root, caplog):
    bad = [[9, 1, 1, 5, 5], [0, 1, 1, -1, 5], [0, 39, 1, 5, 5], [9, 1, 1, -1, 5]]
    register(root, "mixed", {"0.jpg": [GOOD, *bad], "1.jpg": [[1, -0.5, 1, 5, 5]]})
    with pytest.raises(DatasetError):
        DatasetCatalog.get("mixed")
    cfg = make_cfg(["mixed"])
    cfg.DATASETS.DROP_BAD_BOXES = True
    with caplog.at_level(logging.WARNING):
        (count,) = check_datasets(cfg)
    assert count.boxes == {"cat": 1, "dog": 1}
    assert sum(count.changes.counts.values()) == 5  # the last bad box breaks two rules
    assert "mixed: box dropped: 2 (class-unknown: the class must be a known one" in caplog.text
    first, second = DatasetCatalog.get("mixed")
    assert [box["bbox"] for box in first["annotations"]] == [[1, 1, 5, 5]]
    assert [box["bbox"] for box in second["annotations"]] == [[0, 1, 4.5, 5]]
    with pytest.raises(DatasetError):
        load_checked(["mixed"])


def test_each_rule_has_its_own_action(root):
    register(root, "mixed", {"gone.jpg": [GOOD], "0.jpg": [GOOD, [9, 1, 1, 5, 5]]})
    with pytest.raises(DatasetError) as error:
        load_checked(["mixed"], Policy.of(["class-unknown=drop"]))
    assert [problem.entry for problem in error.value.problems] == ["gone.jpg"]
    with pytest.raises(DatasetError) as error:
        load_checked(["mixed"], Policy.of(["all=drop", "class-unknown=error"]))
    assert [problem.entry for problem in error.value.problems] == ["0.jpg[1]"]
    (count,) = load_checked(["mixed"], Policy.of(["all=drop"]))
    assert (count.images, sum(count.boxes.values())) == (1, 1)


def test_an_object_labelled_twice_counts_once(root):
    register(root, "twice", {"0.jpg": [GOOD, GOOD, [1, *GOOD[1:]]]})
    (count,) = load_checked(["twice"])
    assert count.boxes == {"cat": 1, "dog": 1}
    assert count.changes.lines()[0].startswith("copy of a box left out: 1 (box-duplicate")
    with pytest.raises(DatasetError, match="an object may be labelled once"):
        load_checked(["twice"], Policy.of(["all=error"]))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["box-ovr-edge=drop"], "a rule of DATASETS.RULES must be one of"),
        (["box-empty=fix"], "the action of rule box-empty must be one of"),
        (["box-empty"], "the action of rule box-empty must be one of"),
        ("box-empty=drop", "a list of RULE=ACTION"),
    ],
)
def test_a_wrong_choice_is_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        Policy.of(choices)


def test_an_empty_dataset_is_a_problem(root):
    register(root, "empty", {})
    with pytest.raises(DatasetError, match="at least one image"):
        load_checked(["empty"])


def test_unknown_names_and_names_registered_elsewhere(root):
    with pytest.raises(ValueError, match="unknown dataset 'nothing'"):
        load_checked(["nothing"])
    DatasetCatalog.register("other_code", lambda: [])
    assert load_checked(["other_code"]) == []


TOOL = str(REPOSITORY / "tools/check.py")


@pytest.fixture
def run_check(load_script, monkeypatch):
    """tools/check.py in this process, which saves the imports; gives the exit status."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [TOOL, *arguments])
        return load_script(TOOL).main()

    return run


def test_command_line_prints_every_problem(root):
    bad = [[9, 1, 1, 5, 5]] * 60
    spec = register(root, "many", {"0.jpg": [GOOD, *bad], "gone.jpg": []})
    command = [sys.executable, TOOL, "--register", spec]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert sum("0.jpg[" in line for line in result.stdout.splitlines()) == 60
    assert "gone.jpg: the image file must exist" in result.stdout
    assert "60  the class must be a known one" in result.stdout


def test_command_line_counts_by_config_and_drops(root, run_check, capsys):
    spec = register(root, "mixed", {"0.jpg": [GOOD, [0, 1, 1, 0, 5]]})
    config = root / "c.yaml"
    config.write_text(
        f'DATASETS: {{REGISTER: ["{spec}"], TRAIN: ["mixed"], TEST: [], DROP_BAD_BOXES: True}}'
    )
    assert run_check("--config-file", str(config)) == 0
    output = capsys.readouterr().out
    assert "mixed: 1 images, 1 boxes (cat 1, dog 0)" in output
    assert "box dropped: 1 (box-empty: a box must have positive width and height" in output
    assert (
        run_check("--config-file", str(config), "--opts", "DATASETS.DROP_BAD_BOXES", "False") == 1
    )
    assert run_check("--register", spec, "--drop-bad-boxes") == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_command_line_decodes_every_image(root, run_check, capsys, processes):
    spec = register(root, "pixels", {"0.jpg": [GOOD], "1.jpg": [GOOD], "2.jpg": [GOOD]})
    # A deep PNG under the name of a JPEG, whose first bytes count.
    deep = np.full((60, 80), 4000, np.uint16)
    PIL.Image.fromarray(deep).save(root / "data" / "2.jpg", "PNG")
    assert run_check("--register", spec, "--pixels", "--processes", processes) == 0
    assert capsys.readouterr().out.endswith(
        "kind  bands  bits  images  sizes\n"
        "JPEG  3      8     2       40x30\n"
        "PNG   1      16    1       80x60\n"
    )
    path = root / "data" / "1.jpg"
    path.write_bytes(path.read_bytes()[:-10])
    # The header is whole, so the labels are good.
    assert run_check("--register", spec) == 0
    assert run_check("--register", spec, "--pixels", "--processes", processes) == 1
    told = capsys.readouterr().out
    assert f"{path}: truncated JPEG, its end marker is missing\n" in told
    assert told.endswith("1 of 3 images can't be decoded\n")


def test_command_line_reports_a_limit_below_the_objects_of_an_image(root, run_check, capsys):
    spec = register(root, "crowd", {"0.jpg": [GOOD, [0, 20, 1, 5, 5]], "1.jpg": [GOOD]})
    config = root / "c.yaml"
    config.write_text(f'DATASETS: {{REGISTER: ["{spec}"], TRAIN: ["crowd"], TEST: []}}')
    assert run_check("--config-file", str(config)) == 0
    told = capsys.readouterr().out
    assert "at most 2 objects in an image" in told
    assert "warning" not in told
    options = ["--opts", "TEST.DETECTIONS_PER_IMAGE", "1"]
    assert run_check("--config-file", str(config), *options) == 0
    told = capsys.readouterr().out
    assert "warning: 1 of 2 images have more objects than TEST.DETECTIONS_PER_IMAGE 1" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--register", "x=pascal:a:b"], "unknown dataset format 'pascal'"),
        (["--config-file", "gone.yaml"], "gone.yaml"),
        (["--register", "x=coco:a:b", "--opts", "NO.SUCH", "1"], "NO.SUCH"),
    ],
)
def test_command_line_refuses_wrong_arguments(run_check, capsys, arguments, message):
    assert run_check(*arguments) == 2
    assert message in capsys.readouterr().err


def test_the_page_lists_all_rules(run_check, capsys, repository):
    assert run_check("--list-rules") == 0
    page = (repository / "docs" / "label-rules.md").read_text(encoding="utf-8")
    # Other tests may have imported modules with further rules, and in another order.
    modules = [m for name, m in sys.modules.items() if name.startswith("smallobj.data.labels")]
    names = {one.name for m in modules for one in vars(m).values() if isinstance(one, Rule)}
    printed = capsys.readouterr().out.strip().splitlines()
    listed = page.split("```")[1].strip().splitlines()
    assert sorted(listed) == sorted(line for line in printed if line.split()[0] in names)


def test_of_many_classes_the_console_names_the_commonest():
    boxes = {f"class {n}": n for n in range(12)}
    counts = DatasetCounts("a", 5, boxes, Changes())
    assert counts.short() == (
        "a: 5 images, 66 boxes (class 11 11, class 10 10, class 9 9, 9 others; "
        "1 classes without boxes)"
    )
    assert "class 0 0, class 1 1" in str(counts)
    few = DatasetCounts("a", 5, {"nut": 3}, Changes())
    assert few.short() == str(few) == "a: 5 images, 3 boxes (nut 3)"
