#!/usr/bin/env python
"""Detects objects in any number of images, with many processes on one or several machines.

    python tools/detect.py --input photos/ --output results/
    python tools/detect.py --input 'photos/**/*.jpg' --output results/ --num-processes 8 --resume
    torchrun --nproc_per_node 8 tools/detect.py --input list.txt --output results/

The results do not depend on the number of processes. --resume continues an interrupted run.
Exit status: 0 success, 1 some files were broken, 2 wrong arguments, 3 images are missing because a
process died, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from smallobj.checks import check_file, check_positive
from smallobj.command_line import HelpWithDefaults, check_detector_options, files_read, run_command
from smallobj.image_paths import check_inputs
from smallobj.whole_file import check_outputs


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    input_help = (
        "folders (with their subfolders), globs, images, or lists (.txt, one path per line); "
        "optional with --resume"
    )
    parser.add_argument("--input", nargs="+", metavar="PATH", default=[], help=input_help)
    output_help = "folder of this run, shared by all machines"
    parser.add_argument("--output", metavar="FOLDER", required=True, help=output_help)
    resume_help = "continue the run in the output folder, with any number of processes"
    parser.add_argument("--resume", action="store_true", help=resume_help)
    parser.add_argument("--json", metavar="FILE", help="also write what demo.py --json writes")
    parser.add_argument("--csv", metavar="FILE", help="also write detections as CSV")
    parser.add_argument("--coco", metavar="FILE", help="also write detections as COCO results")
    ids_help = "COCO annotation file whose image and category ids --coco takes, by name"
    parser.add_argument("--coco-images", metavar="FILE", help=ids_help)
    parser.add_argument("--config-file", metavar="FILE", help="config (default: the bundled one)")
    parser.add_argument("--weights", metavar="FILE", help="short for --opts MODEL.WEIGHTS FILE")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is a GPU)")
    score_help = "lowest score that counts, 0 to 1 (default: 0.5)"
    parser.add_argument("--confidence-threshold", type=float, default=0.5, help=score_help)
    processes_help = "processes on this machine (default: one per GPU, or on CPU cores / threads)"
    parser.add_argument("--num-processes", type=int, help=processes_help)
    threads_help = "threads per process on CPU (default: OMP_NUM_THREADS, or 1); results depend "
    threads_help += "on it in the last digits, so it is fixed for a run"
    threads = int(os.environ.get("OMP_NUM_THREADS", "1").split(",")[0])
    parser.add_argument("--threads", type=int, default=threads, help=threads_help)
    parser.add_argument("--num-machines", type=int, default=1, help="number of machines")
    parser.add_argument("--machine-rank", type=int, default=0, help="this machine's number, from 0")
    url_help = "tcp://HOST:PORT of machine 0, for the rendezvous"
    parser.add_argument("--dist-url", default="tcp://127.0.0.1:0", help=url_help)
    opts_help = "config KEY VALUE pairs; comes last"
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help=opts_help)
    return parser


def check(args: argparse.Namespace) -> None:
    """What a run would say of its arguments, before anything heavy is imported.

    Raises:
        FileNotFoundError, ValueError: a file that isn't there, or another wrong argument.
    """
    check_positive("--threads", args.threads)
    check_detector_options(args)
    if args.coco_images and not args.coco:
        raise ValueError("--coco-images goes with --coco")
    if args.coco_images:
        check_file("COCO annotation file", args.coco_images)
    check_inputs(args.input)
    outputs = [(f"--{name}", getattr(args, name)) for name in ("json", "csv", "coco")]
    words = (args.coco_images, args.config_file, args.weights, *args.input, *args.opts[1::2])
    check_outputs(outputs, files_read(*words))


def detect(args: argparse.Namespace) -> int:
    """Runs this machine's share of the images; returns the exit status."""
    by_torchrun = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    if not by_torchrun and args.num_machines == 1:  # else the others would wait for this one
        check(args)
    from smallobj.bulk import BulkOptions, Rank, launch, run_rank

    options = BulkOptions(
        output=args.output,
        inputs=args.input,
        config_file=args.config_file,
        weights=args.weights,
        device=args.device,
        opts=args.opts,
        threads=args.threads,
        threshold=args.confidence_threshold,
        resume=args.resume,
        json_file=args.json,
        csv_file=args.csv,
        coco_file=args.coco,
        coco_images=args.coco_images,
    )
    if by_torchrun:
        return run_rank(options, Rank.from_environment())
    processes = args.num_processes
    if processes is None:
        processes = default_processes(args.device, args.threads)
    machines = (args.num_machines, args.machine_rank, args.dist_url)
    return launch(run_rank, options, processes, *machines)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("detect.py", partial(detect, build_parser().parse_args(argv)))


def default_processes(device: str | None, threads: int) -> int:
    """One for each GPU, or as many as there are cores for."""
    import torch

    from smallobj.bulk.run import available_cores

    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.device_count() if device in (None, "cuda") else 1
    return max(available_cores() // max(threads, 1), 1)


if __name__ == "__main__":
    sys.exit(main())
