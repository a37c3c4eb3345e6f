"""Training of several detectors for the same time on the same data, with a row of results each.

A run is train_net.py in a separate process with SOLVER.MAX_SECONDS, then the same with --eval-only.
All runs share seed, data and clock; everything else follows each config.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contest import Contest, short_hash
from benchmarks.report import describe_machine
from benchmarks.zoo import Row, write_row
from smallobj.checkpoint import read_checkpoint
from smallobj.config import load_config
from smallobj.engine.run_folder import evaluation_folder
from smallobj.evaluation.evaluators.coco import RESULTS_FILE
from smallobj.evaluation.metrics.headline import HeadlineFigures
from smallobj.evaluation.metrics.size_bins import parse_size_bins
from smallobj.evaluation.reading.load import read_labels
from smallobj.evaluation.reading.results_file import read_results
from smallobj.evaluation.reading.tables import EvaluationSet

FINAL = "model_final.pth"
# Configs for days of training have a warm-up of a few percent, which is too short for minutes.
_LEAST_WARMUP = 1 / 20
# A training that takes this many times its time limit hangs. Evaluations have no limit.
_PATIENCE = 20


def run_contest(contest: Contest, configs: Sequence[Path], folder: Path, script: Path) -> list[Row]:
    """Trains and tests each config. Stopped runs are resumed, and finished ones are not repeated.

    Args:
        contest: common settings; its datasets are registered.
        configs: files with different names.
        folder: output: runs/<contest>/<config>/ with log.txt, and results/<contest>-<config>.json.
        script: path of train_net.py.

    Raises:
        ValueError: a config cannot be read, or a test set has no labels.

    Returns:
        Rows as in results/: the contest's fields, "config", "iterations", "images" (inputs seen),
        "spent" (seconds of the clock), "wall_seconds" (since this start, including building the
        model and checkpoints), "machine", "metrics" {test set: {metric: share}}. After a failure
        "failed", a sentence, replaces what is missing.
    """
    labels = {name: read_labels(name) for name in contest.test}
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    home = folder / "runs" / contest.name
    rows = []
    # All configs are loaded before the first run, so a bad one is found at once.
    for run in [_Run(contest, config, home / config.stem, script) for config in configs]:
        config, path = run.config, results / f"{contest.name}-{run.config.stem}.json"
        row = _finished(path, run)
        if row is None:
            print(f"{config.stem}: {contest.seconds} s of {contest.clock} time", flush=True)
            row = run.row(labels)
            write_row(path, row)
            print(f"{config.stem}: {row.get('failed') or _outcome(row)}", flush=True)
        rows.append(row)
    return rows


def _finished(path: Path, run: _Run) -> Row | None:
    if not path.is_file():
        return None
    row: Row = json.loads(path.read_text(encoding="utf-8"))
    same = row["fingerprint"] == run.fingerprint and set(run.contest.test) <= set(
        row.get("metrics", {})
    )
    return row if same else None


def _outcome(row: Row) -> str:
    scores = [f"AP50 {100 * m['AP50']:.1f} on {test}" for test, m in row["metrics"].items()]
    return f"{row['iterations']} iterations, {', '.join(scores)}"


class RunBroken(Exception):
    """A run has no result; the message is a sentence that says why."""


class _Run:
    """Training and tests of one config, in its folder."""

    def __init__(self, contest: Contest, config: Path, folder: Path, script: Path) -> None:
        self.contest = contest
        self.config = config
        self.folder = folder
        self.script = script
        self.cfg = load_config(str(config), list(contest.opts))
        # One hash of everything that training depends on, and one that includes the tests.
        recipe = self.cfg.clone()
        recipe.pop("TEST")
        terms = (contest.name, contest.train, contest.seed, contest.gpus)
        self.recipe = short_hash((recipe.dump(), terms))
        self.fingerprint = short_hash((self.recipe, self.cfg.TEST.dump()))

    def row(self, labels: dict[str, Any]) -> Row:
        """Runs what is missing; returns the row described in :func:`run_contest`."""
        row: Row = {"config": self.config.stem, "fingerprint": self.fingerprint}
        row |= dataclasses.asdict(self.contest)
        machine = describe_machine("cuda" if self.contest.gpus else "cpu")
        row["machine"] = {**machine, "threads": self.contest.threads}
        start = time.monotonic()
        try:
            self._claim()
            if not (self.folder / FINAL).is_file():
                self._launch(self._training(), _PATIENCE * self.contest.seconds + 600)
            for spare in self.folder.glob("model_resume_*.pth"):
                spare.unlink()
            row["wall_seconds"] = round(time.monotonic() - start, 1)
            row |= self._counts()
            self._launch(self._evaluation(), None)
            row["metrics"] = {name: self._metrics(name, labels[name]) for name in labels}
        except RunBroken as broken:
            row["failed"] = str(broken)
        return row

    def _claim(self) -> None:
        """Takes the folder for this recipe; refuses to resume a run of another one."""
        mark = self.folder / "recipe.txt"
        if mark.is_file() and mark.read_text() != self.recipe:
            raise RunBroken(
                f"{self.folder} holds a run of another version of this config; delete it or choose "
                "another --output"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        mark.write_text(self.recipe)

    def _common(self) -> list[str]:
        contest = self.contest
        return [
            *("DATASETS.REGISTER", repr(list(contest.register)), "SEED", str(contest.seed)),
            *("DATASETS.TRAIN", repr(contest.train), "TEST.EVAL_PERIOD", "0"),
            *("TEST.VIS_IMAGES", "0", "TEST.METRICS", "['coco']"),
        ]

    def _training(self) -> list[str]:
        solver = self.cfg.SOLVER
        warmup = max(solver.WARMUP_ITERS, math.ceil(_LEAST_WARMUP * solver.MAX_ITER))
        words = ["--resume", *self.contest.opts, *self._common()]
        words += ["OUTPUT_DIR", str(self.folder), "DATASETS.TEST", "()"]
        words += ["SOLVER.MAX_SECONDS", str(self.contest.seconds)]
        words += ["SOLVER.CLOCK", self.contest.clock, "SOLVER.WARMUP_ITERS", str(warmup)]
        # With a time limit the trainer saves checkpoints itself, alternating between two files.
        words += ["SOLVER.CHECKPOINT_PERIOD", str(10**9)]
        if self.contest.clock == "cpu":
            # Processor time of other processes would not be counted.
            words += ["DATALOADER.NUM_WORKERS", "0"]
        return words

    def _evaluation(self) -> list[str]:
        words = ["--eval-only", *self.contest.opts, *self._common()]
        words += ["OUTPUT_DIR", str(self.folder), "DATASETS.TEST", repr(self.contest.test)]
        return [*words, "MODEL.WEIGHTS", str(self.folder / FINAL)]

    def _launch(self, words: Sequence[str], limit: float | None) -> None:
        command = [sys.executable, str(self.script), "--config-file", str(self.config)]
        command += ["--num-gpus", str(self.contest.gpus), *words]
        threads = str(self.contest.threads)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        log = self.folder / "log.txt"
        with log.open("a", encoding="utf-8") as file:
            try:
                ended = subprocess.run(
                    command, stdout=file, stderr=subprocess.STDOUT, env=environment, timeout=limit
                )
            except subprocess.TimeoutExpired:
                raise RunBroken(f"training took longer than {limit:.0f} s") from None
        if ended.returncode:
            lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
            last = lines[-1] if lines else "it said nothing"
            raise RunBroken(f"train_net.py ended with status {ended.returncode}: {last}")

    def _counts(self) -> Row:
        saved = read_checkpoint(self.folder / FINAL)
        iterations = saved["iteration"] + 1
        return {
            "iterations": iterations,
            "images": iterations * self.cfg.SOLVER.IMS_PER_BATCH,
            "spent": saved["trainer"]["hooks"]["TimeBudget"]["spent"],
        }

    def _metrics(self, name: str, labels: Any) -> dict[str, float]:
        """AP, AP50, AP75, and AP50 of each size bin with labels, in [0, 1]."""
        folder = Path(evaluation_folder(str(self.folder), FINAL))
        path = folder / "inference" / name / RESULTS_FILE
        found = read_results(str(path), labels.data, labels.category_ids)
        data: EvaluationSet = labels.data.with_detections(found)
        figures = HeadlineFigures(
            data,
            bins=parse_size_bins(self.cfg.TEST.SIZE_BINS),
            max_detections=self.cfg.TEST.DETECTIONS_PER_IMAGE,
        )
        wanted = [key for key in figures.keys if key.startswith("AP")]
        values = {key: float(figures.values(key)) for key in wanted}
        return {key: value for key, value in values.items() if not math.isnan(value)}
