"""Costs of each detector of configs/: parameters, operations, memory and time, one row each.

Each measurement runs in a new process and is written to the row's file at once. So a detector that
fails or takes too long does not affect the others, and a stopped run can be resumed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import nn
from tqdm import tqdm

from benchmarks.arithmetic import all_proposals
from benchmarks.clock import seconds_now
from benchmarks.peak_memory import measure_peak
from benchmarks.report import describe_machine
from benchmarks.rivals import set_threads
from smallobj.checkpoint import load_weights
from smallobj.config import load_config
from smallobj.costs.flops import count_flops
from smallobj.costs.separate_process import as_sentence, run_apart
from smallobj.data.build import build_test_mapper
from smallobj.data.image_file import read_image
from smallobj.inference import wrap_for_test
from smallobj.inference.tiled import TiledDetector
from smallobj.modeling import build_model
from smallobj.modeling.precision import precision_at_test, prepare_for_inference
from smallobj.whole_file import write_whole

SIDE = 512
# Number of classes, the challenge's, for configs that leave it to the data.
CLASSES = 30
_NO_DETECTORS = ("FocusNet",)

Row = dict[str, Any]


def find_detectors(folder: Path) -> list[Path]:
    """The configs of detectors in a folder, without its sub-folders, sorted by name."""
    paths = [path for path in sorted(folder.glob("*.yaml")) if not path.name.startswith("Base-")]
    return [p for p in paths if load_config(str(p)).MODEL.META_ARCHITECTURE not in _NO_DETECTORS]


@dataclasses.dataclass(frozen=True)
class Subject:
    """A detector and the image on which it is measured.

    Attributes:
        name: of the row.
        config: path of the YAML file.
        photograph: image file to run the detector on, as the config describes.
        weights: path; "": random weights.
        device: "cpu" or "cuda".
        threads: number of processor threads.
    """

    name: str
    config: str
    photograph: str
    weights: str = ""
    device: str = "cpu"
    threads: int = 1

    def read_config(self) -> CfgNode:
        """The config, with device and number of classes set."""
        cfg = load_config(self.config, ["MODEL.DEVICE", self.device])
        if not cfg.MODEL.ROI_HEADS.NUM_CLASSES:
            cfg.MODEL.ROI_HEADS.NUM_CLASSES = CLASSES
        return cfg

    def fingerprint(self) -> str:
        """A hash of everything that the measurements depend on."""
        stamp = Path(self.weights).stat().st_mtime_ns if self.weights else 0
        parts = (self.read_config().dump(), dataclasses.astuple(self), stamp)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class _Loaded:
    """A detector in this process, with the image and a crop of it.

    Attributes:
        model: the model without wrappers.
        parameters: number of its parameters, including BatchNorms that are later folded.
        wrapped: the model with wrappers, as in validation and the demo.
        item: the image as the config's mapper reads it.
        crop: SIDE x SIDE pixels of the image.
    """

    def __init__(self, subject: Subject) -> None:
        set_threads(subject.threads)
        cfg = subject.read_config()
        torch.manual_seed(0)
        self.model: nn.Module = build_model(cfg).eval()
        if subject.weights:
            load_weights(self.model, subject.weights)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        prepare_for_inference(self.model, precision_at_test(cfg))
        self.wrapped = wrap_for_test(cfg, self.model)
        self.item = build_test_mapper(cfg)({"file_name": subject.photograph})
        pixels = read_image(subject.photograph)[:SIDE, :SIDE].transpose(2, 0, 1)
        self.crop = torch.from_numpy(pixels.copy())

    def detect_crop(self) -> None:
        """One pass over SIDE x SIDE pixels."""
        height, width = _size(self.crop)
        with torch.no_grad():
            self.model([{"image": self.crop, "height": height, "width": width}])

    def detect_photograph(self) -> None:
        """Runs the detector on the decoded image."""
        with torch.no_grad():
            self.wrapped([self.item])

    def inputs(self) -> list[torch.Tensor]:
        """The inputs of the model for the image: its tiles, or the whole image as resized."""
        image = self.item["image"]
        if not isinstance(self.wrapped, TiledDetector):
            return [image]
        tiles = self.wrapped.tiles(self.item).tolist()
        return [image[:, y0:y1, x0:x1] for x0, y0, x1, y1 in tiles]


def _size(image: torch.Tensor) -> tuple[int, int]:
    """(h, w) of (C, h, w)."""
    return image.shape[-2], image.shape[-1]


def count_work(subject: Subject) -> Row:
    """Parameters and floating-point operations (a multiply-add counts as two)."""
    loaded = _Loaded(subject)
    model, inputs = loaded.model, loaded.inputs()
    examples = {_size(image): image for image in inputs}
    numbers = Counter(map(_size, inputs))
    with all_proposals(model):
        crop = count_flops(model, *_size(loaded.crop), loaded.crop)
        whole = sum(n * count_flops(model, *size, examples[size]) for size, n in numbers.items())
    return {
        "parameters": loaded.parameters,
        "flops_crop": crop,
        "flops_photograph": whole,
        "inputs": [[n, width, height] for (height, width), n in numbers.items()],
    }


def measure_memory(subject: Subject) -> Row:
    """Bytes of the process with the model loaded, and the peak above that for the image."""
    loaded = _Loaded(subject)
    peak = measure_peak(loaded.detect_photograph, subject.device)
    return {"loaded_bytes": peak.loaded, "peak_bytes": peak.gpu_above or peak.above}


def time_once(subject: Subject) -> tuple[float, float]:
    """Seconds of one pass over SIDE x SIDE pixels, after a warm-up pass, and of the image.

    On a GPU, which loads and chooses kernels at first use, the image has a warm-up pass as well.
    """
    loaded = _Loaded(subject)
    loaded.detect_crop()
    crop = _seconds(loaded.detect_crop)
    if subject.device == "cuda":
        loaded.detect_photograph()
    return crop, _seconds(loaded.detect_photograph)


def _seconds(job: Callable[[], None]) -> float:
    start = seconds_now()
    job()
    return seconds_now() - start


def measure_costs(
    subjects: Sequence[Subject], folder: Path, *, rounds: int, limit: float
) -> list[Row]:
    """Measures a row for each subject, stored in ``folder``/<name>.json, where it is missing.

    Times are taken in turns, every subject once per round, so that busy moments of the machine
    affect all alike. Measurements that failed before are repeated.

    Args:
        subjects: with different names.
        folder: for the rows; created if it does not exist.
        rounds: number of rounds of times.
        limit: time limit of one measurement in seconds.

    Returns:
        Rows with "name", "config", "weights", "fingerprint", "machine", the results of the
        functions above, "seconds" (a pair (crop, image) per round) and "failures" ({measurement:
        sentence}).

    Raises:
        ValueError: two subjects have the same name.
    """
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise ValueError(f"configs must have different names; got {names}")
    folder.mkdir(parents=True, exist_ok=True)
    files = [_RowFile(subject, folder / f"{subject.name}.json", limit) for subject in subjects]
    bar = tqdm(total=len(files) * (2 + rounds), unit="measurement", leave=False, disable=None)
    for file in files:
        for function, key in ((count_work, "parameters"), (measure_memory, "peak_bytes")):
            if key not in file.row:
                file.measure(function.__name__, function)
            bar.update()
    for number in range(rounds):
        for file in files:
            if len(file.row["seconds"]) <= number and "time_once" not in file.row["failures"]:
                file.measure("time_once", time_once)
            bar.update()
    bar.close()
    return [file.row for file in files]


class _RowFile:
    """A row and its file."""

    def __init__(self, subject: Subject, path: Path, limit: float) -> None:
        self.subject = subject
        self.path = path
        self.limit = limit
        self.row = self._fresh()
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["fingerprint"] == self.row["fingerprint"]:
                self.row = {**kept, "failures": {}}

    def _fresh(self) -> Row:
        row: Row = {"name": self.subject.name, "config": self.subject.config}
        row |= {"weights": self.subject.weights, "seconds": [], "failures": {}}
        row["machine"] = {
            **describe_machine(self.subject.device),
            "threads": self.subject.threads,
        }
        try:
            model = self.subject.read_config().MODEL
            two_stages = model.META_ARCHITECTURE == "GeneralizedRCNN"
            row["architecture"] = model.ROI_HEADS.NAME if two_stages else model.META_ARCHITECTURE
            row["fingerprint"] = self.subject.fingerprint()
        except (ValueError, OSError) as error:
            row |= {"architecture": "", "fingerprint": "", "failures": {"config": str(error)}}
        return row

    def measure(self, what: str, function: Callable[[Subject], Any]) -> None:
        """Writes a measurement, or why it failed, to the row and its file."""
        if "config" in self.row["failures"]:
            return
        try:
            result = run_apart(function, self.subject, seconds=self.limit)
        except Exception as error:
            self.row["failures"][what] = as_sentence(error)
        else:
            if function is time_once:
                self.row["seconds"].append(list(result))
            else:
                self.row |= result
        write_row(self.path, self.row)


def write_row(path: Path, row: Row) -> None:
    """Writes the file of a row atomically."""
    write_whole(path, f"{json.dumps(row, indent=1)}\n".encode())
