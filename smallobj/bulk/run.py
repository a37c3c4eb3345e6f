"""The work of a process in a bulk run: claim images, detect, write records, merge at the end."""

from __future__ import annotations

import dataclasses
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as dist
from detectron2.config import CfgNode

from smallobj.bulk import ranks
from smallobj.bulk.folder import Plan, RunFolder
from smallobj.bulk.heartbeat import Heartbeat
from smallobj.bulk.launch import INCOMPLETE, INTERRUPTED
from smallobj.bulk.merge import Totals, merge_records
from smallobj.bulk.path_list import PathList, list_images
from smallobj.bulk.ranks import Board, Rank, Status
from smallobj.bulk.records import Records, RecordWriter
from smallobj.checks import check_positive
from smallobj.data.image_file import quiet_decoders
from smallobj.image_paths import describe_inputs
from smallobj.inference.cuts import Cut, sum_cuts
from smallobj.inference.detector_config import prepare_detector_config
from smallobj.inference.fingerprint import Fingerprint, detector_fingerprint
from smallobj.inference.notices import bundled_notice, device_notice, nothing_found
from smallobj.inference.predictor import SmallObjectPredictor
from smallobj.results.coco_ids import CocoIds
from smallobj.results.result_files import ImageResult, ResultFiles
from smallobj.whole_file import check_outputs, list_beside, require_writable

GOOD, BROKEN, WRONG = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class BulkOptions:
    """Options of a run; the same for every process.

    Attributes:
        output: folder of the results, shared by all machines.
        inputs: as in :func:`list_images`; empty to resume with the list in the folder.
        config_file, weights, device, opts: as in :func:`prepare_detector_config`.
        threads: threads of each process on a CPU. Their number changes the order of summation and
            so the rounding; therefore it is part of the run's fingerprint, as the weights are.
        threshold: lowest score of a detection, in [0, 1].
        resume: continue the run in the folder.
        json_file, csv_file, coco_file: results to write besides ``detections.jsonl``.
        coco_images: as in :class:`CocoIds`.
    """

    output: str
    inputs: Sequence[str] = ()
    config_file: str | None = None
    weights: str | None = None
    device: str | None = None
    opts: Sequence[str] = ()
    threads: int = 1
    threshold: float = 0.5
    resume: bool = False
    json_file: str | None = None
    csv_file: str | None = None
    coco_file: str | None = None
    coco_images: str | None = None


def run_rank(options: BulkOptions, rank: Rank) -> int:
    """Works until no image is left; then process 0 merges.

    Returns:
        GOOD; BROKEN: some files were broken; WRONG: a user error, whose message was printed;
        INCOMPLETE: images are missing because a process died; INTERRUPTED.
    """
    quiet_decoders()
    # Torch's deprecation warnings about Detectron2's code; users can't act on them.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch|detectron2")
    board = Board(rank.store, rank.world)
    board.post(rank.index, Status())
    try:
        return BulkRun(options, rank, board).run()
    except KeyboardInterrupt:
        return INTERRUPTED
    except _SharedError as error:
        if rank.index == 0:
            print(f"detect.py: {error}", file=sys.stderr)
        return WRONG
    except OSError as error:
        print(f"detect.py: process {rank.index}: {error}", file=sys.stderr)
        return WRONG
    except dist.DistError:
        print(f"detect.py: process {rank.index}: the others are gone; --resume", file=sys.stderr)
        return INCOMPLETE


class _SharedError(Exception):
    """An error that every process raises, so that only process 0 prints it."""


def _say(message: str) -> None:
    print(f"detect.py: {message}", file=sys.stderr)


@dataclasses.dataclass
class _Report:
    """What a process sends to the others before the work."""

    fingerprint: Fingerprint = dataclasses.field(default_factory=dict)
    plan: Plan | None = None
    error: str = ""


class BulkRun:
    """One process's share of a run."""

    def __init__(self, options: BulkOptions, rank: Rank, board: Board) -> None:
        self.options = options
        self.rank = rank
        self.board = board
        self.folder = RunFolder(options.output)
        self.status = Status()
        self._image_ids: Sequence[int] = ()

    def run(self) -> int:
        """Does the whole work; see :func:`run_rank`."""
        plan = self._agree()
        paths = self._shared_paths(plan)
        todo = plan.todo(len(paths))
        self.status.state = ranks.WORKING
        done = len(paths) - len(todo)
        with Heartbeat(self.board, self.rank.index, self.status, len(paths), done) as heartbeat:
            try:
                self._work(paths, todo, plan.attempt)
            except BaseException:
                heartbeat.finish(ranks.FAILED)
                raise
            heartbeat.finish(ranks.FINISHED)
            if self.rank.index:
                return GOOD
            statuses = heartbeat.wait_for_all()
        return self._conclude(paths, statuses)

    def _agree(self) -> Plan:
        report = _Report()
        try:
            cfg = self._config()
            self.predictor = SmallObjectPredictor(cfg, self.options.threshold)
            self.category_ids = list(range(len(self.predictor.class_names)))
            report.fingerprint = self._fingerprint(cfg)
            if self.rank.index == 0:
                device = device_notice(cfg, self.options.device, self.options.opts)
                for notice in filter(None, (bundled_notice(cfg), device)):
                    print(f"detect.py: {notice}", file=sys.stderr)
                report.plan = self._prepare(report.fingerprint)
        except (ValueError, OSError) as error:
            report.error = str(error)
        reports = self.rank.gather(report)
        for index, other in enumerate(reports):
            if other.error:
                raise _SharedError(other.error)
            if other.fingerprint != reports[0].fingerprint:
                keys = [k for k, v in other.fingerprint.items() if v != reports[0].fingerprint[k]]
                raise _SharedError(
                    f"processes 0 and {index} must run the same model; they differ in "
                    f"{', '.join(keys)}"
                )
        assert reports[0].plan is not None
        return reports[0].plan

    def _config(self) -> CfgNode:
        options = self.options
        check_positive("--threads", options.threads)
        cfg = prepare_detector_config(
            options.config_file, options.weights, options.device, options.opts
        )
        # Results must not depend on which images a process happens to read in sequence.
        cfg.TEST.TILE.MIX_IMAGES = False
        threads = options.threads
        if cfg.MODEL.DEVICE == "cuda":
            cfg.MODEL.DEVICE = f"cuda:{self.rank.local % torch.cuda.device_count()}"
        if cfg.MODEL.DEVICE != "cpu":
            torch.cuda.set_device(torch.device(cfg.MODEL.DEVICE))
            threads = max(available_cores() // self.rank.local_world, 1)
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        return cfg

    def _fingerprint(self, cfg: CfgNode) -> Fingerprint:
        return {
            **detector_fingerprint(cfg, self.predictor.model, self.options.threads),
            "classes": self.predictor.class_names,
            "threshold": self.options.threshold,
        }

    def _prepare(self, fingerprint: Fingerprint) -> Plan:
        """Checks all options before the work, not after days of it; process 0 only."""
        options = self.options
        require_writable([p for p in (options.json_file, options.csv_file, options.coco_file) if p])
        if options.coco_images and not options.coco_file:
            raise ValueError("--coco-images goes with --coco")
        paths = list_images(options.inputs, _say) if options.inputs else None
        self._check_outputs(self.folder.known_paths() if paths is None else paths)
        if paths and (found := describe_inputs(paths, options.inputs)):
            _say(found)
        ids = CocoIds(options.coco_images)
        self.category_ids = ids.category_ids(self.predictor.class_names)
        self._image_ids = ids.image_ids(self.folder.known_paths() if paths is None else paths)
        resume = options.resume or ranks.restarts() > 0
        return self.folder.prepare(fingerprint, paths, resume)

    def _check_outputs(self, paths: Sequence[str]) -> None:
        """
        Raises:
            ValueError: a results file is an image, or another file of the run.
        """
        options = self.options
        csv_list = list_beside(options.csv_file) if options.csv_file else None
        outputs = [
            *(("--json", options.json_file), ("--csv", options.csv_file), ("--csv", csv_list)),
            *(("--coco", options.coco_file), ("--output", self.folder.detections_file)),
        ]
        files = (options.coco_images, options.config_file, options.weights, self.folder.list_file)
        check_outputs(outputs, chain(paths, filter(None, files)))

    def _shared_paths(self, plan: Plan) -> PathList:
        """
        Raises:
            FileNotFoundError: the folder on this machine is not that of process 0.
        """
        paths = self.folder.paths() if os.path.isfile(self.folder.list_file) else None
        if paths is None or paths.digest != plan.images:
            self.board.post(self.rank.index, Status(ranks.FAILED))
            raise FileNotFoundError(
                f"{self.folder.list_file} is not the list that process 0 has written; "
                "--output must be a folder that all machines share"
            )
        return paths

    def _work(self, paths: PathList, todo: np.ndarray, attempt: int) -> None:
        writer = RecordWriter(self.folder.part(attempt, self.rank.index, self.rank.world))
        claimed: deque[int] = deque()

        def claims() -> Iterator[str]:
            while (number := self.board.claim()) < len(todo):
                claimed.append(int(todo[number]))
                yield paths[claimed[-1]]

        names = self.predictor.class_names
        for prediction in self.predictor.stream(claims()):
            if prediction.instances is None:
                record: dict[str, Any] = {"file": prediction.path, "error": prediction.error}
                self.status.broken += 1
            else:
                result = ImageResult.from_instances(prediction.path, 0, prediction.instances)
                record = result.entry(names)
            writer.write(claimed.popleft(), record)
            self.status.done += 1
        writer.close()
        self.status.cuts = [dataclasses.asdict(cut) for cut in self.predictor.take_cuts()]

    def _conclude(self, paths: PathList, statuses: Sequence[Status]) -> int:
        for index, status in enumerate(statuses):
            print(_summary(index, len(statuses), status))
        for cut in sum_cuts(Cut(**fields) for status in statuses for fields in status.cuts):
            print(f"detect.py: warning: {cut}", file=sys.stderr)
        records = self.folder.records()
        missing = np.flatnonzero(~records.found)
        if len(missing):
            print(
                f"detect.py: {len(missing)} of {len(paths)} images are missing, the first "
                f"{paths[int(missing[0])]}; --resume does them",
                file=sys.stderr,
            )
            return INCOMPLETE
        return self._merge(records)

    def _merge(self, records: Records) -> int:
        options = self.options
        outputs = (options.json_file, options.csv_file, options.coco_file)
        files = ResultFiles(self.predictor.class_names, self.category_ids, *outputs)
        totals: Totals = merge_records(self.folder, records, files, self._image_ids)
        for reason in totals.reasons:
            print(f"skipped: {reason}", file=sys.stderr)
        print(f"{totals.images} images, {totals.broken} broken, {totals.detections} detections")
        if totals.images > totals.broken and not totals.detections:
            print(nothing_found(options.threshold, self.predictor.class_names))
        for path in (self.folder.detections_file, *outputs):
            if path:
                print(f"wrote {path}")
        return BROKEN if totals.broken else GOOD


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _summary(index: int, world: int, status: Status) -> str:
    rate = status.done / status.seconds if status.seconds else 0.0
    end = "" if status.state == ranks.FINISHED else f"; {status.state}"
    return (
        f"process {index} of {world}: {status.done} images in {status.seconds:.1f} s, "
        f"{rate:.2f} images/s{end}"
    )
