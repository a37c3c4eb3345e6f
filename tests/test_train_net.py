"""train_net.py end to end: trains, evaluates, writes curves, resumes, and refuses politely."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from detectron2.engine import default_argument_parser
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from smallobj.data.datasets import registered_spec
from smallobj.engine import lock_run

CONFIG = "configs/quick/cascade_tiny.yaml"


def arguments(dataset, output, *options, flags=(), config=CONFIG):
    head = ["train_net.py", "--config-file", config, "--num-gpus", "0", *flags]
    return [*head, *dataset.options(), "OUTPUT_DIR", str(output), *map(str, options)]


def environment():
    # Out of reach of a GPU: what is tested here is the CPU's way.
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def run(repository, words):
    return subprocess.run(
        [sys.executable, *words],
        cwd=repository,
        env=environment(),
        capture_output=True,
        text=True,
    )


def metrics(output):
    return [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(repository, tiny_dataset, tmp_path_factory):
    """Six iterations, an evaluation in the middle and one at the end."""
    output = tmp_path_factory.mktemp("trained")
    options = ["SOLVER.MAX_ITER", 6, "SOLVER.CHECKPOINT_PERIOD", 3, "TEST.EVAL_PERIOD", 3]
    options += ["TEST.VIS_IMAGES", 2, "TEST.VIS_SCORE_THRESH", 0.0]
    # Nearly untrained scores all count, so that the metrics are of something.
    options += ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0]
    ended = run(repository, arguments(tiny_dataset, output, *options))
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return output


def test_checkpoints_of_a_run(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"model_0000002.pth", "model_final.pth", "model_best.pth", "config.yaml"} <= names
    assert (trained / "last_checkpoint").read_text() == "model_final.pth"
    final = torch.load(trained / "model_final.pth", weights_only=True)
    assert final["iteration"] == 5
    best = torch.load(trained / "model_best.pth", weights_only=True)
    assert best["model"].keys() == final["model"].keys()
    assert best["metric"] >= metrics(trained)[-1]["bbox/AP50"] - 1e-4


def test_the_written_config_says_what_was_found(trained, tiny_dataset):
    written = yaml.safe_load((trained / "config.yaml").read_text())
    assert tuple(written["MODEL"]["CLASS_NAMES"]) == tiny_dataset.names
    assert written["MODEL"]["ROI_HEADS"]["NUM_CLASSES"] == 3


def test_curves_in_tensorboard(trained, tiny_dataset):
    (events,) = trained.glob("events.out.tfevents.*")
    curves = EventAccumulator(str(events))
    curves.Reload()
    scalars = set(curves.Tags()["scalars"])
    losses = {f"loss_{kind}_stage{stage}" for kind in ("cls", "box_reg") for stage in range(3)}
    assert losses | {"loss_rpn_cls", "loss_rpn_loc", "total_loss"} <= scalars
    assert {"lr", "data_time", "time", "memory/process_peak_mib"} <= scalars
    assert {"bbox/AP", "bbox/AP50", "bbox/AP75", "challenge/mAP50"} <= scalars
    assert {"misses/LAMR", "errors/background", "sizes/AP50-20-40", "best-F1/F1"} <= scalars
    for name in tiny_dataset.names:
        assert f"bbox/AP-{name}" in scalars
        assert any(tag.startswith("challenge/") and name in tag for tag in scalars), name
    assert curves.Scalars("total_loss")[-1].value > 0
    images = curves.Tags()["images"]
    drawn = ["validation/0_0.jpg", "validation/1_1.jpg"]
    assert set(drawn) <= set(images)
    assert any(tag.endswith("_val/curves") for tag in images)
    for tag in drawn:
        picture = curves.Images(tag)[-1]
        assert picture.width >= 2 * 320  # truth beside predictions
        assert picture.height >= 256


def test_evaluation_alone_repeats_the_last_evaluation(trained, run_script, tmp_path):
    words = ["train_net.py", "--eval-only", "--num-gpus", "0"]
    words += ["--config-file", str(trained / "config.yaml"), "OUTPUT_DIR", str(tmp_path)]
    words += ["MODEL.WEIGHTS", str(trained / "model_final.pth")]
    status, told = run_script(*words)
    assert status == 0, told
    (folder,) = tmp_path.iterdir()
    assert folder.name == "eval-model_final"
    assert {"config.yaml", "log.txt", "inference"} == {path.name for path in folder.iterdir()}
    lines = (folder / "log.txt").read_text().splitlines()
    (header,) = (i for i, line in enumerate(lines) if "copypaste: AP,AP50" in line)
    found = float(lines[header + 1].rsplit("copypaste: ", 1)[1].split(",")[1])
    assert found == pytest.approx(metrics(trained)[-1]["bbox/AP50"], abs=1e-3)


def test_a_second_training_in_one_folder_is_refused(trained, run_script, tiny_dataset):
    def state():
        return {path.name: path.stat().st_mtime_ns for path in trained.iterdir()}

    before = state()
    status, told = run_script(*arguments(tiny_dataset, trained))
    assert status == 2
    for part in ("model_final.pth", "iteration 6", "--resume", f"OUTPUT_DIR {trained}-2"):
        assert part in told
    assert state() == before


def test_a_training_beside_another_is_refused(trained, run_script, tiny_dataset):
    with lock_run(str(trained)):
        status, told = run_script(*arguments(tiny_dataset, trained, flags=["--resume"]))
    assert status == 2
    assert f"process {os.getpid()} on" in told


def test_a_killed_run_is_resumed_where_it_was_saved(run_script, repository, tiny_dataset, tmp_path):
    words = arguments(tiny_dataset, tmp_path, "SOLVER.MAX_ITER", 5000, "TEST.EVAL_PERIOD", 0)
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=repository,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mark = tmp_path / "last_checkpoint"
    try:
        while not mark.exists() and process.poll() is None:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    saved = torch.load(tmp_path / mark.read_text(), weights_only=True)["iteration"]
    options = ["SOLVER.MAX_ITER", saved + 4, "DATASETS.TEST", "()"]
    status, told = run_script(*arguments(tiny_dataset, tmp_path, *options, flags=["--resume"]))
    assert status == 0, told
    log = (tmp_path / "log.txt").read_text()
    assert f"Starting training from iteration {saved + 1}" in log
    assert f"SOLVER.MAX_ITER 5000 -> {saved + 4}\n" in log
    assert mark.read_text() == "model_final.pth"
    final = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert final["iteration"] == saved + 3
    momentum = final["trainer"]["_trainer"]["optimizer"]["state"]
    assert momentum
    assert all(torch.isfinite(state["momentum_buffer"]).all() for state in momentum.values())


def test_ctrl_c_saves_and_says_how_to_continue(repository, tiny_dataset, tmp_path):
    options = ["SOLVER.MAX_ITER", 5000, "DATASETS.TEST", "()", "DATALOADER.NUM_WORKERS", 1]
    words = arguments(tiny_dataset, tmp_path, *options, "SOLVER.CHECKPOINT_PERIOD", 5000)
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=repository,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    told = ""
    for line in process.stdout:
        told += line
        if "Starting training" in line:
            # As a terminal: to the processes that load data as well.
            os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130, told
    assert "Traceback" not in told
    assert "--resume --config-file" in told
    (saved,) = tmp_path.glob("model_*.pth")
    assert (tmp_path / "last_checkpoint").read_text() == saved.name
    assert saved.name in told


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--config-file", "a.yaml", "--resume", "--eval-only", "SEED", "--num-gpus", "2"],
        ["--num-gpus", "2", "--num-machines", "3", "--machine-rank", "1", "--dist-url", "x", "A"],
    ],
)
def test_the_command_line_is_detectron2s(repository, words):
    build_parser = runpy.run_path(str(repository / "train_net.py"))["build_parser"]
    ours, theirs = build_parser().parse_args(words), default_argument_parser().parse_args(words)
    if ours.num_gpus is None:  # where Detectron2 has 1, and fails without a GPU
        ours.num_gpus = 1
    assert ours == theirs
    assert {*build_parser()._option_string_actions} == {
        *default_argument_parser()._option_string_actions
    }


def test_more_gpus_than_there_are(run_script, tiny_dataset, tmp_path):
    words = arguments(tiny_dataset, tmp_path)
    words[words.index("--num-gpus") + 1] = "3"
    status, told = run_script(*words)
    assert status == 2
    assert "--num-gpus 3" in told
    assert "0 found" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["SOLVER.MAX_ITERS", 5], ["SOLVER.MAX_ITERS"]),
        (["MODEL.ROI_HEADS.NUM_CLASSES", 7], ["is 7", "has 3"]),
        (["SOLVER.MAX_ITER"], ["KEY VALUE pairs"]),
        (["DATASETS.TRAIN", "('squares_night',)"], ["squares_night"]),
        (["DATASETS.REGISTER", "['a=tfrecord:b:c']"], ["tfrecord", "challenge, coco, yolo"]),
        (["INPUT.MAPPER", "Tiles"], ["INPUT.MAPPER", "Tiles"]),
        (["MODEL.WEIGHTS", "none.pth"], ["none.pth"]),
        (["TEST.METRICS", "['map']"], ["TEST.METRICS", "map"]),
        (["TEST.MERGER.NAME", "average"], ["TEST.MERGER.NAME", "average"]),
        (["TEST.TILE.OVERLAP", 500], ["TEST.TILE.OVERLAP", "500"]),
        (["TEST.AUG.ENABLED", True], ["TEST.AUG.ENABLED", "set TEST.TTA.ENABLED"]),
        (["SOLVER.AMP.ENABLED", True], ["SOLVER.AMP.ENABLED", "set MODEL.BACKBONE.PRECISION"]),
    ],
)
def test_a_users_error_ends_with_its_sentence(run_script, tiny_dataset, tmp_path, options, told):
    # Faults of the test's side must show before hours of training, hence no iteration succeeds.
    status, words = run_script(*arguments(tiny_dataset, tmp_path, "SOLVER.MAX_ITER", 1, *options))
    assert status == 2
    for part in told:
        assert part in words
    assert not (tmp_path / "model_final.pth").exists(), "found out only after training"


def test_a_missing_config_is_named(run_script, tiny_dataset, tmp_path):
    status, told = run_script(*arguments(tiny_dataset, tmp_path, config="configs/none.yaml"))
    assert status == 2
    assert "configs/none.yaml" in told


def test_no_config_is_a_usage_error(run_script, capsys):
    with pytest.raises(SystemExit) as ended:
        run_script("train_net.py", "--num-gpus", "0")
    assert ended.value.code == 2
    assert "--config-file is needed" in capsys.readouterr().err


def test_bad_labels_are_listed(run_script, tiny_dataset, tmp_path):
    labels = json.loads((tiny_dataset.root / "train.json").read_text())
    labels["0.jpg"].append([9, 1, 1, 5, 5])
    labels["1.jpg"].append([0, 300, 10, 500, 5])
    (tmp_path / "bad.json").write_text(json.dumps(labels))
    root = tiny_dataset.root
    spec = f"bad_train=challenge:{tmp_path}/bad.json:{root}/train:{root}/names.txt"
    words = arguments(tiny_dataset, tmp_path / "out")
    words += ["DATASETS.REGISTER", repr([spec]), "DATASETS.TRAIN", "('bad_train',)"]
    status, told = run_script(*words, "DATASETS.TEST", "()")
    assert status == 2
    assert "0.jpg[3]" in told
    assert "1.jpg[3]" in told
    assert not (tmp_path / "out").exists()


def test_evaluation_without_weights(run_script, tiny_dataset, tmp_path):
    for flags in (["--eval-only"], ["--eval-only", "--resume"]):
        status, told = run_script(*arguments(tiny_dataset, tmp_path, flags=flags))
        assert status == 2
        assert "MODEL.WEIGHTS" in told


def test_evaluation_without_data(run_script, tiny_dataset, tmp_path):
    words = arguments(tiny_dataset, tmp_path, "DATASETS.TEST", "()", flags=["--eval-only"])
    status, told = run_script(*words)
    assert status == 2
    assert "DATASETS.TEST is empty" in told


def test_the_catalog_is_left_clean():
    assert registered_spec("squares_train") is None
