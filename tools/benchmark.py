#!/usr/bin/env python
"""Prints speeds as ratios of medians over paired runs.

python tools/benchmark.py mapper
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import smallobj  # noqa: F401  (first: makes Detectron2 import)

# isort: split
from detectron2.data import DatasetCatalog

from smallobj.benchmarks.mapper import benchmark_mapper
from smallobj.data import datasets

_SAMPLES = Path(__file__).resolve().parent.parent / "datasets" / "samples"
SAMPLES = f"samples=challenge:{_SAMPLES}/labels.json:{_SAMPLES}"


def mapper(args: argparse.Namespace) -> None:
    """The training mapper against Detectron2's."""
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


def cli() -> int:
    """Parses arguments and runs one benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("mapper", help=mapper.__doc__)
    command.add_argument("--register", default=SAMPLES, help="dataset, NAME=FORMAT:LABELS:IMAGES")
    command.add_argument("--images", type=int, default=16, help="photographs, at most")
    command.add_argument("--tile", type=int, default=512, help="side of a tile, pixels")
    command.add_argument("--per-image", type=int, default=8, help="tiles from one photograph")
    command.add_argument("--runs", type=int, default=7, help="paired runs")
    command.set_defaults(run=mapper)
    args = parser.parse_args()
    try:
        args.run(args)
    except (ValueError, FileNotFoundError) as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(cli())
