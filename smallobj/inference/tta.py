"""Test-time augmentation, behind Detectron2's model contract: list[dict] in, list[dict] out.

Detectron2's GeneralizedRCNNWithTTA calls the inner parts of a two-stage model. This one only calls
the model as a whole, so it also works with dense, tiled and nested detectors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import transforms as T
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.data.build import image_tensor
from smallobj.geometry.masks import CropMasks
from smallobj.inference.batching import stream_through
from smallobj.inference.tiled import image_size
from smallobj.inference.views import View, make_views, preset_views
from smallobj.merging import build_merger
from smallobj.merging.registry import Merger
from smallobj.modeling.detection_limit import DetectionLimit

Item = dict[str, Any]


class TTADetector(nn.Module):
    """Runs any detector on several views of each image and merges the detections."""

    @configurable
    def __init__(
        self, detector: Any, *, views: Sequence[View], merger: Merger, max_detections: int
    ) -> None:
        """
        Args:
            detector: in evaluation mode; takes each view as a separate image.
            views: at least one. Detections of a single view are not merged; if that view is the
                unchanged image, the detector's output is returned unchanged.
            merger: merges the boxes of all views into one per object.
            max_detections: most detections of an image.
        """
        super().__init__()
        self.detector = detector
        self.views = list(views)
        self.merger = merger
        self.limit = DetectionLimit(max_detections)
        self.train(detector.training)  # after inference this mode is restored, the model's too

    @classmethod
    def from_config(cls, cfg: CfgNode, detector: Any) -> dict[str, Any]:
        node = cfg.TEST.TTA
        return {
            "detector": detector,
            "views": preset_views(node.PRESET)
            if node.PRESET
            else make_views(node.SCALES, node.FLIPS, node.KEEP),
            "merger": build_merger(cfg, "TEST.TTA.MERGER"),
            "max_detections": cfg.TEST.DETECTIONS_PER_IMAGE,
        }

    @property
    def changes_nothing(self) -> bool:
        """Whether the only view is the unchanged image."""
        return self.views == [View()]

    @torch.no_grad()
    def forward(self, batched_inputs: list[Item]) -> list[Item]:
        """
        Args:
            batched_inputs: dicts with "image" (C, H, W), "height" and "width" of the frame in
                which boxes are returned (default: the image's), and optionally "tiles" (T, 4)
                XYXY in the image's pixels, for a tiled detector to read in every view.

        Returns:
            A dict for each image with "instances": pred_boxes, scores and pred_classes by falling
            score, at most ``max_detections``, with pred_masks (CropMasks) if all views have masks;
            and "tiles", those read in the first view, if the detector's output has them.
        """
        if self.changes_nothing:
            return self.detector(batched_inputs)
        shapes = {tuple(item["image"].shape) for item in batched_inputs}
        if len(shapes) != 1 or hasattr(self.detector, "stream"):
            return list(self.stream(batched_inputs))
        # Inputs of one shape: the same view of all of them makes a batch.
        outputs_of_inputs: list[list[Item]] = [[] for _ in batched_inputs]
        views_of_inputs = [self._view_items(item) for item in batched_inputs]
        for _ in self.views:
            batch = self.detector(list(map(next, views_of_inputs)))
            for outputs, output in zip(outputs_of_inputs, batch, strict=True):
                outputs.append(output)
        pairs = zip(batched_inputs, outputs_of_inputs, strict=True)
        return [self._finish(*pair) for pair in pairs]

    def stream(self, items: Iterable[Item]) -> Iterator[Item]:
        """As :meth:`forward`, for a stream of images of any length.

        A scaled image stays in memory while its views are read, and with a tiled detector until
        their last batch is done. The scales of an image are never all in memory at once.
        """
        if self.changes_nothing:
            yield from stream_through(self.detector, items)
            return
        waiting: deque[Item] = deque()

        def inputs() -> Iterator[Item]:
            for item in items:
                waiting.append(item)
                yield from self._view_items(item)

        outputs: list[Item] = []
        for output in stream_through(self.detector, inputs()):
            outputs.append(output)
            if len(outputs) == len(self.views):
                yield self._finish(waiting.popleft(), outputs)
                outputs = []

    def _view_items(self, item: Item) -> Iterator[Item]:
        """Yields the input item of each view, each made only when it is needed."""
        size = image_size(item)
        # The item's other fields describe the original image, not its views.
        named: Item = {key: item[key] for key in ("file_name", "image_id") if key in item}
        scaled, scale = item["image"], (1.0, 1.0)
        unread = "tiles" in item and not len(item["tiles"])
        for view in self.views:
            if unread:
                # No tile is read, so the pixels don't matter and a single one takes their place.
                scaled, scale = scaled.new_zeros(()).expand(len(scaled), 1, 1), view.scale
            elif view.scale != scale:
                scaled, scale = _resize(item["image"], view.scaled_size(size)), view.scale
            height, width = view.turn.size(view.scaled_size(size))
            # Boxes in the view's own frame: the model would round when it stretches them.
            turned = {**named, "image": view.turn.image(scaled), "height": height, "width": width}
            if "tiles" in item:
                turned["tiles"] = _view_tiles(item["tiles"], view, size)
            yield turned

    def _finish(self, item: Item, outputs: list[Item]) -> Item:
        size = image_size(item)
        frame = (item.get("height", size[0]), item.get("width", size[1]))
        with_masks = all(output["instances"].has("pred_masks") for output in outputs)
        parts = [
            _back(output["instances"], view, size, frame, with_masks)
            for output, view in zip(outputs, self.views, strict=True)
        ]
        # A single view has no copies, and the detector has already merged.
        found = self.merger(Instances.cat(parts)) if len(parts) > 1 else parts[0]
        result: Item = {"instances": self.limit(found)}
        if "tiles" in outputs[0]:
            tiles = torch.as_tensor(np.asarray(outputs[0]["tiles"], dtype=np.float64))
            result["tiles"] = self.views[0].boxes_back(tiles, size, frame).numpy()
        return result


def _resize(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The image (C, h, w), resized as whole images are at test time."""
    if tuple(image.shape[1:]) == size:
        return image
    pixels = image.cpu().permute(1, 2, 0).numpy()
    return image_tensor(pixels, T.Resize(size), "BGR").to(image.device)


def _view_tiles(tiles: Any, view: View, size: tuple[int, int]) -> np.ndarray:
    """Tiles (T, 4) of the image in a view's frame, enlarged to whole pixels."""
    given = torch.as_tensor(np.asarray(tiles, dtype=np.float64).reshape(-1, 4))
    # Without rounding, 0.1 * 30 > 3 would add a row of pixels.
    placed = view.boxes(given, size).round(decimals=6).numpy()
    return np.concatenate([np.floor(placed[:, :2]), np.ceil(placed[:, 2:])], axis=1).astype(int)


def _back(
    instances: Instances,
    view: View,
    size: tuple[int, int],
    frame: tuple[int, int],
    with_masks: bool,
) -> Instances:
    """The detections that the view's rules keep, in the frame (height, width) of the image."""
    boxes = view.boxes_back(instances.pred_boxes.tensor.double(), size, frame)
    kept = view.keeps(boxes)
    found = Instances(frame)
    found.pred_boxes = Boxes(boxes[kept].to(instances.pred_boxes.tensor.dtype))
    found.scores = instances.scores[kept]
    found.pred_classes = instances.pred_classes[kept]
    if with_masks:
        found.pred_masks = view.masks_back(CropMasks.of(instances.pred_masks)[kept], frame)
    return found
