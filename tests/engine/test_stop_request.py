"""Signals in a training: a checkpoint, a status, and nothing half done."""

import logging
import os
import signal
import subprocess
import time

import pytest
import torch
from detectron2.engine import DefaultTrainer, HookBase
from torch.utils.data import DataLoader

from smallobj.checkpoint import read_checkpoint
from smallobj.data.datasets import register_from_config
from smallobj.data.worker_signals import outlive_signals
from smallobj.engine import Trainer, stop_request
from smallobj.engine.stop_request import Stopped, StopRequest
from smallobj.engine.stopping import say_how_to_continue


class Signal(HookBase):
    """Sends a signal to this process in the middle of a step."""

    def __init__(self, iteration, number):
        self.iteration, self.number = iteration, number

    def before_step(self):
        if self.trainer.iter == self.iteration:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def make(tiny_config, tiny_dataset, tmp_path, catalog):
    def build(steps, *more, folder="run"):
        options = ["SOLVER.MAX_ITER", steps, "SOLVER.CHECKPOINT_PERIOD", 100]
        options += ["DATASETS.TEST", "()", "OUTPUT_DIR", tmp_path / folder, *more]
        cfg = tiny_config(*tiny_dataset.options("stop"), *options)
        register_from_config(cfg)
        os.makedirs(cfg.OUTPUT_DIR, exist_ok=True)
        return Trainer(cfg)

    return build


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_ends_the_training_with_a_checkpoint_to_resume(
    make, tmp_path, monkeypatch, caplog, capfd, number, status
):
    monkeypatch.setattr(logging.getLogger("smallobj"), "propagate", True)
    caplog.set_level(logging.INFO, logger="smallobj")
    before = [signal.getsignal(each) for each in stop_request.SIGNALS]
    trainer = make(9)
    trainer.register_hooks([Signal(1, number)])
    with pytest.raises(Stopped) as ended:
        trainer.train()
    assert ended.value.status == status
    assert [signal.getsignal(each) for each in stop_request.SIGNALS] == before
    assert "saving a checkpoint; Ctrl-C again" in capfd.readouterr().err
    saved = read_checkpoint(tmp_path / "run" / "model_0000001.pth")
    # The same as a checkpoint that is due.
    regular = make(9, "SOLVER.CHECKPOINT_PERIOD", 2, folder="regular")
    regular.register_hooks([Signal(1, number)])
    with pytest.raises(Stopped):
        regular.train()
    due = read_checkpoint(tmp_path / "regular" / "model_0000001.pth")
    assert saved.keys() == due.keys()
    assert saved["iteration"] == due["iteration"] == 1
    assert saved["trainer"].keys() == due["trainer"].keys()
    resumed = make(9)
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 2
    for name, tensor in trainer.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], tensor)
    monkeypatch.setattr("sys.argv", ["train_net.py", "--config-file", "a b.yaml", "SEED", "1"])
    say_how_to_continue(trainer)
    assert "stopped after iteration 1 and saved model_0000001.pth" in caplog.text
    assert "python train_net.py --resume --config-file 'a b.yaml' SEED 1" in caplog.text


def test_an_evaluation_is_stopped_too(make, tmp_path, monkeypatch):
    evaluated = []

    def read(mapper, record):
        evaluated.append(record)
        os.kill(os.getpid(), signal.SIGINT)
        return original(mapper, record)

    from smallobj.data.build import WholeImageMapper

    original = WholeImageMapper.__call__
    monkeypatch.setattr(WholeImageMapper, "__call__", read)
    trainer = make(9, "DATASETS.TEST", "('stop_val',)", "TEST.EVAL_PERIOD", 2, "TEST.VIS_IMAGES", 0)
    with pytest.raises(Stopped):
        trainer.train()
    assert len(evaluated) < 3
    assert read_checkpoint(tmp_path / "run" / "model_0000001.pth")["iteration"] == 1


def test_a_signal_in_the_last_step_leaves_a_finished_training(make, tmp_path):
    trainer = make(2)
    trainer.register_hooks([Signal(1, signal.SIGINT)])
    trainer.train()
    assert (tmp_path / "run" / "last_checkpoint").read_text() == "model_final.pth"


def end_of_child(act):
    """The exit status of a forked process that runs a function."""
    child = os.fork()
    if not child:
        try:
            act()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_second_signal_ends_the_process_at_once_but_not_its_echo(monkeypatch):
    monkeypatch.setattr(stop_request, "SAME_REQUEST", 0.3)

    def interrupt_twice():
        with StopRequest() as request:
            for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
                time.sleep(0.01)
            assert request.status == 130
            time.sleep(0.4)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)

    assert end_of_child(interrupt_twice) == 130


def test_a_signal_to_a_child_is_none_to_its_parent():
    with StopRequest() as request:
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
        os.kill(child, signal.SIGTERM)
        time.sleep(0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert request.number == 0


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_processes_that_load_data_outlive_the_first_signals(context):
    # On several GPUs they are spawned, and take seconds to start.
    settings = {"num_workers": 1, "prefetch_factor": 2, "multiprocessing_context": context}
    batches = iter(outlive_signals(DataLoader(range(1000), **settings)))
    (worker,) = batches._workers
    for name in ("INT", "TERM", "INT"):
        subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(stop_request.SIGNALS)
    for _ in range(20):
        next(batches)
    assert worker.is_alive()
    # What comes from its parent counts, as at the end of the parent.
    worker.terminate()
    worker.join(20)
    assert worker.exitcode == 0


@pytest.mark.parametrize(
    ("reported", "which"),
    [
        (
            "Loss became infinite or NaN at iteration=1!\nloss_dict = {"
            "'loss_cls': np.float64(nan), 'loss_rpn_cls': 0.69, 'loss_box_reg': -inf}",
            "loss_cls is nan, loss_box_reg is -inf. Try",
        ),
        ("Predicted boxes contain Inf/NaN. It diverged.", "contain Inf/NaN. It diverged. Try"),
    ],
)
def test_a_loss_that_is_not_finite_is_a_sentence(make, monkeypatch, reported, which):
    def diverge(trainer):
        if trainer.iter == 1:
            raise FloatingPointError(reported)
        run_step(trainer)

    run_step = DefaultTrainer.run_step
    monkeypatch.setattr(DefaultTrainer, "run_step", diverge)
    clip = ("SOLVER.CLIP_GRADIENTS.ENABLED", False, "SOLVER.CHECKPOINT_PERIOD", 1)
    with pytest.raises(ValueError, match="diverged at iteration 1: ") as error:
        make(9, "SOLVER.BASE_LR", 0.5, "SOLVER.WARMUP_ITERS", 0, *clip).train()
    told = str(error.value)
    for part in (which, "BASE_LR (now 0.5)", "WARMUP_ITERS (now 0)"):
        assert part in told
    assert told.endswith("CLIP_GRADIENTS.ENABLED True; --resume continues from model_0000000.pth")
