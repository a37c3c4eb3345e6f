#!/usr/bin/env python
"""Converts labels and detections between COCO, CSV, YOLO, LabelMe, CVAT and demo.py's JSON.

    python tools/convert.py --from coco --to cvat --input train.json --output train.xml
    python tools/convert.py --from csv --to yolo --input found.csv --output found/ --images photos/

YOLO and LabelMe are folders, the others are files. docs/formats.md says what each format keeps.
Exit status: 0 converted, 1 the input breaks rules, 2 wrong arguments or nothing written.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from smallobj.checks import check_path
from smallobj.command_line import (
    HelpWithDefaults,
    add_label_rules,
    add_results_options,
    files_read,
    label_rules,
    run_command,
)
from smallobj.whole_file import check_outputs

# The names in smallobj.formats.FORMATS, whose import is slow.
WRITTEN = ("coco", "coco-results", "csv", "cvat", "json", "labelme", "yolo")
ONLY_READ = (
    *("aitod", "challenge", "dota", "labelstudio", "roboflow", "soda", "ultralytics", "visdrone"),
    *("voc", "xview"),
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument(
        "--from",
        dest="source",
        choices=(*WRITTEN, *ONLY_READ),
        required=True,
        help="format of the input",
    )
    parser.add_argument(
        "--to", dest="target", choices=WRITTEN, required=True, help="format of the output"
    )
    parser.add_argument("--input", metavar="PATH", required=True, help="file or folder to read")
    parser.add_argument("--output", metavar="PATH", required=True, help="file or folder to write")
    images_help = "folder of the images: for their sizes, and for images that a file leaves out"
    parser.add_argument("--images", metavar="FOLDER", default="", help=images_help)
    classes_help = "class names of input that has none or only some (.txt, .json, data.yaml, or a "
    classes_help += "COCO file, whose category ids are taken, too)"
    parser.add_argument("--classes", metavar="FILE", default="", help=classes_help)
    ids_help = "COCO annotation file that holds the image and category ids: needed for "
    ids_help += "coco-results; other formats get them back by name"
    parser.add_argument("--coco-images", metavar="FILE", default="", help=ids_help)
    columns_help = "what the columns of a csv of another program hold, such as "
    columns_help += "file=NAME,class=NAME,x1=NAME,y1=NAME,x2=NAME,y2=NAME (docs/formats.md)"
    parser.add_argument("--columns", metavar="LIST", default="", help=columns_help)
    split_help = "which data set of several in one place (roboflow, ultralytics), such as train"
    parser.add_argument("--split", metavar="NAME", default="", help=split_help)
    scores_help = "turn detections into labels"
    parser.add_argument("--drop-scores", action="store_true", help=scores_help)
    masks_help = "convert boxes alone, without their masks"
    parser.add_argument("--drop-masks", action="store_true", help=masks_help)
    crowd_help = "leave out crowd regions, which csv and yolo cannot mark as such"
    parser.add_argument("--drop-crowd", action="store_true", help=crowd_help)
    add_label_rules(parser)
    add_results_options(parser)
    overwrite_help = "replace existing files"
    parser.add_argument("--overwrite", action="store_true", help=overwrite_help)
    return parser


def check_target(args: argparse.Namespace) -> None:
    """Checks that nothing that is read is written, not even with --overwrite.

    Raises:
        ValueError: --output is an input.
    """
    inputs = files_read(args.input, args.classes, args.coco_images, args.images)
    outputs = [("--output", args.output)]
    if os.path.isdir(args.output):
        outputs.append(("--output", os.path.join(args.output, "classes.txt")))
        is_same = os.path.isdir(args.input) and os.path.samefile(args.input, args.output)
        if is_same and args.source == args.target:
            raise ValueError(f"--output {args.output} would replace the input {args.input}")
    check_outputs(outputs, inputs)


def convert(args: argparse.Namespace) -> int:
    """Reads the one format and writes the other; returns the exit status."""
    check_path("input", args.input)
    check_target(args)
    from smallobj.data.labels.policy import Policy
    from smallobj.data.labels.problems import DatasetError, ways_on
    from smallobj.formats import Source, Target, read_boxes, write_boxes
    from smallobj.formats.detections.results_options import ResultsOptions

    options = ResultsOptions.of(args)
    policy = Policy.of([*options.rules, *label_rules(args)], args.max_outside)
    if args.columns and args.source != "csv":
        raise ValueError(f"--columns is of the format csv; got --from {args.source}")
    source = Source(
        *(args.input, args.images, args.classes, args.coco_images),
        policy=policy,
        split=args.split,
        columns=args.columns,
        results=options,
    )
    target = Target(args.output, args.images, args.coco_images, args.overwrite)
    try:
        boxes = read_boxes(args.source, source)
        if args.drop_scores:
            boxes = boxes.without_scores()
        if args.drop_masks:
            boxes = boxes.without_masks()
        if args.drop_crowd:
            boxes = boxes.without_crowds()
        write_boxes(args.target, boxes, target)
    except DatasetError as error:
        for problem in error.problems:
            print(f"convert.py: {problem}", file=sys.stderr)
        ways = ways_on(error.problems)
        if ways:
            print(f"convert.py: to go on (--rules ...): {ways}", file=sys.stderr)
        return 1
    number = sum(len(image) for image in boxes.images)
    print(f"{len(boxes.images)} images, {number} boxes, {len(boxes.class_names)} classes")
    for line in boxes.changes.lines():
        print(f"    {line}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("convert.py", partial(convert, build_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
