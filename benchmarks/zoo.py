"""What each detector of configs/ costs: parameters, arithmetic, memory and time, a row each.

Each figure is taken in a fresh process and written to the row's file at once, so that a detector
that fails or takes too long costs the others nothing, and a run that is stopped can go on.
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
# Where a config leaves the number to the data: that of the challenge.
CLASSES = 30
_NO_DETECTORS = ("FocusNet",)

Row = dict[str, Any]


def find_detectors(folder: Path) -> list[Path]:
    """The configs of a folder that make a detector, by name; not those of folders in it."""
    paths = [path for path in sorted(folder.glob("*.yaml")) if not path.name.startswith("Base-")]
    return [p for p in paths if load_config(str(p)).MODEL.META_ARCHITECTURE not in _NO_DETECTORS]


@dataclasses.dataclass(frozen=True)
class Subject:
    """A detector and what it is measured on.

    Attributes:
        name: of the row.
        config: yaml file.
        photograph: image file that a detection goes through, as the config says.
        weights: "" measures with random ones.
        device: "cpu" or "cuda".
        threads: of the processor.
    """

    name: str
    config: str
    photograph: str
    weights: str = ""
    device: str = "cpu"
    threads: int = 1

    def read_config(self) -> CfgNode:
        """The config, ready for a model."""
        cfg = load_config(self.config, ["MODEL.DEVICE", self.device])
        if not cfg.MODEL.ROI_HEADS.NUM_CLASSES:
            cfg.MODEL.ROI_HEADS.NUM_CLASSES = CLASSES
        return cfg

    def fingerprint(self) -> str:
        """Changes with all that the figures depend on."""
        stamp = Path(self.weights).stat().st_mtime_ns if self.weights else 0
        parts = (self.read_config().dump(), dataclasses.astuple(self), stamp)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class _Loaded:
    """A detector in this process, with the photograph and a crop of it.

    Attributes:
        model: bare.
        parameters: of it, those of BatchNorms that tests fold into convolutions included.
        wrapped: what validation and the demo run.
        item: the photograph as the config has it read.
        crop: SIDE x SIDE pixels of it.
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
        """From the decoded photograph to its boxes."""
        with torch.no_grad():
            self.wrapped([self.item])

    def inputs(self) -> list[torch.Tensor]:
        """What goes through the model for the photograph: its tiles, or the whole as resized."""
        image = self.item["image"]
        if not isinstance(self.wrapped, TiledDetector):
            return [image]
        tiles = self.wrapped.tiles(self.item).tolist()
        return [image[:, y0:y1, x0:x1] for x0, y0, x1, y1 in tiles]


def _size(image: torch.Tensor) -> tuple[int, int]:
    """(h, w)."""
    return image.shape[-2], image.shape[-1]


def count_work(subject: Subject) -> Row:
    """Parameters and floating point operations (a multiply-add is two)."""
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
    """Bytes of the process with the model loaded, and at most above that for the photograph."""
    loaded = _Loaded(subject)
    peak = measure_peak(loaded.detect_photograph, subject.device)
    return {"loaded_bytes": peak.loaded, "peak_bytes": peak.gpu_above or peak.above}


def time_once(subject: Subject) -> tuple[float, float]:
    """Seconds of one pass over SIDE x SIDE pixels, after one that doesn't count, and of the
    photograph; on a GPU, which loads and chooses its kernels by the way, that after another."""
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
    """A row for each subject, kept in ``folder``/<name>.json; what is there is not measured again.

    Times are taken in turns, every subject once a round, so that a busy moment of the machine is
    unfair to all alike. What failed before is tried again.

    Args:
        subjects: of different names.
        folder: is made if need be.
        rounds: of times.
        limit: seconds that one measurement may take.

    Returns:
        rows with "name", "config", "weights", "fingerprint", "machine", what the functions above
        give, "seconds" (one (crop, photograph) a round) and "failures" ({what: sentence}).

    Raises:
        ValueError: two subjects of one name.
    """
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise ValueError(f"configs need names of their own, got {names}")
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
    """A row and the file in which it is kept."""

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
        """Puts a figure, or why there is none, into the row and the file."""
        if "config" in self.row["failures"]:
            return
        try:
            found = run_apart(function, self.subject, seconds=self.limit)
        except Exception as error:
            self.row["failures"][what] = as_sentence(error)
        else:
            if function is time_once:
                self.row["seconds"].append(list(found))
            else:
                self.row |= found
        write_row(self.path, self.row)


def write_row(path: Path, row: Row) -> None:
    """Writes a row's file as a whole or not at all."""
    write_whole(path, f"{json.dumps(row, indent=1)}\n".encode())
