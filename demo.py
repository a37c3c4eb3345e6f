#!/usr/bin/env python
"""Detects objects in images, a video or a camera's frames.

    python demo.py --input photo.jpg
    python demo.py --input photos/ --output found/ --json found.json
    python demo.py --input 'photos/*.jpg' --config-file output/config.yaml \\
        --weights output/model_best.pth --confidence-threshold 0.3
    python demo.py --video-input film.mp4 --output found/
    python demo.py --webcam
    python demo.py --input scan.tif --json found.json --geojson found.geojson --resume

With neither --config-file nor --weights the bundled model is used. Exit status: 0 success, 1 a
broken file was skipped, 2 wrong arguments, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from functools import partial
from typing import TYPE_CHECKING

from smallobj.checks import check_file
from smallobj.command_line import (
    INTERRUPTED,
    HelpWithDefaults,
    check_detector_options,
    files_read,
    run_command,
)
from smallobj.demo.scan_options import ScanOptions
from smallobj.image_paths import describe_inputs, find_images, leave_out_pictures
from smallobj.results.drawing_options import DrawingOptions
from smallobj.whole_file import check_outputs, list_beside, require_writable

if TYPE_CHECKING:
    from smallobj.demo.run import DemoRun

DEFAULT_OUTPUT = os.path.join("output", "demo")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input",
        nargs="+",
        metavar="PATH",
        help="images, folders (with their subfolders) or quoted globs",
    )
    source.add_argument("--video-input", metavar="FILE", help="a video file")
    webcam_help = "a camera, shown in a window (default: 0)"
    source.add_argument("--webcam", nargs="?", const=0, type=int, metavar="INDEX", help=webcam_help)
    output_help = f"folder for pictures or the video, or a file for one (default: {DEFAULT_OUTPUT})"
    parser.add_argument("--output", metavar="PATH", help=output_help)
    parser.add_argument("--json", metavar="FILE", help="write detections as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write detections as CSV")
    parser.add_argument("--coco", metavar="FILE", help="write detections as COCO results")
    ids_help = "COCO annotation file whose image and category ids --coco takes, by name (default: "
    ids_help += "the image's position in the input and the class's number, both from 1)"
    parser.add_argument("--coco-images", metavar="FILE", help=ids_help)
    parser.add_argument("--config-file", metavar="FILE", help="config (default: the bundled one)")
    parser.add_argument("--weights", metavar="FILE", help="short for --opts MODEL.WEIGHTS FILE")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is a GPU)")
    score_help = "lowest score that counts, 0 to 1 (default: 0.5)"
    parser.add_argument("--confidence-threshold", type=float, default=0.5, help=score_help)
    parser.add_argument("--debug", action="store_true", help="also draw the tile grid")
    DrawingOptions.add_to(parser)
    ScanOptions.add_to(parser)
    opts_help = "config KEY VALUE pairs; comes last"
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help=opts_help)
    return parser


def detect(args: argparse.Namespace, demo_run: DemoRun, paths: list[str]) -> None:
    """Detects in image files: first those that fit into memory, then those that are scanned."""
    from smallobj.demo.images import ImageJob, detect_images
    from smallobj.demo.scans import FileScanner, choose_scans, detect_scans
    from smallobj.results.coco_ids import CocoIds
    from smallobj.results.picture_files import plan_pictures

    ids = CocoIds(args.coco_images)
    demo_run.log.category_ids = ids.category_ids(demo_run.predictor.class_names)
    folders = [path for path in args.input if os.path.isdir(os.path.expanduser(path))]
    pictures = plan_pictures(paths, args.output or DEFAULT_OUTPUT, folders)
    written = [*result_files(args), *(("--output", picture) for picture in pictures)]
    check_outputs(written, input_files(args, paths))
    jobs = list(map(ImageJob, paths, pictures, ids.image_ids(paths)))
    options = ScanOptions.of(args)
    whole, scanned = choose_scans(jobs, options)
    # Before the work: a config that can't scan is refused at once.
    scan = FileScanner(demo_run, options) if scanned else None
    if whole:
        detect_images(demo_run, whole)
    if scan:
        detect_scans(demo_run, scan, scanned)


def detect_video(args: argparse.Namespace, demo_run: DemoRun) -> None:
    """Detects in the frames of a video or of a camera."""
    from smallobj.demo.frames import detect_frames
    from smallobj.demo.video import Video, plan_video, require_display

    if args.video_input:
        with Video(args.video_input) as video:
            film = plan_video(args.video_input, args.output or DEFAULT_OUTPUT)
            check_outputs([*result_files(args), ("--output", film)], input_files(args, []))
            detect_frames(demo_run, video, film)
        return
    require_display()
    with Video(args.webcam) as video:
        output = plan_video(f"webcam_{args.webcam}", args.output) if args.output else None
        detect_frames(demo_run, video, output, in_window=True)


def _say(message: str) -> None:
    print(f"demo.py: {message}", file=sys.stderr)


def check(args: argparse.Namespace) -> list[str]:
    """The images of --input; makes the folders of what will be written.

    Raises:
        ValueError, OSError: a wrong argument, as far as it shows without torch and Detectron2.
    """
    if args.coco_images and not (args.coco and args.input):
        raise ValueError("--coco-images goes with --coco and --input")
    inputs = args.input or []
    paths = leave_out_pictures(find_images(inputs, _say), inputs, args.output or DEFAULT_OUTPUT)
    if inputs and not paths:
        raise ValueError(f"--input {' '.join(inputs)} holds only the pictures in --output")
    if found := describe_inputs(paths, inputs):
        _say(found)
    DrawingOptions.of(args)
    ScanOptions.of(args)
    check_detector_options(args)
    if args.coco_images:
        check_file("COCO annotation file", args.coco_images)
    if args.video_input:
        check_file("video file", args.video_input)
    check_outputs(result_files(args), input_files(args, paths))
    require_writable([path for _, path in result_files(args) if path])
    return paths


def result_files(args: argparse.Namespace) -> list[tuple[str, str | None]]:
    """The files that are written besides pictures, with their options."""
    files = [(f"--{name}", getattr(args, name)) for name in ("json", "csv", "coco", "geojson")]
    return [*files, ("--csv", args.csv and list_beside(args.csv))]


def input_files(args: argparse.Namespace, paths: list[str]) -> list[str]:
    """The files that are read."""
    words = (args.video_input, args.coco_images, args.config_file, args.weights, *args.opts[1::2])
    return [*paths, *files_read(*words)]


def run(args: argparse.Namespace) -> int:
    """Detects, writes and prints; returns the exit status."""
    paths = check(args)
    from smallobj.data.image_file import quiet_decoders
    from smallobj.demo.run import DemoRun
    from smallobj.demo.table import detections_table, frames_line
    from smallobj.inference.detector_config import prepare_detector_config
    from smallobj.inference.notices import bundled_notice, device_notice
    from smallobj.inference.predictor import SmallObjectPredictor

    quiet_decoders()
    cfg = prepare_detector_config(args.config_file, args.weights, args.device, args.opts)
    device = device_notice(cfg, args.device, args.opts)
    for notice in filter(None, (bundled_notice(cfg), device)):
        print(f"demo.py: {notice}", file=sys.stderr)
    predictor = SmallObjectPredictor(cfg, args.confidence_threshold)
    demo_run = DemoRun(predictor, show_tiles=args.debug, drawing=DrawingOptions.of(args))
    interrupted = False
    try:
        if args.input:
            detect(args, demo_run, paths)
        else:
            detect_video(args, demo_run)
    except KeyboardInterrupt:
        interrupted = True
        print("demo.py: interrupted; keeping what was done so far", file=sys.stderr)
    finally:
        if demo_run.log.images or demo_run.skipped:  # else an older result is worth more
            demo_run.log.write(args.json, args.csv, args.coco)
    if not interrupted:
        demo_run.remove_progress()
    for cut in predictor.take_cuts():
        print(f"demo.py: warning: {cut}", file=sys.stderr)
    if args.input:
        print(detections_table(demo_run.log, args.confidence_threshold))
    else:
        video = args.video_input or f"webcam {args.webcam}"
        print(frames_line(demo_run.log, args.confidence_threshold, video))
    if line := demo_run.labels_line():
        print(f"demo.py: {line}", file=sys.stderr)
    for path in (*demo_run.written, *(p for p in (args.json, args.csv, args.coco) if p)):
        print(f"wrote {path}")
    return INTERRUPTED if interrupted else min(len(demo_run.skipped), 1)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = build_parser().parse_args(argv)
    # Torch warns about deprecated calls in Detectron2, which users cannot change.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch|detectron2")
    return run_command("demo.py", partial(run, args))


if __name__ == "__main__":
    sys.exit(main())
