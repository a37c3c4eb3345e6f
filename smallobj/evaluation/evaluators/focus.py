"""How well a focus network chooses: the share of objects kept, and the share of the area read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.logger import create_small_table

from smallobj.evaluation.reading.ground_truth import read_ground_truth
from smallobj.geometry.regions import area_share, choose_regions, lies_whole_in_any

# Longer side of an object in pixels; the last bin has no upper end, the first no lower.
SIZE_BINS = {"10-20": (0, 20), "20-40": (20, 40), "40-70": (40, 70), "70+": (70, np.inf)}
# An object that ends at the very edge of a region may look cut.
SPARE = 4.0
# Thresholds that are tried, evenly spaced in log odds.
THRESHOLDS = 1 / (1 + np.exp(-np.arange(-7.0, 4.01, 0.25)))


class _Maps(NamedTuple):
    """What a FocusNet says of a photograph, as ``regions.choose_regions`` takes it."""

    heat: np.ndarray
    side: np.ndarray
    stride: int


# The maps, or the regions (T, 4) that were read.
_Choice = _Maps | np.ndarray


class _Photograph(NamedTuple):
    """A labelled photograph of (h, w) with objects (N, 4) XYXY, and what was chosen in it."""

    size: tuple[int, int]
    objects: np.ndarray
    choice: _Choice


class FocusEvaluator(DatasetEvaluator):
    """Objects kept, area read and regions a photograph, all in the photograph's own frame.

    An object is kept if one region holds it whole with ``SPARE`` px to spare. The area is the sum
    over all regions, overlaps counted each time, over the photograph's.
    """

    headline = "focus/saved"

    @configurable
    def __init__(
        self,
        dataset_name: str,
        *,
        threshold: float,
        windows: Sequence[int],
        margins: Sequence[int],
        max_area: float,
        keep: float,
    ) -> None:
        """
        Args:
            dataset_name: a registered dataset.
            threshold, windows, margins, max_area: as ``regions.choose_regions``.
            keep: share of objects for which a threshold is looked for.
        """
        self.dataset_name = dataset_name
        self.threshold = threshold
        self.windows = windows
        self.margins = margins
        self.max_area = max_area
        self.keep = keep
        self.logger = logging.getLogger(__name__)
        self._seen: dict[int | str, _Choice] = {}

    @classmethod
    def from_config(cls, cfg: CfgNode, dataset_name: str, output_dir: str) -> dict[str, Any]:
        choice = cfg.TEST.FOCUS
        return {
            "dataset_name": dataset_name,
            "threshold": choice.HEAT_THRESH,
            "windows": choice.WINDOWS,
            "margins": choice.MARGINS,
            "max_area": choice.MAX_AREA,
            "keep": choice.KEEP,
        }

    def reset(self) -> None:
        self._seen = {}

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Keeps the maps of each image, or the tiles that were read.

        Args:
            inputs: dicts with "image_id".
            outputs: a FocusNet's, with "focus", "side" and "stride"; or a detector's, with "tiles"
                (T, 4) XYXY, which it has read.

        Raises:
            ValueError: the model reads photographs whole.
        """
        for record, output in zip(inputs, outputs, strict=True):
            if "focus" in output:
                heat, side = (output[name].to("cpu").numpy() for name in ("focus", "side"))
                self._seen[record["image_id"]] = _Maps(heat, side, output["stride"])
            elif "tiles" in output:
                self._seen[record["image_id"]] = np.asarray(output["tiles"])
            else:
                raise ValueError(
                    'the metric "focus" needs a model that chooses what to read: a FocusNet, or '
                    "a detector with TEST.TILE.ENABLED and TEST.FOCUS.ENABLED True"
                )

    def evaluate(self) -> dict[str, dict[str, float]]:
        """{"focus": {metric: number}} on the main process, {} on the others and without labels."""
        comm.synchronize()
        gathered = comm.gather(self._seen, dst=0)
        if not comm.is_main_process():
            return {}
        seen: dict[int | str, _Choice] = {}
        for part in gathered:
            seen.update(part)
        data = read_ground_truth(self.dataset_name)
        if data is None or not seen:
            self.logger.info(f"{self.dataset_name} has no labels: nothing to evaluate")
            return {}
        images = zip(data.image_ids, data.sizes.tolist(), data.by_image(), strict=True)
        photographs = [
            _Photograph((height, width), labels.boxes[~labels.crowd], seen[image_id])
            for image_id, (height, width), (labels, _) in images
            if image_id in seen
        ]
        results = self._measure(photographs, self.threshold)
        # Regions that were read stand for one threshold; only maps can be asked for others.
        if all(isinstance(photograph.choice, _Maps) for photograph in photographs):
            results.update(self._search(photographs))
        self.logger.info("focus:\n" + create_small_table(results))
        return {"focus": results}

    def _measure(self, photographs: list[_Photograph], threshold: float) -> dict[str, float]:
        kept, sides, area, count = [], [], 0.0, 0
        for size, boxes, choice in photographs:
            if isinstance(choice, _Maps):
                regions = self._regions(size, choice, threshold)
            else:
                regions = choice
            kept.append(lies_whole_in_any(boxes, regions, size, SPARE))
            sides.append((boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0))
            area += area_share(regions, size)
            count += len(regions)
        whole, longer = np.concatenate(kept), np.concatenate(sides)
        results = {
            "kept": _percent(whole),
            "area": 100 * area / len(photographs),
            "regions": count / len(photographs),
        }
        for name, (low, high) in SIZE_BINS.items():
            results[f"kept-{name}px"] = _percent(whole[(longer >= low) & (longer < high)])
        return results

    def _regions(self, size: tuple[int, int], maps: _Maps, threshold: float) -> np.ndarray:
        return choose_regions(
            *maps,
            size,
            threshold=threshold,
            windows=self.windows,
            margins=self.margins,
            max_area=self.max_area,
        )

    def _search(self, photographs: list[_Photograph]) -> dict[str, float]:
        """The highest of THRESHOLDS that keeps enough objects, and what it costs.

        "saved", the share of the area that need not be read then, chooses the best checkpoint: 0
        where no threshold keeps enough.
        """
        name = f"{100 * self.keep:g}%"
        # From the highest: the first one that keeps enough reads least.
        for threshold in THRESHOLDS[::-1]:
            results = self._measure(photographs, float(threshold))
            if results["kept"] >= 100 * self.keep:
                return {
                    f"threshold-for-{name}": float(threshold),
                    f"area-for-{name}": results["area"],
                    # Regions overlap, so their area may exceed the image's.
                    "saved": max(100 - results["area"], 0.0),
                }
        return {"saved": 0.0}


def _percent(values: np.ndarray) -> float:
    return 100 * float(values.mean()) if len(values) else float("nan")
