#!/usr/bin/env python
"""Measures speed, accuracy and memory; speeds are ratios of medians over paired runs.

python tools/benchmark.py mapper
python tools/benchmark.py inference --input photos/ --ap-images 200 --json output/inference.json
python tools/benchmark.py accuracy --ap-images 200
python tools/benchmark.py merging
python tools/benchmark.py arithmetic
python tools/benchmark.py memory
python tools/benchmark.py evaluation
python tools/benchmark.py show output/inference.json

SAHI and supervision are included if installed: pip install -r requirements-benchmark.txt
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# benchmarks/ lies beside this folder and is not part of the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from smallobj.command_line import HelpWithDefaults, check_config_options, run_command
from smallobj.image_paths import find_images

if TYPE_CHECKING:
    from benchmarks.report import Report
    from benchmarks.rivals import Settings

_SAMPLES = Path(__file__).resolve().parent.parent / "datasets" / "samples"
SAMPLES = f"samples=challenge:{_SAMPLES}/labels.json:{_SAMPLES}"
OURS = ("ours-float32", "ours", "focus")
# The names in benchmarks.rivals.ENTRIES, whose import is slow.
ROWS = (
    *("sahi", "sahi-mixed", "sahi-slices", "sahi-greedynmm", "sahi-native", "sahi-800"),
    *("whole", "whole-mixed", "whole-800"),
    *OURS,
)


def mapper(args: argparse.Namespace) -> None:
    """Time the training mapper against Detectron2's."""
    from detectron2.data import DatasetCatalog

    from benchmarks.mapper import benchmark_mapper
    from smallobj.data import datasets

    spec = datasets.parse_spec(args.register)
    datasets.register_dataset(spec)
    photographs = DatasetCatalog.get(spec.name)[: args.images]
    first = photographs[0]
    print(
        f"{len(photographs)} photographs, the first {first['width']}x{first['height']}; "
        f"tiles of {args.tile} px; {args.runs} paired runs on one thread"
    )
    stock, tiling = benchmark_mapper(photographs, args.tile, args.per_image, args.runs)
    for timing in (stock, tiling):
        print(f"{timing.name:28} {timing.rate:8.1f} tiles/s")
    print(f"{'ratio of medians':28} {tiling.rate / stock.rate:8.1f}")


def inference(args: argparse.Namespace) -> None:
    """Measure seconds per image and AP50 against SAHI and whole images."""
    images = _checked_images(args)
    from benchmarks.inference import benchmark_inference

    settings = _settings(args)
    report = benchmark_inference(
        args.rows, settings, images, args.runs, args.dataset, args.ap_images
    )
    _finish(report, args)


def accuracy(args: argparse.Namespace) -> None:
    """Measure only AP50, of the same rows."""
    check_config_options(args.config_file, args.opts)
    from benchmarks.inference import benchmark_accuracy

    _finish(benchmark_accuracy(args.rows, _settings(args), args.dataset, args.ap_images), args)


def merging(args: argparse.Namespace) -> None:
    """Time mergers on the same boxes as SAHI's and supervision's."""
    from benchmarks.merging_rivals import benchmark_merging
    from benchmarks.rivals import set_threads

    set_threads(args.threads)
    _finish(benchmark_merging(args.boxes, args.runs), args)


def evaluation(args: argparse.Namespace) -> None:
    """Time the COCO metrics against pycocotools."""
    from benchmarks.evaluation import benchmark_evaluation
    from benchmarks.rivals import set_threads

    set_threads(args.threads)
    _finish(benchmark_evaluation(args.boxes, args.per_image, args.runs), args)


def arithmetic(args: argparse.Namespace) -> None:
    """Measure the machine's operations per second, and the time of each stage of a detection."""
    images = _checked_images(args)
    from benchmarks.stages import benchmark_arithmetic

    _finish(benchmark_arithmetic(args.rows, _settings(args), images, args.runs), args)


def memory(args: argparse.Namespace) -> None:
    """Measure peak memory above the loaded model, of the rows or of a scan."""
    if args.scan:
        from benchmarks.scanning import benchmark_scan

        _finish(benchmark_scan(_settings(args), args.scan, args.scan_threshold, args.threads), args)
        return
    images = _checked_images(args)
    from benchmarks.peak_memory import benchmark_memory

    _finish(benchmark_memory(args.rows, _settings(args), images, args.threads), args)


def show(args: argparse.Namespace) -> None:
    """Print the tables of a report that --json has written."""
    from benchmarks.report import Report

    print(Report.read(args.file).text())


def _settings(args: argparse.Namespace) -> Settings:
    from benchmarks.rivals import Settings, set_threads

    set_threads(args.threads)
    return Settings(
        args.config_file,
        args.weights,
        args.device,
        opts=tuple(args.opts),
        focus_opts=tuple(args.focus_opts),
        threshold=args.threshold,
    )


def _checked_images(args: argparse.Namespace) -> list[str]:
    check_config_options(args.config_file, args.opts)
    return find_images(args.input)[: args.images]


def _finish(report: Report, args: argparse.Namespace) -> None:
    print(report.text())
    if args.json:
        report.write(args.json)


def _add_detection(command: argparse.ArgumentParser, rows: Sequence[str]) -> None:
    rows_help = "what is measured"
    command.add_argument(
        "--rows", nargs="+", default=rows, choices=ROWS, metavar="ROW", help=rows_help
    )
    command.add_argument("--input", nargs="+", default=[str(_SAMPLES)], help="images to time on")
    command.add_argument(
        "--images", type=int, default=4, help="maximum number of images to time on"
    )
    command.add_argument("--runs", type=int, default=5, help="paired runs")
    command.add_argument("--dataset", default="smallobj_val", help="labelled images for AP50")
    command.add_argument(
        "--ap-images", type=int, default=0, help="number of labelled images; 0: no AP50"
    )
    command.add_argument("--threads", type=int, default=2, help="CPU threads")
    command.add_argument("--threshold", type=float, help="lowest score (default: the config's)")
    command.add_argument("--json", metavar="FILE", help="write tables and the seconds of each run")
    command.add_argument("--config-file", help="default: the bundled model's")
    command.add_argument("--weights")
    command.add_argument("--device", help="cpu or cuda (default: cuda if there is a GPU)")
    command.add_argument("--opts", nargs="+", default=[], metavar="KEY VALUE")
    command.add_argument("--focus-opts", nargs="+", default=[], metavar="KEY VALUE")


def cli() -> int:
    """Parses arguments and runs one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("mapper", help=mapper.__doc__, formatter_class=HelpWithDefaults)
    command.add_argument("--register", default=SAMPLES, help="dataset, NAME=FORMAT:LABELS:IMAGES")
    command.add_argument("--images", type=int, default=16, help="maximum number of images")
    command.add_argument("--tile", type=int, default=512, help="side of a tile, pixels")
    command.add_argument("--per-image", type=int, default=8, help="tiles from one image")
    command.add_argument("--runs", type=int, default=7, help="paired runs")
    command.set_defaults(run=mapper)
    for run in (inference, accuracy, arithmetic, memory):
        command = commands.add_parser(
            run.__name__, help=run.__doc__, formatter_class=HelpWithDefaults
        )
        _add_detection(command, OURS if run is arithmetic else ROWS)
        command.set_defaults(run=run)
        if run is memory:
            command.add_argument("--scan", metavar="FILE", help="measure a scan of this file")
            command.add_argument(
                "--scan-threshold",
                type=float,
                default=0.5,
                metavar="SCORE",
                help="lowest score of a scan",
            )
    for run, boxes in ((merging, [5000, 33000]), (evaluation, [5000, 50000])):
        command = commands.add_parser(
            run.__name__, help=run.__doc__, formatter_class=HelpWithDefaults
        )
        command.add_argument("--boxes", type=int, nargs="+", default=boxes, help="numbers of boxes")
        command.add_argument("--runs", type=int, default=5, help="paired runs")
        command.add_argument("--threads", type=int, default=1, help="CPU threads")
        command.add_argument(
            "--json", metavar="FILE", help="write tables and the seconds of each run"
        )
        command.set_defaults(run=run)
        if run is evaluation:
            help_text = "mean detections per image"
            command.add_argument(
                "--per-image", type=int, nargs="+", default=[10, 100], help=help_text
            )
    command = commands.add_parser("show", help=show.__doc__)
    command.add_argument("file")
    command.set_defaults(run=show)
    args = parser.parse_args()
    return run_command("benchmark.py", partial(args.run, args))


if __name__ == "__main__":
    sys.exit(cli())
