"""Time that mergers take on made detections."""

from __future__ import annotations

from collections.abc import Callable

import torch
from detectron2.structures import Boxes, Instances

from benchmarks.pairing import Timing, time_in_turns
from smallobj.config import get_cfg
from smallobj.merging import build_merger

# Label in the tables: options beyond the default config.
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
    """Detections of a crowded image before merging: 1 to 8 shaky boxes on each object.

    Objects are 10 to 100 px long, anywhere in the image. A box's centre is off by a tenth of the
    object's side, its sides by 15% (standard deviations); it has the object's class.

    Args:
        count: number of boxes, N.
        image_size: (h, w).
        seed: of all chance.
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
    found = Instances(image_size)
    found.pred_boxes = Boxes(torch.cat([centres - half, centres + half], dim=1))
    found.scores = uniform(count)[owner] * (0.3 + 0.7 * uniform(count))
    found.pred_classes = torch.randint(classes, (count,), generator=generator)[owner]
    return found


def merger_rivals(found: Instances, class_agnostic: bool) -> dict[str, Callable[[], int]]:
    """Every merger on the same detections, ready for :func:`time_in_turns`; items are boxes."""

    def rival(options: list[str]) -> Callable[[], int]:
        cfg = get_cfg()
        cfg.merge_from_list([*options, "TEST.MERGER.CLASS_AGNOSTIC", class_agnostic])
        merger = build_merger(cfg)

        def run() -> int:
            merger(found)
            return len(found)

        return run

    return {name: rival(options) for name, options in MERGERS.items()}


def benchmark_mergers(
    count: int, image_size: tuple[int, int], class_agnostic: bool, runs: int
) -> list[Timing]:
    """Times all mergers on one thread, in turns.

    Args:
        count, image_size: as :func:`make_boxes`.
        class_agnostic: merge across classes.
        runs: rounds.
    """
    torch.set_num_threads(1)
    found = make_boxes(count, image_size, seed=0)
    return time_in_turns(merger_rivals(found, class_agnostic), runs)
