"""Writing a synthetic dataset to disk in the challenge's layout, with any number of processes.

The challenge's labels contain only boxes. On request, a COCO file for each split adds the masks.

Image i of split s is a pure function of (seed, s, i), so the files are byte-identical for any
number of processes. The label file of a split is written after its images, and gets its final name
only when it is complete. So a killed run leaves no labels of missing images.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from smallobj.checks import check_at_least, check_between, check_not_negative
from smallobj.synthetic.coco_labels import coco_content
from smallobj.synthetic.scene import Label, Mask, SceneConfig, render_scene
from smallobj.synthetic.sources import (
    ChosenObjects,
    CutOutObjects,
    DrawnObjects,
    GroundSource,
    ObjectSource,
    PhotographGrounds,
    TexturedGrounds,
)
from smallobj.whole_file import write_whole

SPLITS = ("train", "val", "test")
# Split and index of an image, its labels and its masks.
_Painted = tuple[str, int, list[Label], list[Mask]]


@dataclass(frozen=True)
class DatasetPlan:
    """What to render, and where to write it.

    Raises:
        ValueError: a number is out of its range.
    """

    output: Path
    counts: dict[str, int]  # images by split
    seed: int = 0
    workers: int = 1
    quality: int = 88  # of the JPEG
    scene: SceneConfig = field(default_factory=SceneConfig)
    sprites: Path | None = None
    classes: tuple[str, ...] | None = None  # None: all classes of the source
    backgrounds: Path | None = None
    masks: bool = False  # also write a COCO file for each split, with masks

    def __post_init__(self) -> None:
        unknown = set(self.counts) - set(SPLITS)
        if unknown or any(count < 0 for count in self.counts.values()):
            raise ValueError(f"counts need splits of {SPLITS} and numbers >= 0, got {self.counts}")
        if sum(self.counts.values()) == 0:
            raise ValueError("at least one image must be requested; got 0 in every split")
        check_at_least("the number of workers", self.workers, 1)
        check_not_negative("the seed", self.seed)
        check_between("the JPEG quality", self.quality, 1, 100)


def split_paths(output: Path, split: str) -> tuple[Path, Path]:
    """Image folder and label file of a split in the challenge's layout."""
    return output / split / f"{split}_data", output / split / f"{split}_label"


def coco_path(output: Path, split: str) -> Path:
    """The COCO file of a split; its images are in the split's image folder."""
    return output / split / f"{split}_coco.json"


def image_generator(seed: int, split: str, index: int) -> np.random.Generator:
    """The random generator of one image."""
    return np.random.default_rng(np.random.SeedSequence([seed, SPLITS.index(split), index]))


def _sources(plan: DatasetPlan) -> tuple[ObjectSource, GroundSource]:
    objects: ObjectSource = DrawnObjects()
    if plan.sprites is not None:
        objects = CutOutObjects(plan.sprites)
    if plan.classes is not None:
        objects = ChosenObjects(objects, plan.classes)
    grounds = TexturedGrounds() if plan.backgrounds is None else PhotographGrounds(plan.backgrounds)
    return objects, grounds


class _Painter:
    """Renders and writes single images; each process has one instance, `current`."""

    current: _Painter | None = None

    def __init__(self, plan: DatasetPlan) -> None:
        self.plan = plan
        self.objects, self.grounds = _sources(plan)

    def paint(self, task: tuple[str, int]) -> _Painted:
        split, index = task
        rng = image_generator(self.plan.seed, split, index)
        photograph = render_scene(rng, self.plan.scene, self.objects, self.grounds)
        path = split_paths(self.plan.output, split)[0] / f"{index}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, self.plan.quality]
        done, data = cv2.imencode(".jpg", photograph.image, quality)
        if not done:
            raise OSError(f"the picture could not be encoded as JPEG: {path}")
        path.write_bytes(data.tobytes())
        # The masks of a large dataset would fill the memory if kept without need.
        masks = photograph.masks if self.plan.masks else []
        return split, index, photograph.labels, masks


def _start_process(plan: DatasetPlan) -> None:
    cv2.setNumThreads(1)
    _Painter.current = _Painter(plan)


def _paint_task(task: tuple[str, int]) -> _Painted:
    assert _Painter.current is not None
    return _Painter.current.paint(task)


@contextmanager
def _painted(plan: DatasetPlan, tasks: list[tuple[str, int]]) -> Iterator[Iterable[_Painted]]:
    """Yields an iterable over the rendered images, in any order."""
    # OpenCV's thread pool must be stopped before a fork, since a child cannot join its threads.
    # The children inherit the imports and use no PyTorch, so forking is safe and fast.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        if plan.workers == 1:
            yield map(_Painter(plan).paint, tasks)
            return
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        with context.Pool(plan.workers, _start_process, (plan,)) as pool:
            yield pool.imap_unordered(_paint_task, tasks, chunksize=1)
    finally:
        cv2.setNumThreads(threads)


def _clear(plan: DatasetPlan, overwrite: bool) -> None:
    """Removes old files of the planned splits and creates their image folders.

    Raises:
        FileExistsError: a planned split exists and `overwrite` is off.
    """
    wanted = [split for split in SPLITS if plan.counts.get(split, 0)]
    there = [split for split in wanted if (plan.output / split).exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{plan.output} already holds {', '.join(there)}; "
            f"give --overwrite to replace them, or another --output"
        )
    for split in wanted:
        folder, label = split_paths(plan.output, split)
        label.unlink(missing_ok=True)
        coco_path(plan.output, split).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)


def _write_json(path: Path, content: object) -> None:
    write_whole(path, json.dumps(content, ensure_ascii=False).encode())


def _write_labels(
    plan: DatasetPlan,
    split: str,
    names: Sequence[str],
    shown: dict[int, tuple[list[Label], list[Mask]]],
) -> None:
    if plan.masks:
        size = (plan.scene.height, plan.scene.width)
        content = coco_content([(f"{i}.jpg", *both) for i, both in shown.items()], names, size)
        _write_json(coco_path(plan.output, split), content)
    _write_json(
        split_paths(plan.output, split)[1],
        {f"{i}.jpg": labels for i, (labels, _) in shown.items()},
    )


def write_dataset(plan: DatasetPlan, overwrite: bool = False, progress: bool = True) -> None:
    """Renders and writes every split of the plan, and classes.json (class names in order of id).

    Raises:
        FileExistsError: a planned split exists and `overwrite` is off.
        FileNotFoundError: the sprite or background folder does not exist.
        ValueError: a source is empty, broken or lacks a class, or objects do not fit in an image.
    """
    names = _sources(plan)[0].names
    _clear(plan, overwrite)
    tasks = [(split, i) for split in SPLITS for i in range(plan.counts.get(split, 0))]
    shown: dict[str, dict[int, tuple[list[Label], list[Mask]]]] = {split: {} for split in SPLITS}
    with _painted(plan, tasks) as painted:
        for split, index, labels, masks in tqdm(
            painted, total=len(tasks), unit="img", desc="rendering", disable=not progress
        ):
            shown[split][index] = (labels, masks)
            if len(shown[split]) == plan.counts[split]:
                _write_labels(plan, split, names, dict(sorted(shown[split].items())))
    _write_json(plan.output / "classes.json", list(names))
