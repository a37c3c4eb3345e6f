"""What a folder with a training's files is told apart by, and how configs differ."""

import os
import time

import pytest

from smallobj.engine.run_folder import (
    changed_keys,
    evaluation_folder,
    find_run,
    refuse_used_folder,
    write_config,
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model_0000019.pth", "x"),
        ("model_final.pth", "x"),
        ("model_best.pth", "x"),
        ("model_resume_1.pth", "x"),
        ("last_checkpoint", "model_final.pth"),
        ("metrics.json", '{"iteration": 19}\n'),
        ("config.yaml", "SEED: 1\n"),
    ],
)
def test_each_file_of_a_training_makes_its_folder_a_used_one(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    run = find_run(tmp_path)
    assert run.files == (name,)
    with pytest.raises(ValueError, match="holds a training already") as error:
        refuse_used_folder(str(tmp_path))
    assert name in str(error.value)
    refuse_used_folder(str(tmp_path), resume=True)
    assert os.listdir(tmp_path) == [name]


def test_other_files_do_not(tmp_path):
    for name in (
        "log.txt",
        "metrics.json",
        "plan.yaml",
        "R-50.pth",
        "training.lock",
        "model_x.pth",
    ):
        (tmp_path / name).write_text("")
    (tmp_path / "eval-model_best").mkdir()
    (tmp_path / "eval-model_best" / "config.yaml").write_text("SEED: 1\n")
    assert find_run(tmp_path) is None
    assert find_run(tmp_path / "none") is None
    refuse_used_folder(str(tmp_path))


def test_the_refusal_says_what_lies_there_and_what_to_type(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "run-2").mkdir()
    for name in ("model_0000009.pth", "model_0000019.pth", "last_checkpoint", "config.yaml"):
        (folder / name).write_text("")
    # The last line is incomplete: the training was killed while it wrote it.
    (folder / "metrics.json").write_text('{"iteration": 19}\n{"iteration": 39}\n{"itera')
    when = time.mktime((2024, 5, 6, 7, 8, 0, 0, 0, -1))
    for path in folder.iterdir():
        os.utime(path, (when, when))
    with pytest.raises(ValueError, match="OUTPUT_DIR") as error:
        refuse_used_folder(str(folder))
    told = str(error.value)
    assert "and 2 more; iteration 39, last written on 2024-05-06 07:08" in told
    assert "Add --resume" in told
    assert told.endswith(f"OUTPUT_DIR {folder}-3")


def test_a_nameless_folder_is_refused():
    with pytest.raises(ValueError, match="OUTPUT_DIR is empty"):
        refuse_used_folder("", resume=True)


def test_an_evaluation_has_a_folder_of_its_own():
    assert evaluation_folder("output", "/elsewhere/a.b.pth") == "output/eval-a.b"


def test_changed_keys_are_named_with_both_values(tiny_config, tmp_path):
    cfg = tiny_config("DATASETS.TRAIN", "('a', 'b')", "OUTPUT_DIR", "one")
    write_config(cfg, str(tmp_path))
    assert changed_keys(str(tmp_path), tiny_config("DATASETS.TRAIN", "('a', 'b')")) == []
    other = tiny_config("DATASETS.TRAIN", "('a',)", "SOLVER.MAX_ITER", 9, "OUTPUT_DIR", "two")
    assert changed_keys(str(tmp_path), other) == [
        "DATASETS.TRAIN ['a', 'b'] -> ['a']",
        "SOLVER.MAX_ITER 4 -> 9",
    ]


def test_a_key_of_one_side_only_and_a_long_value(tiny_config, tmp_path):
    cfg = tiny_config("MODEL.CLASS_NAMES", [f"class number {n}" for n in range(30)])
    (tmp_path / "config.yaml").write_text(cfg.dump().replace("SEED: 1", "SEEED: 1"))
    changes = changed_keys(str(tmp_path), tiny_config())
    assert changes[0].startswith("MODEL.CLASS_NAMES ['class number 0', ")
    assert len(changes[0]) < 100
    assert changes[1:] == ["SEED (no such key) -> 1", "SEEED 1 -> (no such key)"]


@pytest.mark.parametrize("text", ["INPUT: [\n", "- 1\n", "\xff", None])
def test_a_broken_stored_config_tells_nothing(tiny_config, tmp_path, text):
    if text is not None:
        (tmp_path / "config.yaml").write_bytes(text.encode("latin-1"))
    assert changed_keys(str(tmp_path), tiny_config()) == []
