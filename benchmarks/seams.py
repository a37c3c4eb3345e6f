"""The study of seams: the same images, read with several grids and merged in several ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.structures import Instances

from benchmarks.report import Cell, Table
from smallobj.data.build import check_native_resolution, image_tensor
from smallobj.data.class_map import ClassMap
from smallobj.data.image_file import read_image
from smallobj.evaluation.metrics.seams import (
    BESIDE,
    CUT,
    NEAR,
    OFF,
    Observations,
    compare,
    join,
    observe,
)
from smallobj.evaluation.reading.ground_truth import read_ground_truth
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.geometry.tiling import plan_tiles
from smallobj.inference.model import load_model
from smallobj.inference.tiled import TiledDetector

RULE = "seam rule"
_OFF = ("TEST.TILE.SEAM_IOU", 2.0)
# Compared: the config as it is, and mergers without the rule for fragments at seams.
VARIANTS: dict[str, tuple[Any, ...]] = {
    RULE: (),
    "NMS alone": (*_OFF, "TEST.MERGER.NAME", "nms", "TEST.MERGER.METRIC", "iou"),
    "NMS by IoS": (*_OFF, "TEST.MERGER.NAME", "nms", "TEST.MERGER.METRIC", "ios"),
    "NMM by IoS": (*_OFF, "TEST.MERGER.NAME", "nmm", "TEST.MERGER.METRIC", "ios"),
}
_ZONES: dict[str, tuple[int, ...]] = {"off": (OFF,), "beside": (BESIDE,), "cut": (CUT,)}
_PAIRS: dict[str, tuple[int, ...]] = {"near": NEAR, "cut": (CUT,)}
_FIELDS = {"recall": "found", "duplicates": "duplicates"}


@dataclasses.dataclass(frozen=True)
class GridReading:
    """The detections of one image read with one grid of tiles.

    Attributes:
        file_name: path of the image.
        size: (h, w) of the image.
        photograph: index of the image.
        first_object: index of its first object among the objects of all images.
        truth: its labels.
        tiles: (T, 4) XYXY in image pixels, the tiles of the grid that were read.
        found: detections by name of the variant.
    """

    file_name: str
    size: tuple[int, int]
    photograph: int
    first_object: int
    truth: LabelTable
    tiles: np.ndarray
    found: dict[str, DetectionTable]


def shifted_plan(image_size: tuple[int, int], tile: int, overlap: int, shift: int) -> np.ndarray:
    """A grid of tiles shifted towards the top left.

    As with :func:`plan_tiles`, objects that are no longer than the overlap lie whole in some tile.
    Tiles at the left and top are smaller by ``shift``.

    Args:
        image_size: (h, w).
        tile, overlap: as in :func:`plan_tiles`.
        shift: in pixels along both axes, 0 <= shift < tile - overlap.

    Returns:
        (T, 4) int64 XYXY in image pixels.
    """
    assert 0 <= shift < tile - overlap or shift == 0
    height, width = image_size
    tiles = plan_tiles((height + shift, width + shift), tile, overlap) - shift
    return tiles.clip(0, None)


def read_with_grids(
    cfg: CfgNode, dataset_name: str, images: int, grids: int, any_class: bool = False
) -> Iterator[GridReading]:
    """Runs the detector of a config on labelled images, with several grids for each image.

    Grid i of n is shifted by i/n of the distance between tiles. Tiles are not read if they are
    further from every object than that object's longer side, since no detection in them can belong
    to an object.

    Args:
        cfg: config of the detector; its weights are loaded.
        dataset_name: a registered dataset.
        images: largest number of images.
        grids: number of grids for each image.
        any_class: merge across classes, and treat all classes as one.

    Raises:
        ValueError: fewer than one grid or image, a dataset without labels, a config that does not
            use tiles or that resizes images, or a model with fewer classes than the dataset.
    """
    _check(cfg, images, grids)
    data = read_ground_truth(dataset_name)
    if data is None:
        raise ValueError(f'dataset "{dataset_name}" has no labels: nothing to study')
    detectors = _build_detectors(cfg, any_class)
    return _read(detectors, cfg, data, images, grids, any_class)


def _check(cfg: CfgNode, images: int, grids: int) -> None:
    if min(images, grids) < 1:
        raise ValueError(
            f"at least one photograph and one grid are needed; got {images} and {grids}"
        )
    if not cfg.TEST.TILE.ENABLED:
        raise ValueError("seams need tiles: TEST.TILE.ENABLED must be True; got False")
    check_native_resolution(cfg, "seams need tiles on photographs of their own size")


def _build_detectors(cfg: CfgNode, any_class: bool) -> dict[str, TiledDetector]:
    """A tiled detector for each variant, all with the same model."""
    model = load_model(cfg)
    detectors = {}
    for name, options in VARIANTS.items():
        changed = cfg.clone()
        changed.defrost()
        changed.merge_from_list(list(options))
        changed.TEST.MERGER.CLASS_AGNOSTIC = any_class or cfg.TEST.MERGER.CLASS_AGNOSTIC
        detectors[name] = TiledDetector(changed, model)
    return detectors


def _read(
    detectors: dict[str, TiledDetector],
    cfg: CfgNode,
    data: EvaluationSet,
    images: int,
    grids: int,
    any_class: bool,
) -> Iterator[GridReading]:
    detector, objects = detectors[RULE], 0
    by_name = ClassMap(() if any_class else cfg.MODEL.CLASS_NAMES, data.class_names)
    photographs = zip(data.file_names, data.sizes.tolist(), data.by_image(), strict=True)
    for number, (file, (height, width), (truth, _)) in enumerate(islice(photographs, images)):
        size = (height, width)
        if any_class:
            truth = dataclasses.replace(truth, categories=np.zeros_like(truth.categories))
        pixels = image_tensor(read_image(file), None, cfg.INPUT.FORMAT)
        for grid in range(grids):
            shift = grid * (detector.tile - detector.overlap) // grids
            plan = shifted_plan(size, detector.tile, detector.overlap, shift)
            tiles = plan[_around(truth.boxes, plan)]
            raw = by_name(detector.tile_detections({"image": pixels, "tiles": tiles}))
            found = {name: _merged(tiled, raw, any_class) for name, tiled in detectors.items()}
            yield GridReading(file, size, number, objects, truth, tiles, found)
        objects += len(truth.boxes)


def _around(boxes: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Whether each tile, (T,) bool, is within an object's longer side of that object."""
    reach = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0)
    begins = (tiles[:, None, :2] <= boxes[:, 2:] + reach).all(axis=2)
    ends = (tiles[:, None, 2:] >= boxes[:, :2] - reach).all(axis=2)
    return (begins & ends).any(axis=1)


def _merged(detector: TiledDetector, raw: Instances, any_class: bool) -> DetectionTable:
    instances = detector.limit(detector.merge_tiles(raw)).to("cpu")
    classes = instances.pred_classes.numpy()
    return DetectionTable.single_image(
        instances.pred_boxes.tensor.numpy(),
        instances.scores.numpy(),
        np.zeros_like(classes) if any_class else classes,
    )


def observe_readings(
    readings: Iterable[GridReading], variant: str, min_score: float
) -> Observations:
    """The result for every object in every grid, with one of the VARIANTS.

    Raises:
        ValueError: there are no readings.
    """
    parts = [
        observe(
            reading.truth,
            reading.found[variant],
            reading.tiles,
            reading.size,
            min_score=min_score,
            photograph=reading.photograph,
            first_object=reading.first_object,
        )
        for reading in readings
    ]
    return join(parts)


def summarize(readings: Sequence[GridReading], min_score: float) -> dict[str, Any]:
    """All metrics of the study, as JSON values.

    Returns:
        {variant: {"zones": {zone: figures}, "pairs": {"recall near": figures, ...}}}.
    """
    return {
        variant: _summarize_one(observe_readings(readings, variant, min_score))
        for variant in VARIANTS
    }


def _summarize_one(seen: Observations) -> dict[str, Any]:
    zones = {}
    for name, numbers in _ZONES.items():
        chosen = np.isin(seen.zone, numbers)
        mean = {f: float(getattr(seen, f)[chosen].mean()) for f in ("views", "found", "duplicates")}
        zones[name] = {"times": int(chosen.sum()), **(mean if chosen.any() else {})}
    pairs = {}
    for label, field in _FIELDS.items():
        for place, numbers in _PAIRS.items():
            result = compare(seen, field, numbers)
            row = {**dataclasses.asdict(result), "difference": result.difference}
            # The mean of no objects is NaN, which JSON does not have.
            pairs[f"{label} {place}"] = row if result.objects else {"objects": 0}
    return {"zones": zones, "pairs": pairs}


def tables(figures: dict[str, Any]) -> list[Table]:
    """The result of :func:`summarize` as tables."""
    by_zone: list[list[Cell]] = []
    paired: list[list[Cell]] = []
    for variant, figure in figures.items():
        for zone, row in figure["zones"].items():
            cells = [_fixed(row.get(key)) for key in ("views", "found", "duplicates")]
            by_zone.append([variant, zone, row["times"], *cells])
        for pair, row in figure["pairs"].items():
            paired.append([variant, *pair.split(), row["objects"], *_paired_cells(row)])
    columns = ["objects", "there", "off", "difference", "95% interval", "more / fewer", "sign test"]
    return [
        Table(
            "All objects in all grids",
            ["variant", "zone", "times", "views", "recall", "duplicates"],
            by_zone,
            ["views: tiles that contain the whole object; duplicates: per object"],
        ),
        Table(
            "The same objects near seams and off them",
            ["variant", "figure", "zone", *columns],
            paired,
            [
                "near: cut by an edge or within the object's longer side of one",
                "interval: bootstrap over images; sign test: two-sided, by objects",
            ],
        ),
    ]


def _paired_cells(row: dict[str, Any]) -> list[Cell]:
    if not row["objects"]:
        return [None] * 6
    return [
        _fixed(row["near"]),
        _fixed(row["off"]),
        f"{row['difference']:+.3f}",
        f"[{row['low']:+.3f}, {row['high']:+.3f}]",
        f"{row['higher']} / {row['lower']}",
        f"{row['p_value']:.2g}",
    ]


def _fixed(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
