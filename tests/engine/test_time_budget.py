"""A training of a given time: it ends in time, decays to the end, and goes on where it stopped."""

import math

import pytest
import torch

from smallobj.checkpoint import read_checkpoint
from smallobj.data.datasets import register_from_config
from smallobj.engine import Trainer, time_budget


class Clock:
    """Stands still but for the step of a test."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Every training step takes 1.5 s of it, everything else an hour."""
    clock = Clock()
    monkeypatch.setitem(time_budget.CLOCKS, "cpu", clock)
    run_step = Trainer.run_step

    def timed_step(trainer):
        run_step(trainer)
        clock.now += 1.5

    def slow_test(cfg, model, evaluators=None):
        clock.now += 3600
        return {}

    monkeypatch.setattr(Trainer, "run_step", timed_step)
    monkeypatch.setattr(Trainer, "test", staticmethod(slow_test))
    return clock


@pytest.fixture
def make(tiny_config, tiny_dataset, tmp_path, catalog):
    def build(seconds, *options):
        common = ["DATASETS.TEST", "()", "OUTPUT_DIR", tmp_path, "SOLVER.MAX_SECONDS", seconds]
        common += ["SOLVER.CLOCK", "cpu", "SOLVER.MAX_ITER", 100, "SOLVER.WARMUP_ITERS", 25]
        cfg = tiny_config(*tiny_dataset.options("budget"), *common, *options)
        register_from_config(cfg)
        return Trainer(cfg)

    return build


def rates(trainer):
    return [value for value, _ in trainer.storage.history("lr").values()]


def test_it_ends_with_the_step_that_spends_the_time_and_decays_to_zero(make, clock):
    trainer = make(6, "TEST.EVAL_PERIOD", 2)
    trainer.train()
    # Evaluations take an hour each, and nothing of the budget.
    assert trainer.storage.history("time/spent_seconds").latest() == 6.0
    # A quarter of the time is warm-up, so that after a quarter the rate is the cosine's.
    base = trainer.cfg.SOLVER.BASE_LR
    cosine = [base * 0.5 * (1 + math.cos(math.pi * share)) for share in (0.25, 0.5, 0.75)]
    assert rates(trainer) == pytest.approx([base * 0.001, *cosine])
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)
    final = read_checkpoint(trainer.cfg.OUTPUT_DIR + "/model_final.pth")
    assert final["iteration"] == 3
    for name, tensor in trainer.model.state_dict().items():
        torch.testing.assert_close(final["model"][name], tensor)


def test_a_resumed_run_has_only_the_rest_of_the_time(make, clock):
    first = make(3, "SOLVER.CHECKPOINT_PERIOD", 1)
    first.train()
    longer = make(6)
    longer.resume_or_load(resume=True)
    assert longer.start_iter == 2
    longer.train()
    assert rates(longer)[-1] == pytest.approx(0.02 * 0.5 * (1 + math.cos(math.pi * 0.75)))
    assert read_checkpoint(longer.cfg.OUTPUT_DIR + "/model_final.pth")["iteration"] == 3
    # A run that is done does nothing more when it is started again.
    again = make(6)
    again.resume_or_load(resume=True)
    before = {name: tensor.clone() for name, tensor in again.model.state_dict().items()}
    again.train()
    assert read_checkpoint(again.cfg.OUTPUT_DIR + "/model_final.pth")["iteration"] == 3
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_run_that_is_killed_goes_on_near_where_it_was(make, clock, monkeypatch):
    class Killed(BaseException):
        pass

    def run_step(trainer):
        if trainer.iter == 3:
            raise Killed
        step(trainer)

    step = Trainer.run_step
    first = make(60)
    monkeypatch.setattr(Trainer, "run_step", run_step)
    with pytest.raises(Killed):
        first.train()
    # A twentieth of the time is 3 s, two steps.
    resumed = make(60)
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 2
    budgets = [hook for hook in resumed._hooks if isinstance(hook, time_budget.TimeBudget)]
    assert [budget.spent for budget in budgets] == [3.0]


def test_the_final_evaluation_takes_place(make, clock, monkeypatch):
    seen = []
    monkeypatch.setattr(Trainer, "test", staticmethod(lambda cfg, model: seen.append(1) or {}))
    make(3).train()
    assert seen == [1]


def test_without_a_limit_iterations_count(make, clock):
    trainer = make(0, "SOLVER.MAX_ITER", 2, "SOLVER.WARMUP_ITERS", 1)
    trainer.train()
    assert trainer.iter == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [(["SOLVER.MAX_SECONDS", -1], "MAX_SECONDS.*-1"), (["SOLVER.CLOCK", "sun"], "CLOCK.*sun")],
)
def test_bad_values_are_told(make, options, told):
    with pytest.raises(ValueError, match=told):
        make(2, *options)
