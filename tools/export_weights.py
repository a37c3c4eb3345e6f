#!/usr/bin/env python
"""Exports a trained model to share: half-precision weights, which name its classes, and its config.

python tools/export_weights.py --run output --weights output/model_best.pth --output models/parts

writes models/parts.safetensors and models/parts.yaml, for `demo.py --config-file`.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from smallobj.checks import check_file
from smallobj.command_line import HelpWithDefaults, run_command
from smallobj.whole_file import check_outputs


def export(run: Path, weights: Path, output: Path) -> tuple[Path, Path]:
    """Writes OUTPUT.safetensors (float16) and OUTPUT.yaml.

    Args:
        run: OUTPUT_DIR of a training; its config.yaml describes the model.
        weights: checkpoint of that training.
        output: where to, without an ending.

    Raises:
        FileNotFoundError: there is no such run or checkpoint.
        ValueError: the checkpoint names other classes than the run's config.
    """
    check_file("config file", run / "config.yaml")
    check_file("checkpoint", weights)
    config, tensors = output.with_suffix(".yaml"), output.with_suffix(".safetensors")
    check_outputs([("--output", config), ("--output", tensors)], [run / "config.yaml", weights])
    from smallobj import get_cfg, load_config
    from smallobj.checkpoint import load_weights, read_class_names, save_weights
    from smallobj.class_names import NamedClasses
    from smallobj.data.datasets import adopt_class_names
    from smallobj.modeling import build_model

    cfg = load_config(str(run / "config.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    adopt_class_names(cfg, NamedClasses(read_class_names(weights), str(weights)))
    model = build_model(cfg)
    load_weights(model, weights)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_weights(model, tensors)
    # Paths and datasets of the training machine mean nothing elsewhere.
    fresh = get_cfg()
    cfg.MODEL.WEIGHTS = tensors.name
    cfg.MODEL.DEVICE = fresh.MODEL.DEVICE
    cfg.OUTPUT_DIR = "./output"
    cfg.DATASETS = fresh.DATASETS
    config.write_text(cfg.dump())
    return config, tensors


def write(args: argparse.Namespace) -> None:
    for path in export(args.run, args.weights, args.output):
        print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")


def cli() -> int:
    """Parses arguments and exports; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument("--run", type=Path, required=True, help="OUTPUT_DIR of the training")
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint, .pth")
    parser.add_argument("--output", type=Path, required=True, help="path without a file ending")
    args = parser.parse_args()
    return run_command("export_weights.py", partial(write, args))


if __name__ == "__main__":
    sys.exit(cli())
