"""Several detectors as one, behind Detectron2's model contract: list[dict] in, list[dict] out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T
from torch import nn

from smallobj.class_names import NamedClasses, differing_classes, same_classes
from smallobj.data.build import image_tensor, resize_at_test
from smallobj.data.class_map import ClassMap
from smallobj.images.pixels import PixelConversion
from smallobj.inference.batching import stream_through
from smallobj.inference.detector_config import prepare_detector_config
from smallobj.inference.model import load_model
from smallobj.inference.tiled import image_size
from smallobj.merging import ModelMerger, build_model_merger
from smallobj.modeling.detection_limit import DetectionLimit
from smallobj.modeling.score_threshold import lower_score_threshold

_logger = logging.getLogger(__name__)
Item = dict[str, Any]
Wrap = Callable[[CfgNode, nn.Module], nn.Module]


@dataclass(frozen=True)
class InputView:
    """The input that a member of an ensemble expects: its own resizing and channel order.

    Attributes:
        resize: resizing of whole images at test time.
        swap_channels: reverse the channel order of the images (RGB to BGR, or BGR to RGB).
    """

    resize: T.Augmentation
    swap_channels: bool = False

    def __call__(self, item: Item) -> Item:
        """The item with its image as this member expects it; the frame of the boxes is kept."""
        pixels = item["image"].cpu().permute(1, 2, 0).numpy()
        # image_tensor takes its input to be BGR; "RGB" makes it reverse the channels.
        order = "RGB" if self.swap_channels else "BGR"
        height, width = image_size(item)
        image = image_tensor(pixels, self.resize, order).to(item["image"].device)
        return {"height": height, "width": width, **item, "image": image}


class EnsembleDetector(nn.Module):
    """Runs several detectors on each image and merges their detections.

    The first is the config's own and may be in training; the others are only used for inference.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        views: Sequence[InputView],
        merger: ModelMerger,
        max_detections: int,
        configs: Sequence[CfgNode] = (),
        class_maps: Sequence[ClassMap] = (),
    ) -> None:
        """
        Args:
            members: detectors; all but the first in evaluation mode.
            views: one for each member.
            merger: merges the boxes of all members.
            max_detections: most detections of an image.
            configs: configs of all members but the first.
            class_maps: one for each member, which numbers its classes as the first member's; ():
                all have the same classes in the same order.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self.views = list(views)
        self.merger = merger
        self.limit = DetectionLimit(max_detections)
        self.configs = list(configs)
        self.class_maps = list(class_maps) or [ClassMap((), ())] * len(self.members)
        self.train(members[0].training)

    def train(self, mode: bool = True) -> EnsembleDetector:
        super().train(mode)
        for other in self.members[1:]:
            other.eval()
        return self

    def forward(self, batched_inputs: list[Item]) -> list[Item]:
        """
        Args:
            batched_inputs: dicts with "image" (C, H, W) at its original size, and "height" and
                "width" of the frame in which boxes are returned (default: the image's).

        Returns:
            A dict for each image with "instances": pred_boxes, scores and pred_classes by falling
            score, at most ``max_detections``; and "tiles", those that the first member read, if
            its output has them.
        """
        return list(self.stream(batched_inputs))

    @torch.no_grad()
    def _outputs(self, items: Iterable[Item], index: int) -> Iterator[Item]:
        yield from stream_through(self.members[index], map(self.views[index], items))

    def stream(self, items: Iterable[Item]) -> Iterator[Item]:
        """As :meth:`forward`, for a stream of images of any length.

        Each member forms the same batches as when it runs alone, so its detections are
        bit-identical. Images that one member has read stay in memory until all others have read
        them.
        """
        copies = tee(items, len(self.members))
        streams = [self._outputs(copy, index) for index, copy in enumerate(copies)]
        for outputs in zip(*streams, strict=True):
            found = [output["instances"] for output in outputs]
            numbered = [self.class_maps[k](one) for k, one in enumerate(found)]
            merged = self.merger(numbered)
            result: Item = {"instances": self.limit(merged)}
            if "tiles" in outputs[0]:
                result["tiles"] = outputs[0]["tiles"]
            yield result


def build_ensemble(
    cfg: CfgNode, own: nn.Module, wrap: Wrap, score_threshold: float | None = None
) -> EnsembleDetector:
    """Builds the ensemble of a config's own detector and TEST.ENSEMBLE.MEMBERS.

    Classes that a member numbers in another order are matched by name.

    Args:
        cfg: config of the first member.
        own: the first member, wrapped for inference.
        wrap: wraps another member as its config says.
        score_threshold: the other members return all detections of at least this score; None uses
            the thresholds of their configs.

    Raises:
        ValueError: a member is an ensemble itself, has other classes or takes other bands; or as
            :func:`prepare_detector_config` and :func:`load_weights`.
        FileNotFoundError: the config or the weights of a member do not exist.
    """
    names = list(cfg.TEST.ENSEMBLE.MEMBERS)
    merger = build_model_merger(cfg, 1 + len(names))
    members, views, configs = [own], [InputView(resize_at_test(cfg))], []
    class_maps = [ClassMap((), ())]
    for name in names:
        other = _member_config(cfg, name)
        if score_threshold is not None:
            lower_score_threshold(other, score_threshold)
        members.append(wrap(other, load_model(other)))
        views.append(InputView(resize_at_test(other), other.INPUT.FORMAT != cfg.INPUT.FORMAT))
        class_maps.append(_class_map(cfg, other, name))
        _check_pixels(cfg, other, name)
        configs.append(other)
    most = cfg.TEST.DETECTIONS_PER_IMAGE
    return EnsembleDetector(members, views, merger, most, configs, class_maps)


def _member_config(cfg: CfgNode, name: Any) -> CfgNode:
    if not isinstance(name, str) or not name:
        raise ValueError(
            'TEST.ENSEMBLE.MEMBERS must hold strings "CONFIG.yaml" or "CONFIG.yaml:WEIGHTS"; '
            f"got {name!r}"
        )
    config_file, _, weights = name.partition(":")
    other = prepare_detector_config(config_file, weights or None, cfg.MODEL.DEVICE)
    if other.TEST.ENSEMBLE.MEMBERS:
        raise ValueError(
            f"{config_file} in TEST.ENSEMBLE.MEMBERS is an ensemble itself; list its members, or "
            "empty the key there"
        )
    return other


def _check_pixels(cfg: CfgNode, other: CfgNode, member: str) -> None:
    """Compares how files are read, since each is read once, as the first member's config says.

    Raises:
        ValueError: the members take other bands.
    """
    ours, theirs = PixelConversion.from_config(cfg), PixelConversion.from_config(other)
    if ours.bands != theirs.bands:
        raise ValueError(
            "the members of an ensemble must have the same INPUT.BANDS; this config has "
            f"{ours.bands}, {member} {theirs.bands}"
        )
    if ours != theirs:
        _logger.warning(
            "%s has another INPUT.BIT_DEPTH; files are read as this config says",
            member,
        )


def _class_map(cfg: CfgNode, other: CfgNode, member: str) -> ClassMap:
    """Numbers a member's classes as the config's.

    Raises:
        ValueError: they find other classes; or other numbers of classes, where not both name them.
    """
    ours = NamedClasses(list(cfg.MODEL.CLASS_NAMES), "this config")
    theirs = NamedClasses(list(other.MODEL.CLASS_NAMES), member)
    if not (ours.names and theirs.names):
        counts = cfg.MODEL.ROI_HEADS.NUM_CLASSES, other.MODEL.ROI_HEADS.NUM_CLASSES
        if counts[0] != counts[1]:
            raise ValueError(
                "the models of an ensemble must find the same classes; this config has "
                f"{counts[0]} and {member} has {counts[1]}"
            )
        return ClassMap((), ())
    if not same_classes(ours.names, theirs.names):
        raise ValueError(
            "the models of an ensemble must find the same classes; "
            f"{differing_classes(ours, theirs)}"
        )
    if ours.names != theirs.names:
        text = "%s in TEST.ENSEMBLE.MEMBERS: its classes, in another order, are matched by name"
        _logger.warning(text, member)
    return ClassMap(theirs.names, ours.names)
