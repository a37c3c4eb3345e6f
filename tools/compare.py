#!/usr/bin/env python
"""Says whether detections B are better than A, by how much, and with what confidence.

    python tools/compare.py a.json b.json --gt val.json
    python tools/compare.py a.json b.json --gt bolts=challenge:val_label:val_data \\
        --metric challenge_mAP50 --draws 5000 --json compared.json

Both files are evaluated on the same labels, and the images are resampled, with the same draws for
both (a paired bootstrap). Exit status: 0 compared, 2 wrong arguments, bad labels or bad results.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smallobj.checks import check_at_least, check_choice, check_not_negative
from smallobj.command_line import (
    HelpWithDefaults,
    add_label_rules,
    add_results_options,
    check_labels_and_results,
    files_read,
    label_rules,
    run_command,
)
from smallobj.whole_file import check_outputs, require_writable, write_whole

if TYPE_CHECKING:
    import numpy as np

    from smallobj.evaluation.statistics.bootstrap import Interval
    from smallobj.evaluation.statistics.comparison import PairedFigure, PairedSets
    from smallobj.evaluation.statistics.image_changes import ImageChange

_NOTE = (
    "The verdict is about {} alone. The other figures are for information: of so many, some "
    "differ at p < 0.05 by chance."
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument("a", metavar="A.json", help="detections: COCO results, or any other format")
    parser.add_argument("b", metavar="B.json", help="detections on the same images")
    truth_help = "COCO file (.json), registered dataset, or NAME=FORMAT:LABELS:IMAGES"
    parser.add_argument("--gt", required=True, metavar="LABELS", help=truth_help)
    metric_help = "the figure that the verdict is about; an unknown name lists all"
    parser.add_argument("--metric", default="AP50", help=metric_help)
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws, at least 100")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    bins_help = "default, coco, ai-tod, or bounds in px such as 10,20,40,70,100"
    parser.add_argument("--size-bins", default="default", metavar="BINS", help=bins_help)
    most_help = "most detections per image and class, the most confident (COCO's protocol: 100)"
    parser.add_argument("--max-detections", type=int, default=1000, help=most_help)
    images_help = "images to list of those that gained and of those that lost"
    parser.add_argument("--top", type=int, default=10, metavar="N", help=images_help)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures")
    add_label_rules(parser)
    classes_help = "class names of YOLO .txt results (.txt, .json or data.yaml); default: "
    classes_help += "classes.txt beside them, else the labels' classes in their order"
    parser.add_argument("--classes", metavar="FILE", default="", help=classes_help)
    add_results_options(parser)
    return parser


def compare(args: argparse.Namespace) -> None:
    """Reads, prints and writes."""
    check_at_least("--max-detections", args.max_detections, 1)
    check_at_least("--draws", args.draws, 100)
    check_not_negative("--seed", args.seed)
    check_not_negative("--top", args.top)
    check_labels_and_results(args.gt, args.a, args.b, classes=args.classes)
    check_outputs([("--json", args.json)], files_read(args.gt, args.a, args.b, args.classes))
    require_writable([str(args.json)] if args.json else [])
    from smallobj.data.labels.policy import Policy
    from smallobj.evaluation.metrics.matching import limit_warning
    from smallobj.evaluation.metrics.size_bins import parse_size_bins
    from smallobj.evaluation.reading.load import read_detections, read_labels
    from smallobj.evaluation.statistics.bootstrap import draws_without
    from smallobj.evaluation.statistics.comparison import PairedSets
    from smallobj.evaluation.statistics.image_changes import image_changes, image_counts
    from smallobj.formats.detections.results_options import ResultsOptions

    truth = read_labels(args.gt, policy=Policy.of(label_rules(args), args.max_outside))
    options = ResultsOptions.of(args)
    a, b = (
        truth.data.with_detections(read_detections(path, truth, options))
        for path in (args.a, args.b)
    )
    most = args.max_detections
    for path, data in ((args.a, a), (args.b, b)):
        warning = limit_warning(data, most, "--max-detections")
        if warning:
            print(f"compare.py: warning: {path}: {warning}", file=sys.stderr)
    bins = parse_size_bins(args.size_bins)
    pair = PairedSets(a, b, bins=bins, max_detections=most, draws=args.draws, seed=args.seed)
    check_choice("--metric", args.metric, pair.a.keys)
    figures = [pair.figure(key) for key in pair.a.keys]
    headline = next(figure for figure in figures if figure.key == args.metric)
    verdict = pair.verdict(headline)
    missing = draws_without(a, pair.weights)
    counts = image_counts(a, max_detections=most), image_counts(b, max_detections=most)
    changes = image_changes(a, *counts, most=args.top)
    _print_sets(args, pair)
    print(f"\n{_table(figures, args.metric)}\n\n{_NOTE.format(args.metric)}")
    _print_missing(pair, missing)
    shown_from = counts[0].confidence, counts[1].confidence
    _print_changes(changes, shown_from)
    print(f"\n{verdict.sentence}")
    if args.json:
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
        content = {
            "settings": settings,
            "images": len(a.image_ids),
            "verdict": verdict._asdict(),
            "figures": {figure.key: _figure_entry(figure) for figure in figures},
            "draws_without_class": dict(zip(a.class_names, missing.tolist(), strict=True)),
            "shown_from": dict(zip("AB", shown_from, strict=True)),
            "gained": [change._asdict() for change in changes[0]],
            "lost": [change._asdict() for change in changes[1]],
        }
        text = json.dumps(_finite(content), indent=1, ensure_ascii=False)
        write_whole(str(args.json), text.encode())
        print(f"wrote {args.json}")


def _print_sets(args: argparse.Namespace, pair: PairedSets) -> None:
    import numpy as np

    data = pair.a.data
    bare = len(data.image_ids) - len(np.unique(data.labels.images))
    print(f"{len(data.image_ids)} images, {bare} of them without labels; {pair.draws} draws")
    for name, path, one in (("A", args.a, pair.a.data), ("B", args.b, pair.b.data)):
        seen = len(np.unique(one.detections.images))
        print(f"{name}: {path}, {len(one.detections)} detections on {seen} images")


def _table(figures: list[PairedFigure], metric: str) -> str:
    from tabulate import tabulate

    rows = [
        [
            ("* " if figure.key == metric else "  ") + figure.key,
            _with_ends(figure.a),
            _with_ends(figure.b),
            _with_ends(figure.difference, "+"),
            _number(figure.p, ".3g", 1),
            _number(figure.better, ".1f"),
        ]
        for figure in figures
    ]
    headers = ["percent", "A (95% interval)", "B", "B - A", "p", "draws B is better in, %"]
    return tabulate(rows, headers, disable_numparse=True)


def _with_ends(one: Interval, sign: str = "") -> str:
    value, low, high = (_number(x, sign + ".1f") for x in (one.value, one.low, one.high))
    return f"{value} ({low} to {high})" if value != "-" else value


def _number(value: float, form: str, scale: float = 100) -> str:
    return "-" if math.isnan(value) else format(value * scale, form)


def _print_missing(pair: PairedSets, missing: np.ndarray) -> None:
    names = pair.a.data.class_names
    some = [
        f"{name} ({count})"
        for name, count in zip(names, missing.tolist(), strict=True)
        if 0 < count < pair.draws
    ]
    if some:
        print(f"Draws without a label of a class leave it out of the means: {', '.join(some)}.")


def _print_changes(
    changes: tuple[list[ImageChange], list[ImageChange]], shown_from: tuple[float, float]
) -> None:
    from tabulate import tabulate

    for title, images in zip(("gained", "lost"), changes, strict=True):
        if not images:
            continue
        rows = [
            (f"{x.change:+d}", _from_to(x.found), _from_to(x.wrong), x.file_name) for x in images
        ]
        a, b = shown_from
        print(f"\nImages that {title} most from A to B (A shown from score {a:.3g}, B {b:.3g})")
        print(
            tabulate(rows, ["change", "found", "false positives", "image"], disable_numparse=True)
        )


def _from_to(counts: tuple[int, int]) -> str:
    return f"{counts[0]} -> {counts[1]}"


def _figure_entry(one: PairedFigure) -> dict[str, Any]:
    parts = one._asdict()
    for name in ("a", "b", "difference"):
        parts[name] = getattr(one, name)._asdict()
    return parts


def _finite(value: Any) -> Any:
    """The same with null for what JSON doesn't have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("compare.py", partial(compare, build_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
