#!/usr/bin/env python
"""Merges the results files of several models, or of several runs of one model, into one file.

    python tools/ensemble.py a.json b.json --output merged.json
    python tools/ensemble.py a.json b.json c.json --weights 2 1 1 --output merged.json
    python tools/ensemble.py a.json b.json --gt val.json --output merged.json \\
        --opts TEST.ENSEMBLE.MERGER.NAME soft_nms

The files are COCO results, the output of tools/detect.py, or the challenge's results; the output
has the format of the first file. With --gt the formats may differ, and an image or class that the
dataset lacks is an error; the labels themselves are not used. TEST.ENSEMBLE sets the merger, by
default weighted boxes fusion, which lowers the scores of objects that not all models found. Exit
status: 0 merged, 2 wrong arguments or bad results.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from smallobj.checks import check_pairs, check_positive
from smallobj.command_line import HelpWithDefaults, add_results_options, files_read, run_command
from smallobj.whole_file import check_outputs, require_writable, write_whole

if TYPE_CHECKING:
    from smallobj.evaluation.reading.tables import EvaluationSet


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument(
        "files", nargs="+", metavar="FILE.json", help="detections, one file per model"
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="file to write")
    truth_help = "COCO file (.json), registered dataset, or NAME=FORMAT:LABELS:IMAGES"
    parser.add_argument("--gt", metavar="LABELS", help=truth_help)
    weights_help = "one per file, short for TEST.ENSEMBLE.WEIGHTS (all equal)"
    parser.add_argument("--weights", nargs="+", type=float, metavar="W", help=weights_help)
    add_results_options(parser)
    opts_help = "config KEY VALUE pairs: those below TEST.ENSEMBLE, and TEST.DETECTIONS_PER_IMAGE "
    opts_help += "(1000; challenge's results: 100), the best detections kept per image; comes last"
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help=opts_help)
    return parser


def check(args: argparse.Namespace) -> None:
    """
    Raises:
        ValueError: a single file, an output in the way, or a key without a value.
    """
    if len(args.files) < 2:
        raise ValueError(f"an ensemble takes two files at least; got {len(args.files)}")
    check_outputs([("--output", args.output)], files_read(*args.files, args.gt))
    check_pairs(args.opts)
    require_writable([args.output])


def run(args: argparse.Namespace) -> None:
    """Reads, merges, writes and prints."""
    check(args)
    import numpy as np

    from smallobj.config import load_config
    from smallobj.evaluation.reading.load import read_labels
    from smallobj.evaluation.reading.results_file import read_results
    from smallobj.evaluation.results_ensemble import describe_files, merge_tables
    from smallobj.formats.detections.challenge_results import MOST_DETECTIONS
    from smallobj.formats.detections.result_kinds import CHALLENGE
    from smallobj.formats.detections.results_options import ResultsOptions
    from smallobj.merging import build_model_merger

    cfg = load_config(None, args.opts)
    if args.weights is not None:
        cfg.TEST.ENSEMBLE.WEIGHTS = tuple(args.weights)
    check_positive("TEST.DETECTIONS_PER_IMAGE", cfg.TEST.DETECTIONS_PER_IMAGE)
    merger = build_model_merger(cfg, len(args.files))
    described = describe_files(args.files)
    data, category_ids = described.data, described.category_ids
    options = ResultsOptions.of(args)
    if args.gt:
        data, category_ids = read_labels(args.gt, needs_labels=False)
    elif described.kind is None:
        raise ValueError(
            "the files must be of one kind, or --gt must say which images and classes they share"
        )
    else:
        # The ids are all that the files have in common.
        options = replace(options, image_ids="id", category_ids="id")
    tables = [read_results(path, data, category_ids, options) for path in args.files]
    for path, table in zip(args.files, tables, strict=True):
        print(f"{path}: {len(table)} detections on {len(np.unique(table.images))} images")
    seen_by = [set(table.images.tolist()) for table in tables]
    if not args.gt and len(set.union(*seen_by)) == sum(map(len, seen_by)) > 0:
        told = "no image occurs in two files; if they name the same images differently, say --gt"
        print(f"ensemble.py: {told}", file=sys.stderr)
    most = cfg.TEST.DETECTIONS_PER_IMAGE
    if described.first_kind == CHALLENGE:
        most = min(most, MOST_DETECTIONS)
    merged = merge_tables(data, tables, merger, most)
    ids = sorted(category_ids, key=category_ids.__getitem__)
    write(args.output, described.first_kind, data.with_detections(merged), ids)
    seen, images = len(np.unique(merged.images)), len(data.image_ids)
    print(f"wrote {args.output}: {len(merged)} detections on {seen} of {images} images")


def write(path: str, kind: str | None, data: EvaluationSet, category_ids: Sequence[int]) -> None:
    """Writes one of the three kinds; names and ids are those of the data set."""
    from smallobj.formats.detections.challenge_results import challenge_row
    from smallobj.formats.detections.result_kinds import CHALLENGE, OWN
    from smallobj.results import result_files

    ids: Sequence[Any] = data.image_ids
    images = [
        result_files.ImageResult(
            file, image_id, height, width, found.boxes, found.scores, found.categories
        )
        for file, image_id, (height, width), (_, found) in zip(
            data.file_names, ids, data.sizes.tolist(), data.by_image(), strict=True
        )
    ]
    if kind == CHALLENGE:
        content = {
            os.path.basename(image.file): [
                challenge_row(result["category_id"], result["bbox"], result["score"])
                for result in image.coco(range(len(data.class_names)))
            ]
            for image in images
        }
        write_whole(path, json.dumps(content).encode())
        return
    names = {"json_file": path} if kind == OWN else {"coco_file": path}
    with result_files.ResultFiles(data.class_names, category_ids, **names) as files:
        for image in images:
            files.add(image)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("ensemble.py", partial(run, build_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
