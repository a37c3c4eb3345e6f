"""Renders a synthetic dataset in the challenge's layout.

    python datasets/prepare_synthetic.py --output datasets/smallobj --train 400 --val 60 --test 60

writes <output>/{train,val,test}/ with images and labels, and <output>/classes.json. The same seed
gives the same files whatever the number of workers. --sprites and --backgrounds compose real
cut-outs (PNGs with alpha) on real photographs instead of drawings on synthetic textures. --masks
adds one COCO file per split, <output>/train/train_coco.json and so on, with a mask per object.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from smallobj.command_line import HelpWithDefaults, run_command


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a size is WIDTHxHEIGHT, got {text!r}") from error
    return width, height


def get_parser() -> argparse.ArgumentParser:
    """The command's options."""
    about = (__doc__ or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(description=about, formatter_class=HelpWithDefaults)
    root = Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))
    parser.add_argument("--output", type=Path, default=root / "smallobj", help="folder to write")
    parser.add_argument("--train", type=int, default=400, help="training images")
    parser.add_argument("--val", type=int, default=60, help="validation images")
    parser.add_argument("--test", type=int, default=60, help="test images")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--size", type=_size, default="2800x2100", help="WIDTHxHEIGHT, px")
    parser.add_argument("--min-size", type=float, default=10, help="shortest object, px")
    parser.add_argument("--max-size", type=float, default=100, help="longest object, px")
    parser.add_argument("--objects-min", type=int, default=1, help="fewest objects per image")
    parser.add_argument("--objects-max", type=int, default=5, help="most objects per image")
    parser.add_argument("--quality", type=int, default=88, help="JPEG quality, 1-100")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="draw only these classes")
    parser.add_argument("--sprites", type=Path, help="folder of cut-outs instead of drawings")
    parser.add_argument("--backgrounds", type=Path, help="folder of photographs as backgrounds")
    parser.add_argument("--masks", action="store_true", help="also write COCO files with masks")
    parser.add_argument("--overwrite", action="store_true", help="replace existing splits")
    return parser


def prepare(args: argparse.Namespace) -> None:
    """Renders and writes the images and labels."""
    from smallobj.synthetic import DatasetPlan, SceneConfig, write_dataset

    scene = SceneConfig(
        height=args.size[1],
        width=args.size[0],
        objects_min=args.objects_min,
        objects_max=args.objects_max,
        min_size=args.min_size,
        max_size=args.max_size,
    )
    plan = DatasetPlan(
        output=args.output,
        counts={"train": args.train, "val": args.val, "test": args.test},
        seed=args.seed,
        workers=args.workers,
        quality=args.quality,
        scene=scene,
        sprites=args.sprites,
        classes=None if args.classes is None else tuple(args.classes),
        backgrounds=args.backgrounds,
        masks=args.masks,
    )
    write_dataset(plan, overwrite=args.overwrite)
    print(f"wrote {sum(plan.counts.values())} photographs to {args.output}")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("prepare_synthetic.py", partial(prepare, get_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
