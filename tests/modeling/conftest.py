"""Synthetic tiles for tests of detectors, and training that must overfit eight of them.

Tests use the fixtures below:

    def test_it_over_fits(overfit):
        result = overfit("configs/quick/ssd_tiny.yaml", steps=200, learning_rate=0.002)
        assert result.map50 >= 0.95

test_overfitting.py has a line for each shipped detector; test_detector_contract.py finds all
configs in configs/quick/ by itself.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import smallobj  # isort: skip  (first: makes Detectron2 import)

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, ResNet
from detectron2.solver import get_default_optimizer_params
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from torch import nn

from smallobj import load_config
from smallobj.evaluation.metrics.headline import HeadlineFigures
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.modeling import build_model

REPOSITORY = Path(smallobj.__file__).parent.parent
NAMES = ("red square", "green circle", "blue square")
COLORS = ((40, 40, 220), (50, 190, 60), (220, 70, 40))  # BGR
# Numbers of objects in the tiles: one is empty, one is crowded.
COUNTS = (3, 0, 2, 9, 1, 4, 3, 2)
OPTIMIZERS = {
    "sgd": lambda params, rate: torch.optim.SGD(params, rate, momentum=0.9, weight_decay=1e-4),
    "adam": lambda params, rate: torch.optim.Adam(params, rate, fused=True),
}


@BACKBONE_REGISTRY.register()
def build_narrow_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """A ResNet-FPN with one block per stage and a quarter of the channels, for tests of heads.

    A training step takes a seventh of ResNet-18's time.
    """
    norm = cfg.MODEL.RESNETS.NORM
    channels = (32, 32, 64, 96, 128)
    stages = [
        ResNet.make_stage(
            BasicBlock,
            1,
            stride_per_block=[1 if number == 0 else 2],
            in_channels=channels[number],
            out_channels=channels[number + 1],
            norm=norm,
        )
        for number in range(4)
    ]
    return FPN(
        bottom_up=ResNet(
            BasicStem(input_shape.channels, channels[0], norm),
            stages,
            out_features=cfg.MODEL.RESNETS.OUT_FEATURES,
        ),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
    )


def _place(count: int, side: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """(x, y, side) of ``count`` objects of 12-40 px, 4 px at least between any two."""
    longest = 40 if count <= 4 else 24
    placed: list[tuple[int, int, int]] = []
    while len(placed) < count:
        s = int(rng.integers(12, longest + 1))
        x, y = rng.integers(1, side - s - 1, 2).tolist()
        if all(
            x + s + 4 <= a or a + b + 4 <= x or y + s + 4 <= c or c + b + 4 <= y
            for a, c, b in placed
        ):
            placed.append((x, y, s))
    return placed


def _draw_tile(count: int, rng: np.random.Generator, side: int = 128) -> dict[str, Any]:
    """A training input with ``count`` objects, masks as polygons: what a mapper would give."""
    coarse = rng.normal(115, 14, (side // 8, side // 8)).astype(np.float32)
    ground = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    ground = ground + rng.normal(0, 5, (side, side))
    image = np.repeat(ground[:, :, None], 3, axis=2).clip(0, 255).astype(np.uint8)
    boxes, classes, polygons = [], [], []
    for x, y, s in _place(count, side, rng):
        kind = len(boxes) % 3
        turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        circle = np.stack([x + s / 2 + s / 2 * np.cos(turns), y + s / 2 + s / 2 * np.sin(turns)], 1)
        square = np.array([[x, y], [x + s, y], [x + s, y + s], [x, y + s]], dtype=float)
        if kind == 1:
            yy, xx = np.mgrid[y : y + s, x : x + s] + 0.5
            inside = (xx - x - s / 2) ** 2 + (yy - y - s / 2) ** 2 <= (s / 2) ** 2
            image[y : y + s, x : x + s][inside] = COLORS[kind]
        else:
            image[y : y + s, x : x + s] = COLORS[kind]
        boxes.append([x, y, x + s, y + s])
        classes.append(kind)
        polygons.append([(circle if kind == 1 else square).flatten()])
    truth = Instances((side, side))
    truth.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    truth.gt_classes = torch.tensor(classes, dtype=torch.int64)
    truth.gt_masks = PolygonMasks(polygons)
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return {"image": pixels, "instances": truth, "height": side, "width": side}


@pytest.fixture(scope="session")
def draw_tile() -> Callable[..., dict[str, Any]]:
    """``draw_tile(count, rng, side=128)``: a training input with ``count`` objects."""
    return _draw_tile


def _suit(cfg: CfgNode, tiles: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tiles with masks only if the config has MODEL.MASK_ON, in INPUT.MASK_FORMAT."""
    suited = []
    for tile in tiles:
        truth = Instances(tile["instances"].image_size, **tile["instances"].get_fields())
        if not cfg.MODEL.MASK_ON:
            truth.remove("gt_masks")
        elif cfg.INPUT.MASK_FORMAT == "bitmask":
            truth.gt_masks = BitMasks.from_polygon_masks(truth.gt_masks, *truth.image_size)
        suited.append({**tile, "instances": truth})
    return suited


@pytest.fixture(scope="session")
def suit() -> Callable[..., list[dict[str, Any]]]:
    """``suit(cfg, tiles)``: the tiles as a mapper with that config would give them."""
    return _suit


@dataclasses.dataclass(frozen=True)
class Overfitted:
    """Result of a training.

    Attributes:
        map50: best COCO AP50 on the training tiles, in [0, 1].
        steps: number of steps after which it was reached.
        seconds: duration of the training.
        history: (step, map50) of each test.
        losses: losses of the last step.
        model: the model in evaluation mode.
    """

    map50: float
    steps: int
    seconds: float
    history: tuple[tuple[int, float], ...]
    losses: dict[str, float]
    model: nn.Module


def map50_of(model: nn.Module, tiles: Sequence[dict[str, Any]]) -> float:
    """COCO's AP50, in [0, 1], of a model on labelled inputs; the model keeps its mode."""
    was_training = model.training
    model.eval()
    labels, found = {}, {}
    with torch.no_grad():
        outputs = model([{k: v for k, v in tile.items() if k != "instances"} for tile in tiles])
    model.train(was_training)
    for number, (tile, output) in enumerate(zip(tiles, outputs, strict=True)):
        truth, seen = tile["instances"], output["instances"]
        labels[number] = LabelTable.single_image(
            truth.gt_boxes.tensor.numpy(),
            truth.gt_classes.numpy(),
            areas=truth.gt_boxes.area().numpy(),
        )
        found[number] = DetectionTable.single_image(
            seen.pred_boxes.tensor.numpy(), seen.scores.numpy(), seen.pred_classes.numpy()
        )
    data = EvaluationSet(
        list(labels),
        [str(number) for number in labels],
        np.array([tile["instances"].image_size for tile in tiles]),
        NAMES,
        LabelTable.from_images(labels),
        DetectionTable.from_images(found),
    )
    return float(HeadlineFigures(data).values("AP50"))


def _overfit(
    config: str,
    *,
    steps: int,
    learning_rate: float,
    optimizer: str = "adam",
    options: Sequence[Any] = (),
    batch: int = 4,
    check_every: int = 10,
    target: float = 0.95,
) -> Overfitted:
    cfg = load_config(
        str(REPOSITORY / config),
        ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3", *map(str, options)],
    )
    start = time.monotonic()
    rng = np.random.default_rng(11)
    tiles = _suit(cfg, [_draw_tile(count, rng, cfg.INPUT.TILE.SIZE) for count in COUNTS])
    torch.manual_seed(0)
    model = build_model(cfg).train()
    # The project's way: no decay of norms' weights is Detectron2's WEIGHT_DECAY_NORM.
    params = get_default_optimizer_params(model, weight_decay_norm=0.0)
    stepper = OPTIMIZERS[optimizer](params, learning_rate)
    warm = max(steps // 10, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        stepper, lambda t: min((t + 1) / warm, 0.55 + 0.45 * np.cos(np.pi * t / steps))
    )
    history: list[tuple[int, float]] = []
    with EventStorage() as storage:
        for step in range(1, steps + 1):
            # No tile is used twice before each has been used once.
            if (step - 1) * batch % len(tiles) < batch:
                order = rng.permutation(len(tiles))
            first = (step - 1) * batch % len(tiles)
            losses = model([tiles[i] for i in order[first : first + batch]])
            stepper.zero_grad()
            sum(losses.values()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            stepper.step()
            schedule.step()
            storage.step()
            if step % check_every == 0 or step == steps:
                history.append((step, map50_of(model, tiles)))
                if history[-1][1] >= target:
                    break
    best = max(history, key=lambda pair: pair[1])
    last = {name: float(loss.detach()) for name, loss in losses.items()}
    seconds = time.monotonic() - start
    return Overfitted(best[1], best[0], seconds, tuple(history), last, model.eval())


@pytest.fixture(scope="session")
def overfit() -> Callable[..., Overfitted]:
    """Trains on eight synthetic tiles and measures the AP50 on the same tiles.

    ``overfit(config, *, steps, learning_rate, optimizer="adam", options=(), batch=4,
    check_every=10, target=0.95)``:

    - config: path from the repository's root. Tiles have the side INPUT.TILE.SIZE (128 in quick/),
      show 0 to 9 red squares, green circles and blue squares of 12-40 px each on textured grey;
      with MODEL.MASK_ON they have masks.
    - steps: largest number of steps. There is a test every ``check_every`` steps, and training ends
      when it reaches ``target``.
    - learning_rate: reached after a tenth of the steps; then falls along a cosine to a tenth of it.
    - optimizer: "adam", or "sgd" with momentum 0.9. Gradients are clipped at norm 10.
    - options: KEY VALUE pairs for the config.
    - batch: number of tiles per step.

    Returns :class:`Overfitted`: map50, steps, seconds, history, losses, model. With one seed and
    one thread the result is always the same. To find a learning rate, print ``result.history``.
    """
    return _overfit


@pytest.fixture(scope="session")
def map50() -> Callable[..., float]:
    """``map50(model, tiles)``: COCO's AP50, in [0, 1], of a model on labelled inputs."""
    return map50_of
