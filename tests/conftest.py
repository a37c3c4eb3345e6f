"""Shared fixtures: a tiny dataset in the challenge's layout and a model small enough for it."""

import dataclasses
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import smallobj  # isort: skip  (first: makes Detectron2 import)

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.layers import FrozenBatchNorm2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from smallobj import load_config
from smallobj.checkpoint import save_weights
from smallobj.data.datasets import unregister_dataset
from smallobj.modeling import build_model

pytest_plugins = ["tests.processor_time"]

REPOSITORY = Path(smallobj.__file__).parent.parent
# Tests run beside each other; threads of one would only take from the others.
torch.set_num_threads(1)
cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds configs/, train_net.py and the package."""
    return REPOSITORY


@pytest.fixture(scope="session")
def load_script() -> Callable[[str | Path], Any]:
    """``load_script("tools/plan.py")``: a file of the repository as a new module."""

    def load(path: str | Path) -> Any:
        spec = importlib.util.spec_from_file_location(Path(path).stem, REPOSITORY / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def run_script(load_script, monkeypatch, catalog, capsys) -> Callable[..., tuple[int, str]]:
    """``run_script("train_net.py", *words)``: a command in this process, which saves the imports.

    Gives the exit status and what was written to stderr. It runs without a GPU, in the repository's
    root. What a shell would show as a traceback is an exception here.
    """
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    def run(script: str, *words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        module = load_script(script)
        status = module.cli() if hasattr(module, "cli") else module.main()
        return status, capsys.readouterr().err

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Photographs that are not in the repository."""
    place = os.environ.get("SMALLOBJ_SHARED_DATA") or REPOSITORY.parent / "shared" / "data"
    if not os.path.isdir(place):
        pytest.skip(f"no photographs at {place}; SMALLOBJ_SHARED_DATA says where they lie")
    return Path(place)


@dataclasses.dataclass(frozen=True)
class TinyDataset:
    """Coloured squares on grey, 320 x 256: class i is drawn in ``colors[i]`` (BGR)."""

    root: Path
    names: tuple[str, ...] = ("red", "green", "blue")
    colors: tuple[tuple[int, int, int], ...] = ((0, 0, 230), (0, 200, 0), (230, 0, 0))

    def spec(self, name: str, split: str) -> str:
        return (
            f"{name}=challenge:{self.root}/{split}.json:{self.root}/{split}:{self.root}/names.txt"
        )

    def options(self, prefix: str = "squares") -> list[str]:
        """KEY VALUE pairs that train on the one split and test on the other."""
        names = [f"{prefix}_train", f"{prefix}_val"]
        specs = [self.spec(name, name.rsplit("_", 1)[1]) for name in names]
        return [
            *("DATASETS.REGISTER", repr(specs)),
            *("DATASETS.TRAIN", f"('{names[0]}',)"),
            *("DATASETS.TEST", f"('{names[1]}',)"),
        ]


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory) -> TinyDataset:
    """Six photographs to train on and three to validate; the last of each shows nothing."""
    dataset = TinyDataset(tmp_path_factory.mktemp("squares"))
    rng = np.random.default_rng(7)
    layout = {"size": (256, 320), "columns": 3, "step": (100, 120), "start": 10, "sides": (12, 40)}
    write_squares(dataset, "train", [3] * 5 + [0], rng, **layout)
    write_squares(dataset, "val", [3, 3, 0], rng, **layout)
    return dataset


def write_squares(
    dataset: TinyDataset,
    split: str,
    counts: Sequence[int],
    rng: np.random.Generator,
    *,
    size: tuple[int, int],
    columns: int,
    step: tuple[int, int],
    start: int,
    sides: tuple[int, int],
) -> None:
    """A split's photographs, labels and names.

    Args:
        counts: squares in each photograph, one in a cell of a grid, so that none covers another.
        size: (h, w) of the photographs.
        columns, step: of the grid, and from cell to cell (x, y).
        start: what a square lies right of and below its cell's corner at least; up to 50 px.
        sides: from, and less than.
    """
    (dataset.root / split).mkdir()
    (dataset.root / "names.txt").write_text("\n".join(dataset.names))
    labels: dict[str, list] = {}
    for number, count in enumerate(counts):
        image = np.full((*size, 3), 110, np.uint8)
        boxes = labels[f"{number}.jpg"] = []
        for cell in rng.permutation(columns * (size[0] // step[1]))[:count]:
            category, side = len(boxes) % 3, int(rng.integers(*sides))
            corner = np.array([cell % columns * step[0], cell // columns * step[1]])
            x, y = (rng.integers(start, 50, 2) + corner).tolist()
            image[y : y + side, x : x + side] = dataset.colors[category]
            boxes.append([category, x, y, side, side])
        path = str(dataset.root / split / f"{number}.jpg")
        cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    (dataset.root / f"{split}.json").write_text(json.dumps(labels))


@pytest.fixture(scope="session")
def many_squares(tmp_path_factory) -> TinyDataset:
    """Split "val": photographs of 440 x 400, two with 25 squares of 8 to 20 px, one with none."""
    dataset = TinyDataset(tmp_path_factory.mktemp("many_squares"))
    layout = {"size": (400, 440), "columns": 5, "step": (85, 78), "start": 0, "sides": (8, 21)}
    write_squares(dataset, "val", [25, 25, 0], np.random.default_rng(4), **layout)
    return dataset


@pytest.fixture
def catalog():
    """Datasets that a test registers are forgotten afterwards."""
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        unregister_dataset(name)
        if name in DatasetCatalog.list():
            DatasetCatalog.remove(name)


TINY_CONFIG = REPOSITORY / "configs" / "quick" / "cascade_tiny.yaml"


@pytest.fixture(scope="session")
def tiny_config():
    """Reads configs/quick/cascade_tiny.yaml with 3 classes and the given KEY VALUE pairs."""

    def make(*options):
        words = [str(option) for option in options]
        return load_config(str(TINY_CONFIG), ["MODEL.ROI_HEADS.NUM_CLASSES", "3", *words])

    return make


@pytest.fixture(scope="session")
def save_untrained(tiny_config):
    """``save_untrained(folder, *options)``: config.yaml, as training writes it, and weights in
    model.safetensors for the classes red, green and blue; gives the config."""

    def save(folder, *options):
        classes = ("MODEL.CLASS_NAMES", ["red", "green", "blue"])
        cfg = tiny_config(*classes, "DATASETS.TRAIN", (), "DATASETS.TEST", (), *options)
        (folder / "config.yaml").write_text(cfg.dump())
        torch.manual_seed(0)
        save_weights(build_model(cfg), folder / "model.safetensors")
        return cfg

    return save


@pytest.fixture(scope="session")
def with_statistics():
    """``with_statistics(model)``: the model for tests, with random numbers in its BatchNorms."""

    def fill(model):
        for module in model.modules():
            if isinstance(module, _BatchNorm | FrozenBatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
        return model.eval()

    return fill
