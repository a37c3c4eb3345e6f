"""Converts the Penn-Fudan pedestrians, or data of the same layout, to COCO JSON with masks.

    python datasets/prepare_penn_fudan.py --root datasets/PennFudanPed

reads PNGImages/NAME.png and PedMasks/NAME_mask.png, in which each instance has its own value,
and writes train.json and test.json beside them: the last 50 images of a shuffled list are for
testing. configs/mask_rcnn_penn_fudan.yaml trains on them. The images come from
https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from smallobj.checks import check_path
from smallobj.command_line import HelpWithDefaults, run_command


def get_parser() -> argparse.ArgumentParser:
    """The command's options."""
    about = (__doc__ or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(description=about, formatter_class=HelpWithDefaults)
    folder = Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))
    parser.add_argument(
        "--root", type=Path, default=folder / "PennFudanPed", help="folder with PNGImages, PedMasks"
    )
    parser.add_argument("--output", type=Path, help="folder to write; default: --root")
    parser.add_argument("--test", type=int, default=50, help="images for testing")
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the shuffling; same seed, same split"
    )
    return parser


def prepare(args: argparse.Namespace) -> None:
    """Reads the dataset and writes one COCO file per split."""
    check_path("folder", args.root)
    from smallobj.data.datasets.penn_fudan import coco_content, list_names, split_names

    root, output = str(args.root), args.output or args.root
    train, test = split_names(list_names(root), args.test, args.seed)
    contents = {"train": coco_content(root, train), "test": coco_content(root, test)}
    output.mkdir(parents=True, exist_ok=True)
    for split, content in contents.items():
        (output / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
        images, people = len(content["images"]), len(content["annotations"])
        print(f"{output / split}.json: {images} images, {people} instances")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("prepare_penn_fudan.py", partial(prepare, get_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
