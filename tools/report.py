#!/usr/bin/env python
"""Writes an HTML report of detections against labels: one file that needs no network.

    python tools/report.py --gt val.json --images photos/ --results found.json \\
        --output report.html
    python tools/report.py --gt bolts=challenge:val_label:val_data --results found.json \\
        --train output/ --output report.html

Exit status: 0 written, 2 wrong arguments, bad labels or bad results.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from smallobj.checks import check_at_least, check_not_negative
from smallobj.command_line import (
    HelpWithDefaults,
    add_label_rules,
    add_results_options,
    check_labels_and_results,
    files_read,
    label_rules,
    run_command,
)
from smallobj.whole_file import check_outputs

if TYPE_CHECKING:
    from smallobj.evaluation.reading.tables import EvaluationSet
    from smallobj.reports.build import ReportOptions


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    truth_help = "COCO file (.json), registered dataset, or NAME=FORMAT:LABELS:IMAGES"
    parser.add_argument("--gt", required=True, metavar="LABELS", help=truth_help)
    results_help = "detections: JSON, .csv, CVAT .xml, or a folder of YOLO or LabelMe files"
    parser.add_argument("--results", required=True, metavar="FILE", help=results_help)
    images_help = "images of a COCO file; without them the report shows only boxes"
    parser.add_argument("--images", metavar="FOLDER", default="", help=images_help)
    train_help = "a run's folder with its metrics.json, for training curves"
    parser.add_argument("--train", metavar="FOLDER", type=Path, help=train_help)
    parser.add_argument("--output", required=True, metavar="HTML", type=Path, help="page to write")
    parser.add_argument("--title", default="", help="title of the page; default: the results' name")
    bins_help = "default, coco, ai-tod, or bounds in px such as 10,20,40,70,100"
    parser.add_argument("--size-bins", default="default", metavar="BINS", help=bins_help)
    most_help = "most detections per image and class, the most confident (COCO's protocol: 100)"
    parser.add_argument("--max-detections", type=int, default=1000, help=most_help)
    draws_help = "bootstrap draws for the intervals; 0 leaves them out"
    parser.add_argument("--draws", type=int, default=1000, metavar="B", help=draws_help)
    tile_help = "tile and overlap of the run in px, for figures at tiles' edges; "
    tile_help += "default: those of --train's config.yaml"
    parser.add_argument("--tiles", type=int, nargs=2, metavar=("SIZE", "OVERLAP"), help=tile_help)
    items_help = "maximum number of crops per gallery"
    parser.add_argument("--gallery", type=int, default=120, metavar="N", help=items_help)
    add_label_rules(parser)
    classes_help = "class names of YOLO .txt results (.txt, .json or data.yaml); default: "
    classes_help += "classes.txt beside them, else the labels' classes in their order"
    parser.add_argument("--classes", metavar="FILE", default="", help=classes_help)
    add_results_options(parser)
    return parser


def find_intervals(
    data: EvaluationSet, options: ReportOptions, draws: int
) -> dict[str, tuple[float, float]]:
    """95 % intervals of the headline's figures over images, none without draws."""
    if not draws:
        return {}
    from smallobj.evaluation.metrics.headline import HeadlineFigures
    from smallobj.evaluation.statistics.bootstrap import headline_intervals

    figures = HeadlineFigures(data, bins=options.size_bins, max_detections=options.max_detections)
    found = headline_intervals(figures, draws=draws)
    return {key: (one.low, one.high) for key, one in found.items()}


def find_tiles(args: argparse.Namespace) -> tuple[int, int] | None:
    """Side and overlap of the tiles that the detections come from; None if unknown."""
    if args.tiles:
        return args.tiles[0], args.tiles[1]
    config = args.train / "config.yaml" if args.train is not None else None
    if config is None or not config.is_file():
        return None
    from smallobj.config import load_config

    cfg = load_config(str(config))
    # With focus the tiles differ from photograph to photograph, and resized they are others.
    if not cfg.TEST.TILE.ENABLED or cfg.TEST.FOCUS.ENABLED or cfg.INPUT.MIN_SIZE_TEST:
        return None
    return cfg.TEST.TILE.SIZE, cfg.TEST.TILE.OVERLAP


def write_report(args: argparse.Namespace) -> None:
    """Reads the files, builds the report and writes it."""
    check_at_least("--max-detections", args.max_detections, 1)
    check_at_least("--gallery", args.gallery, 1)
    check_not_negative("--draws", args.draws)
    check_labels_and_results(args.gt, args.results, classes=args.classes)
    run = [args.train / name for name in ("config.yaml", "metrics.json")] if args.train else []
    inputs = files_read(args.gt, args.results, args.classes, args.images, *run)
    check_outputs([("--output", args.output)], inputs)
    from smallobj.data.labels.policy import Policy
    from smallobj.evaluation.metrics.matching import limit_warning
    from smallobj.evaluation.metrics.size_bins import parse_size_bins
    from smallobj.evaluation.reading.load import load_evaluation_set
    from smallobj.evaluation.statistics.seam_figures import with_planned_tiles
    from smallobj.formats.detections.results_options import ResultsOptions
    from smallobj.reports.build import ReportOptions, build_report
    from smallobj.reports.page import write_page

    data = load_evaluation_set(
        args.gt,
        args.results,
        images=args.images,
        policy=Policy.of(label_rules(args), args.max_outside),
        options=ResultsOptions.of(args),
    )
    warning = limit_warning(data, args.max_detections, "--max-detections")
    if warning:
        print(f"report.py: warning: {warning}", file=sys.stderr)
    tiles = find_tiles(args)
    if tiles is not None:
        data = with_planned_tiles(data, *tiles)
    is_coco_file = args.gt.endswith(".json") and "=" not in args.gt
    options = ReportOptions(
        title=args.title or f"Evaluation of {Path(args.results).name}",
        size_bins=parse_size_bins(args.size_bins),
        max_detections=args.max_detections,
        gallery_items=args.gallery,
        with_pictures=bool(args.images) or not is_coco_file,
        draws=args.draws,
    )
    facts = [("Labels", args.gt), ("Results", args.results)]
    if args.train is not None:
        facts.append(("Training run", str(args.train)))
    if tiles is not None:
        facts.append(("Tiles", f"{tiles[0]} px, overlap {tiles[1]} px"))
    report = build_report(
        data,
        options,
        facts=facts,
        intervals=find_intervals(data, options, args.draws),
        training=args.train,
    )
    size = write_page(report, args.output)
    views = len(report.get("photographs", {}))
    print(f"wrote {args.output}: {size / 1e6:.1f} MB, {views} of {len(data.image_ids)} photographs")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("report.py", partial(write_report, build_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
