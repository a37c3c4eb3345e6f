#!/usr/bin/env python
"""Measures the effect of tile edges: objects near seams against the same objects off them.

    python tools/seams.py --dataset smallobj_val --images 50 --plot output/seams.png
    python tools/seams.py --config-file output/config.yaml --weights output/model_best.pth \\
        --register "bolts=coco:bolts/val.json:bolts/images" --dataset bolts --tile 640 --grids 6

Each image is tiled with several shifted grids, so that an object lies near an edge in some of them
and away from all edges in others. Without --config-file and --weights the bundled model is used.
Exit status: 0 done, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

# benchmarks/ lies beside this folder and is not part of the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from smallobj.command_line import HelpWithDefaults, check_detector_options, files_read, run_command
from smallobj.whole_file import check_outputs, require_writable, write_whole

# The names in benchmarks.seams.VARIANTS, whose import is slow; the seam rule is first.
VARIANT_NAMES = ("seam rule", "NMS alone", "NMS by IoS", "NMM by IoS")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument("--config-file", metavar="FILE", help="config (default: the bundled one)")
    parser.add_argument("--weights", metavar="FILE", help="short for --opts MODEL.WEIGHTS FILE")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is a GPU)")
    parser.add_argument("--dataset", required=True, metavar="NAME", help="dataset with labels")
    parser.add_argument("--register", metavar="SPEC", help="NAME=FORMAT:ANNOTATIONS:IMAGES")
    parser.add_argument("--images", type=int, default=50, help="maximum number of images (50)")
    parser.add_argument("--grids", type=int, default=4, help="grids per image (4)")
    parser.add_argument("--tile", type=int, help="side of a tile (the config's TEST.TILE.SIZE)")
    parser.add_argument(
        "--overlap", type=int, help="overlap of tiles (the config's TEST.TILE.OVERLAP)"
    )
    score_help = "lowest score that counts, 0 to 1 (0.3)"
    parser.add_argument("--confidence-threshold", type=float, default=0.3, help=score_help)
    class_help = "merge and measure as if all classes were one"
    parser.add_argument("--any-class", action="store_true", help=class_help)
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--plot", metavar="FILE.png", help="write close-ups of the worst cases")
    variant_help = "variant that --plot shows (seam rule)"
    parser.add_argument(
        "--plot-variant", choices=VARIANT_NAMES, default=VARIANT_NAMES[0], help=variant_help
    )
    opts_help = "config KEY VALUE pairs; comes last"
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help=opts_help)
    return parser


def run(args: argparse.Namespace) -> None:
    """Reads, prints and writes."""
    check_detector_options(args)
    outputs = [("--json", args.json), ("--plot", args.plot)]
    inputs = files_read(args.config_file, args.weights, args.register, *args.opts[1::2])
    check_outputs(outputs, inputs)
    require_writable([path for path in (args.json, args.plot) if path])
    from tqdm import tqdm

    from benchmarks.seam_pictures import draw_cases, find_cases
    from benchmarks.seams import read_with_grids, summarize, tables
    from smallobj.data import datasets
    from smallobj.inference.detector_config import prepare_detector_config
    from smallobj.modeling.score_threshold import lower_score_threshold
    from smallobj.results.picture_files import write_picture

    opts = list(args.opts)
    for key, value in (("SIZE", args.tile), ("OVERLAP", args.overlap)):
        opts += [] if value is None else [f"TEST.TILE.{key}", value]
    cfg = prepare_detector_config(args.config_file, args.weights, args.device, opts)
    lower_score_threshold(cfg, args.confidence_threshold)
    datasets.register_from_config(cfg)
    if args.register:
        datasets.register_dataset(args.register)
    datasets.check_datasets(cfg, [args.dataset])
    if not args.any_class:
        datasets.resolve_num_classes(cfg, [args.dataset])
    start = time.monotonic()
    stream = read_with_grids(cfg, args.dataset, args.images, args.grids, args.any_class)
    readings = list(tqdm(stream, unit="grid"))
    figures = summarize(readings, args.confidence_threshold)
    for table in tables(figures):
        print(f"\n{table.text()}")
    print(f"\n{len(readings)} readings in {time.monotonic() - start:.0f} s")
    if args.json:
        settings = {key: value for key, value in vars(args).items() if value is not None}
        content = {"settings": settings, "tile": dict(cfg.TEST.TILE), "variants": figures}
        write_whole(args.json, json.dumps(content, indent=1).encode())
        print(f"wrote {args.json}")
    if args.plot:
        cases = find_cases(readings, args.plot_variant, args.confidence_threshold)
        if cases:
            names = ["object"] if args.any_class else list(cfg.MODEL.CLASS_NAMES)
            sheet = draw_cases(cases, args.plot_variant, args.confidence_threshold, names)
            write_picture(args.plot, sheet)
        print(f"wrote {args.plot}" if cases else "no object fares worse near a seam: no picture")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("seams.py", partial(run, build_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
