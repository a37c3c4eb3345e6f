"""Speed and AP50 of the same weights: this project, SAHI and whole images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from detectron2.data import DatasetCatalog
from tqdm import tqdm

from benchmarks.arithmetic import count_focus_flops, count_stage_flops, watch_work
from benchmarks.pairing import Timing, time_in_turns
from benchmarks.report import Cell, Report, Table, describe_machine, seconds_of
from benchmarks.rivals import ENTRIES, Rival, Settings, build_rivals
from smallobj.data.datasets import resolve_num_classes
from smallobj.data.image_file import read_image
from smallobj.evaluation.evaluators.coco import FastCOCOEvaluator
from smallobj.evaluation.reading.ground_truth import labelled_set, read_ground_truth
from smallobj.evaluation.reading.tables import DetectionTable

# Rows to which all rows are compared, if they are present.
_BASES = {"sahi": "x SAHI", "whole": "x whole", "whole-800": "x whole at 800"}


def time_rivals(
    rivals: dict[str, Rival], paths: Sequence[str], runs: int, from_memory: bool
) -> list[Timing]:
    """Times all rivals on the same images, in turns.

    Args:
        rivals: by name.
        paths: image files; each run processes all of them.
        runs: number of rounds.
        from_memory: decode the images before the clock starts.
    """
    images = [read_image(path) for path in paths] if from_memory else []

    def job(rival: Rival) -> Callable[[], int]:
        if from_memory:
            arrays = [rival.prepare(image) for image in images]
            return lambda: _drain(rival.detect_arrays(arrays))
        return lambda: _drain(rival.detect_files(paths))

    return time_in_turns({name: job(rival) for name, rival in rivals.items()}, runs)


def _drain(results: Iterable[Any]) -> int:
    return sum(1 for _ in results)


def measure_ap50(rival: Rival, dataset_name: str, most_images: int) -> float:
    """COCO's AP50 in percent on the first images of a dataset.

    Args:
        rival: the detector; at most 100 detections per image and class are evaluated.
        dataset_name: a registered dataset with labels.
        most_images: number of images.

    Raises:
        ValueError: the dataset has no labels.
    """
    if read_ground_truth(dataset_name) is None:
        raise ValueError(f"{dataset_name} has no labels, so there is no AP50")
    evaluator = FastCOCOEvaluator(dataset_name)
    records = DatasetCatalog.get(dataset_name)[:most_images]
    detections = {}
    results = rival.detect_files([record["file_name"] for record in records])
    bar = tqdm(
        zip(records, results, strict=True),
        total=len(records),
        unit="image",
        leave=False,
        disable=None,
    )
    for record, result in bar:
        instances = rival.instances(result, (record["height"], record["width"])).to("cpu")
        detections[record["image_id"]] = DetectionTable.single_image(
            instances.pred_boxes.tensor.numpy(),
            instances.scores.numpy(),
            instances.pred_classes.numpy(),
        )
    data = labelled_set(records, evaluator.class_names).with_image_detections(detections)
    return evaluator.score(data)["bbox"]["AP50"]


def count_work(rival: Rival, path: str) -> tuple[float, float]:
    """(10⁶ pixels, 10⁹ operations) that the detector computes for one image file.

    The operations include those of the network that chooses regions, if there is one.
    """
    with watch_work(rival.detector) as work:
        _drain(rival.detect_files([path]))
    operations = sum(count_stage_flops(rival.detector).of(work).values())
    operations += count_focus_flops(getattr(rival, "chooser", None), path)
    return work.pixels / 1e6, operations / 1e9


def inference_table(
    title: str,
    timings: Sequence[Timing],
    work: dict[str, tuple[float, float]],
    ap50: dict[str, float],
) -> Table:
    """A table with a row for each rival: seconds per image, ratios of medians, work, AP50.

    Args:
        title: of the table.
        timings: of the rivals.
        work: result of :func:`count_work`, by name of the rival.
        ap50: in percent, by name of the rival; may be empty.
    """
    rates = {timing.name: timing.rate for timing in timings}
    bases = [name for name in _BASES if name in rates]
    rows: list[list[Cell]] = []
    for timing in timings:
        per_image = [seconds / timing.items for seconds in timing.seconds]
        row: list[Cell] = [
            ENTRIES[timing.name].title,
            1 / timing.rate,
            min(per_image),
            max(per_image),
        ]
        row += [f"{timing.rate / rates[base]:.2f}" for base in bases]
        row += [f"{number:.1f}" for number in work[timing.name]]
        if ap50:
            row.append(f"{ap50[timing.name]:.2f}")
        rows.append(row)
    headers = ["", "s per image", "fastest", "slowest", *[_BASES[name] for name in bases]]
    headers += ["Mpixel", "GFLOP", *(["AP50"] if ap50 else [])]
    return Table(title, headers, rows)


def benchmark_inference(
    names: Sequence[str],
    settings: Settings,
    paths: Sequence[str],
    runs: int,
    dataset_name: str,
    ap_images: int,
) -> Report:
    """Times rivals from files and from memory, then evaluates their detections.

    Args:
        names: of rivals.
        settings: common to all rivals.
        paths: image files for the times.
        runs: number of rounds.
        dataset_name: a registered dataset for AP50.
        ap_images: number of its images; 0: no AP50.

    Raises:
        ValueError: a rival is unknown, or the dataset has no labels.
    """
    machine = describe_machine(settings.config().MODEL.DEVICE)
    rivals, notes = build_rivals(names, settings)
    work = {name: count_work(rival, paths[0]) for name, rival in rivals.items()}
    timed = {
        title: time_rivals(rivals, paths, runs, is_memory)
        for title, is_memory in (("from file to boxes", False), ("from array to boxes", True))
    }
    ap50 = {}
    if ap_images:
        ap50 = _ap50_of(rivals, settings, dataset_name, ap_images)
        notes.append(_ap_note(dataset_name, ap_images))
    about = f"{len(paths)} images, {runs} paired runs"
    tables = [
        inference_table(f"{title}, {about}", timings, work, ap50)
        for title, timings in timed.items()
    ]
    tables[-1].notes += [
        *notes,
        "GFLOP: backbone, proposals and heads; a multiply-add counts as two",
    ]
    arguments = {**dataclasses.asdict(settings), "rows": list(rivals), "runs": runs}
    raw: dict[str, Any] = {title: seconds_of(timings) for title, timings in timed.items()}
    raw |= {"ap50": ap50, "work": work, "images a run": len(paths)}
    return Report("inference", arguments, machine, tables, raw)


def benchmark_accuracy(
    names: Sequence[str], settings: Settings, dataset_name: str, ap_images: int
) -> Report:
    """AP50 only; arguments as in :func:`benchmark_inference`."""
    machine = describe_machine(settings.config().MODEL.DEVICE)
    rivals, notes = build_rivals(names, settings)
    ap50 = _ap50_of(rivals, settings, dataset_name, ap_images)
    rows: list[list[Cell]] = []
    for name, score in ap50.items():
        row: list[Cell] = [ENTRIES[name].title, f"{score:.2f}"]
        row += [f"{score - ap50[base]:+.2f}" for base in _BASES if base in ap50]
        rows.append(row)
    headers = ["", "AP50", *[f"against {base}" for base in _BASES if base in ap50]]
    table = Table(_ap_note(dataset_name, ap_images), headers, rows, notes)
    arguments = {**dataclasses.asdict(settings), "dataset": dataset_name, "images": ap_images}
    return Report("accuracy", arguments, machine, [table], {"ap50": ap50})


def _ap50_of(
    rivals: dict[str, Rival], settings: Settings, dataset_name: str, ap_images: int
) -> dict[str, float]:
    # The dataset numbers its classes as the model does.
    resolve_num_classes(settings.config("TEST.COMMON_CLASSES_ONLY", "False"), [dataset_name])
    return {name: measure_ap50(rival, dataset_name, ap_images) for name, rival in rivals.items()}


def _ap_note(dataset_name: str, ap_images: int) -> str:
    count = min(ap_images, len(DatasetCatalog.get(dataset_name)))
    return f"AP50 on the first {count} images of {dataset_name}, at most 100 boxes per class"
