"""Time of mergers on random detections."""

from __future__ import annotations

from collections.abc import Callable

import torch
from detectron2.structures import Boxes, Instances

from benchmarks.pairing import Timing, time_in_turns
from smallobj.config import get_cfg
from smallobj.merging import build_merger

# By name in the tables: options on top of the default config.
MERGERS: dict[str, list[str]] = {
    "nms": ["TEST.MERGER.NAME", "nms"],
    "nmm": ["TEST.MERGER.NAME", "nmm"],
    "vote": ["TEST.MERGER.NAME", "vote"],
    "soft_vote": ["TEST.MERGER.NAME", "soft_vote"],
    "soft_nms, linear": ["TEST.MERGER.NAME", "soft_nms", "TEST.MERGER.DECAY", "linear"],
    "soft_nms, gaussian": ["TEST.MERGER.NAME", "soft_nms", "TEST.MERGER.DECAY", "gaussian"],
    "wbf": ["TEST.MERGER.NAME", "wbf"],
}


def make_boxes(count: int, image_size: tuple[int, int], seed: int, classes: int = 30) -> Instances:
    """Random detections of a crowded image before merging: 1 to 8 noisy boxes on each object.

    The sides of objects are 10 to 100 px; objects can overlap. The centre of a box is off by a
    tenth of the object's sides, its sides by 15% (standard deviations). It has the object's class.

    Args:
        count: number of boxes, N.
        image_size: (h, w).
        seed: of the random generator.
        classes: number of classes.

    Returns:
        N instances with pred_boxes, scores and pred_classes, in random order.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    height, width = image_size
    looks = torch.randint(1, 9, (count,), generator=generator)
    owner = torch.repeat_interleave(torch.arange(count), looks)[:count]
    owner = owner[torch.randperm(count, generator=generator)]
    sides = (10 + 90 * uniform(count, 2))[owner]
    centres = (uniform(count, 2) * torch.tensor([width, height]))[owner]
    centres = centres + normal(count, 2) * sides / 10
    half = sides * torch.exp(0.15 * normal(count, 2)) / 2
    instances = Instances(image_size)
    instances.pred_boxes = Boxes(torch.cat([centres - half, centres + half], dim=1))
    instances.scores = uniform(count)[owner] * (0.3 + 0.7 * uniform(count))
    instances.pred_classes = torch.randint(classes, (count,), generator=generator)[owner]
    return instances


def merger_rivals(detections: Instances, class_agnostic: bool) -> dict[str, Callable[[], int]]:
    """Jobs for :func:`time_in_turns`: every merger on the same detections; items are boxes."""

    def rival(options: list[str]) -> Callable[[], int]:
        cfg = get_cfg()
        cfg.merge_from_list([*options, "TEST.MERGER.CLASS_AGNOSTIC", class_agnostic])
        merger = build_merger(cfg)

        def run() -> int:
            merger(detections)
            return len(detections)

        return run

    return {name: rival(options) for name, options in MERGERS.items()}


def benchmark_mergers(
    count: int, image_size: tuple[int, int], class_agnostic: bool, runs: int
) -> list[Timing]:
    """Times all mergers on one thread, in turns.

    Args:
        count, image_size: as in :func:`make_boxes`.
        class_agnostic: merge across classes.
        runs: number of rounds.
    """
    torch.set_num_threads(1)
    detections = make_boxes(count, image_size, seed=0)
    return time_in_turns(merger_rivals(detections, class_agnostic), runs)
