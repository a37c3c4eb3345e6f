"""YOLOv3 (arXiv 1804.02767) on Detectron2's DenseDetector.

Shape legend. N: images of a batch. l: features, finest first, with (h_l, w_l) cells. A: priors per
cell. R_l = h_l w_l A; R is their sum. K: classes. M: objects of an image. Boxes are XYXY in pixels
of the network's input.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from torch import nn
from torch.nn import functional as F

from smallobj.checks import check_between, check_choice
from smallobj.modeling.meta_arch.single_stage import SingleStageDetector
from smallobj.modeling.yolo import YOLOv3Head, assign_priors, last_of_each
from smallobj.modeling.yolo.head import OBJECTNESS

CENTER_LOSSES = ("squared_error", "cross_entropy")


@META_ARCH_REGISTRY.register()
class YOLOv3(SingleStageDetector):
    """Predicts boxes relative to priors, objectness, and independent classes, on three features.

    Each object trains one prior. A prediction without object is trained as background, unless its
    box overlaps some object well; then its objectness isn't trained at all. Losses are sums over an
    image and means over the batch, as in the authors' program.
    """

    key = "YOLO"

    @configurable
    def __init__(
        self, *, ignore_iou: float, center_loss: str, input_format: str, **kwargs: Any
    ) -> None:
        """
        Args:
            ignore_iou: a prediction without object that overlaps an object by more than this IoU
                is ignored.
            center_loss: "squared_error" or "cross_entropy".
            input_format: order of the channels, "BGR" or "RGB"; Darknet's weight files need it.
            kwargs: arguments of :class:`SingleStageDetector`. The features go from fine to coarse;
                the anchors are the priors, p_w and p_h, on the centres of cells; the head has the
                output of :class:`YOLOv3Head`; ``test_topk_candidates`` is the number per feature.

        Raises:
            ValueError: the loss is unknown, the IoU is outside [0, 1], or the priors aren't on the
                centres of cells.
        """
        super().__init__(**kwargs)
        check_choice("MODEL.YOLO.CENTER_LOSS", center_loss, CENTER_LOSSES)
        check_between("MODEL.YOLO.IGNORE_IOU", ignore_iou, 0, 1)
        if self.anchor_generator.offset != 0.5:
            raise ValueError(
                "YOLOv3 needs priors on the centres of cells: MODEL.ANCHOR_GENERATOR.NAME "
                f"YOLOPriorGenerator, or OFFSET 0.5; got {type(self.anchor_generator).__name__} "
                f"and {self.anchor_generator.offset}"
            )
        self.ignore_iou = ignore_iou
        self.center_loss = center_loss
        self.input_format = input_format

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {
            **super().from_config(cfg),
            "box2box_transform": Box2BoxTransform(weights=(1.0, 1.0, 1.0, 1.0)),
            "ignore_iou": cfg.MODEL.YOLO.IGNORE_IOU,
            "center_loss": cfg.MODEL.YOLO.CENTER_LOSS,
            "input_format": cfg.INPUT.FORMAT,
        }

    @classmethod
    def build_head(
        cls, cfg: CfgNode, input_shape: list[ShapeSpec], num_anchors: list[int]
    ) -> nn.Module:
        return YOLOv3Head(cfg, input_shape, num_anchors)

    def forward_training(
        self,
        images: ImageList,
        features: list[torch.Tensor],
        predictions: list[torch.Tensor],
        gt_instances: list[Instances],
    ) -> dict[str, torch.Tensor]:
        """The losses; arguments as in :class:`DenseDetector`."""
        rows = self._rows(predictions)
        grids = [(p.shape[-2], p.shape[-1]) for p in predictions]
        priors = self.anchor_generator(features)
        return self.losses(priors, grids, rows, gt_instances)

    def losses(
        self,
        priors: list[Boxes],
        grids: list[tuple[int, int]],
        rows: list[torch.Tensor],
        gt_instances: list[Instances],
    ) -> dict[str, torch.Tensor]:
        """All losses: sums over an image, means over the batch.

        Squared errors are halved, so that their gradients are the differences in the paper. A box
        has the weight 2 - w h, with w and h relative to the image, so smaller boxes weigh more.

        Args:
            priors: for each feature R_l boxes.
            grids: (h, w) of each feature.
            rows: for each feature (N, R_l, 5 + K) predictions.
            gt_instances: N, with gt_boxes and gt_classes.
        """
        deltas = torch.cat(self._box_deltas(priors, rows), dim=1)
        raw, every_prior = torch.cat(rows, dim=1), Boxes.cat(priors).tensor
        strides = torch.cat([p.new_full((len(p),), s) for p, s in self._with_strides(priors)])
        target, weight = torch.zeros_like(raw[..., 0]), torch.ones_like(raw[..., 0])
        sums = dict.fromkeys(("loss_center", "loss_size", "loss_cls"), raw.new_zeros(()))
        shapes = list(self.anchor_generator.cell_anchors)
        for index, instances in enumerate(gt_instances):
            instances = instances[instances.gt_boxes.nonempty()]
            if not len(instances):
                continue
            boxes = instances.gt_boxes.tensor
            weight[index] = self._is_background(every_prior, deltas[index], boxes)
            assigned = assign_priors(boxes, shapes, self.anchor_generator.strides, grids)
            target[index, assigned] = weight[index, assigned] = 1
            owns = last_of_each(assigned, len(every_prior))
            owned = assigned[owns]
            wanted = self._targets(every_prior[owned], strides[owned], boxes[owns])
            # The class of an object that lost its prior to another object still counts there.
            classes = F.one_hot(instances.gt_classes, self.num_classes).to(raw.dtype)
            classes = ((owned[:, None] == assigned).to(raw.dtype) @ classes).clamp(max=1)
            height, width = instances.image_size
            scale = 2 - instances.gt_boxes.area()[owns] / (height * width)
            losses = self._object_losses(raw[index, owned], wanted, classes, scale)
            sums = {name: value + losses[name] for name, value in sums.items()}
        sums["loss_objectness"] = F.binary_cross_entropy_with_logits(
            raw[..., OBJECTNESS], target, weight, reduction="sum"
        )
        return {name: value / len(gt_instances) for name, value in sums.items()}

    def _object_losses(
        self,
        predicted: torch.Tensor,
        wanted: torch.Tensor,
        classes: torch.Tensor,
        scale: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Sums of the losses over the priors of an image that have an object.

        Args:
            predicted: (M, 5 + K) predictions.
            wanted: (M, 4) box targets, from :meth:`_targets`.
            classes: (M, K), 1 for the class or classes of the prior, else 0.
            scale: (M,) weights of the box losses.
        """
        center = self._center_errors(predicted[:, :2], wanted[:, :2])
        size = (predicted[:, 2:4] - wanted[:, 2:]).square().sum(dim=1) / 2
        return {
            "loss_center": (scale * center).sum(),
            "loss_size": (scale * size).sum(),
            "loss_cls": F.binary_cross_entropy_with_logits(
                predicted[:, OBJECTNESS + 1 :], classes, reduction="sum"
            ),
        }

    def _center_errors(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """(M,) errors of (M, 2) t_x, t_y against (M, 2) positions in the cell, in [0, 1]."""
        if self.center_loss == "squared_error":
            return (logits.sigmoid() - wanted).square().sum(dim=1) / 2
        errors = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return errors.sum(dim=1)

    def _rows(self, predictions: list[torch.Tensor]) -> list[torch.Tensor]:
        """For each feature (N, A (5 + K), h_l, w_l) to (N, R_l, 5 + K)."""
        numbers = OBJECTNESS + 1 + self.num_classes
        return self._transpose_dense_predictions([predictions], [numbers])[0]

    def _with_strides(self, priors: list[Boxes]) -> list[tuple[torch.Tensor, int]]:
        return [(p.tensor, s) for p, s in zip(priors, self.anchor_generator.strides, strict=True)]

    def _box_deltas(self, priors: list[Boxes], rows: list[torch.Tensor]) -> list[torch.Tensor]:
        """Detectron2's box deltas: for each feature, rows (..., R_l, 5 + K) to (..., R_l, 4).

        In the paper, b_x = sigmoid(t_x) + c_x, in cells, and b_w = p_w e^t_w (section 2.1). For a
        prior on the centre of the cell, Box2BoxTransform gives the same box if its shift is
        sigmoid(t_x) - 1/2 cells, in units of the side of the prior.
        """
        deltas = []
        for (boxes, stride), numbers in zip(self._with_strides(priors), rows, strict=True):
            cells = stride / (boxes[:, 2:] - boxes[:, :2])
            shift = (numbers[..., :2].sigmoid() - 0.5) * cells
            deltas.append(torch.cat([shift, numbers[..., 2:4]], dim=-1))
        return deltas

    def _targets(
        self, priors: torch.Tensor, strides: torch.Tensor, boxes: torch.Tensor
    ) -> torch.Tensor:
        """(M, 4) targets of sigmoid(t_x), sigmoid(t_y), t_w, t_h.

        Args:
            priors, strides: (M, 4) and (M,).
            boxes: (M, 4), the object of each prior.
        """
        deltas = self.box2box_transform.get_deltas(priors, boxes)
        places = deltas[:, :2] * (priors[:, 2:] - priors[:, :2]) / strides[:, None] + 0.5
        return torch.cat([places, deltas[:, 2:]], dim=1)

    @torch.no_grad()
    def _is_background(
        self, priors: torch.Tensor, deltas: torch.Tensor, boxes: torch.Tensor
    ) -> torch.Tensor:
        """(R,) 1 where a predicted box overlaps none of M >= 1 objects above ignore_iou, else 0."""
        predicted = self.box2box_transform.apply_deltas(deltas, priors)
        overlap = pairwise_iou(Boxes(boxes), Boxes(predicted)).amax(dim=0)
        return (overlap <= self.ignore_iou).to(deltas.dtype)

    def forward_inference(
        self,
        images: ImageList,
        features: list[torch.Tensor],
        predictions: list[torch.Tensor],
    ) -> list[Instances]:
        """The detections; arguments as in :class:`DenseDetector`."""
        rows = self._rows(predictions)
        priors = self.anchor_generator(features)
        deltas = self._box_deltas(priors, rows)
        results = []
        for index, image_size in enumerate(images.image_sizes):
            probabilities = [row[index].sigmoid() for row in rows]
            scores = [p[:, OBJECTNESS, None] * p[:, OBJECTNESS + 1 :] for p in probabilities]
            image_deltas = [delta[index] for delta in deltas]
            results.append(self.inference_single_image(priors, scores, image_deltas, image_size))
        return results

    def inference_single_image(
        self,
        priors: list[Boxes],
        scores: list[torch.Tensor],
        deltas: list[torch.Tensor],
        image_size: tuple[int, int],
    ) -> Instances:
        """The best boxes of an image after NMS within each class.

        Args:
            priors: for each feature R_l boxes.
            scores: for each feature (R_l, K).
            deltas: for each feature (R_l, 4), from :meth:`_box_deltas`.
            image_size: (h, w) without padding.
        """
        candidates = self._decode_multi_level_predictions(
            priors, scores, deltas, self.test_score_thresh, self.test_topk_candidates, image_size
        )
        # Clipped before NMS, as in Detectron2's RPN, so that a box in the padding can't suppress a
        # box in the image.
        candidates.pred_boxes.clip(image_size)
        candidates = candidates[candidates.pred_boxes.nonempty()]
        return self.suppressed(candidates)
