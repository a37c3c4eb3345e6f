"""SSD: class scores and offsets for default boxes of several feature maps, in one pass.

Shape legend. N: images of a batch. L: feature maps. A_l: default boxes at each position of map l.
R: default boxes at all positions of all maps. K: classes; scores have K + 1 columns, background
last. Boxes are XYXY in pixels of the padded image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.box_regression import _dense_box_regression_loss
from detectron2.structures import Boxes, ImageList, Instances
from torch import nn
from torch.nn import functional as F

from smallobj.checks import check_choice
from smallobj.modeling.backbone.l2_norm import L2Norm
from smallobj.modeling.hard_negatives import mined_cross_entropy
from smallobj.modeling.meta_arch.single_stage import MatchedAnchorsDetector

BOX_LOSSES = ("smooth_l1", "giou", "diou", "ciou")


class SSDHead(nn.Module):
    """For each map, a 3x3 convolution for the scores and another for the offsets (section 2.1)."""

    def __init__(
        self,
        input_shape: Sequence[ShapeSpec],
        *,
        num_classes: int,
        num_anchors: Sequence[int],
        l2_norm: Sequence[float],
    ) -> None:
        """
        Args:
            input_shape: L shapes.
            num_classes: K.
            num_anchors: L numbers, A_l of each map.
            l2_norm: L numbers, initial scale of each map's L2 normalisation, 0 for none.

        Raises:
            ValueError: the number of scales isn't L, or a scale is negative.
        """
        super().__init__()
        if len(l2_norm) != len(input_shape) or min(l2_norm) < 0:
            raise ValueError(
                f"MODEL.SSD.L2_NORM needs {len(input_shape)} numbers, one for each feature map, "
                f"none negative; got {list(l2_norm)}"
            )
        self.norms = nn.ModuleList(
            L2Norm(shape.channels, scale) if scale else nn.Identity()
            for shape, scale in zip(input_shape, l2_norm, strict=True)
        )
        self.cls_score = nn.ModuleList()
        self.bbox_pred = nn.ModuleList()
        for shape, count in zip(input_shape, num_anchors, strict=True):
            self.cls_score.append(
                nn.Conv2d(shape.channels, count * (num_classes + 1), 3, padding=1)
            )
            self.bbox_pred.append(nn.Conv2d(shape.channels, count * 4, 3, padding=1))
        for module in [*self.cls_score, *self.bbox_pred]:
            # Not Xavier as in the paper, since with it features of length 20 would give large
            # random predictions.
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)

    def forward(
        self, features: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """
        Args:
            features: L maps (N, C_l, h_l, w_l).

        Returns:
            L logits (N, A_l * (K + 1), h_l, w_l) and L offsets (N, A_l * 4, h_l, w_l).
        """
        maps = [norm(feature) for norm, feature in zip(self.norms, features, strict=True)]
        logits = [layer(x) for layer, x in zip(self.cls_score, maps, strict=True)]
        deltas = [layer(x) for layer, x in zip(self.bbox_pred, maps, strict=True)]
        return logits, deltas


@META_ARCH_REGISTRY.register()
class SSD(MatchedAnchorsDetector):
    """Single Shot MultiBox Detector (arXiv 1512.02325).

    An object is matched with its best default box and with all others that overlap it enough. Of
    the background boxes only those of highest loss count, three per matched box.
    """

    key = "SSD"

    @configurable
    def __init__(self, *, box_reg_loss_type: str, **kwargs: Any) -> None:
        """
        Args:
            box_reg_loss_type: one of BOX_LOSSES.
            kwargs: arguments of :class:`MatchedAnchorsDetector`; ``test_topk_candidates`` is the
                number per class.

        Raises:
            ValueError: a value is out of range.
        """
        super().__init__(**kwargs)
        check_choice("MODEL.SSD.BBOX_REG_LOSS_TYPE", box_reg_loss_type, BOX_LOSSES)
        self.box_reg_loss_type = box_reg_loss_type

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {
            **super().from_config(cfg),
            "box_reg_loss_type": cfg.MODEL.SSD.BBOX_REG_LOSS_TYPE,
        }

    @classmethod
    def build_head(
        cls, cfg: CfgNode, input_shape: list[ShapeSpec], num_anchors: list[int]
    ) -> nn.Module:
        return SSDHead(
            input_shape,
            num_classes=cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            num_anchors=num_anchors,
            l2_norm=cfg.MODEL.SSD.L2_NORM,
        )

    def forward_training(
        self,
        images: ImageList,
        features: list[torch.Tensor],
        predictions: tuple[list[torch.Tensor], list[torch.Tensor]],
        gt_instances: list[Instances],
    ) -> dict[str, torch.Tensor]:
        logits, deltas = self._transpose_dense_predictions(predictions, [self.num_classes + 1, 4])
        anchors = self.anchor_generator(features)
        gt_classes, gt_boxes = self.label_anchors(anchors, gt_instances)
        return self.losses(
            anchors, torch.cat(logits, dim=1), torch.cat(deltas, dim=1), gt_classes, gt_boxes
        )

    def losses(
        self,
        anchors: list[Boxes],
        logits: torch.Tensor,
        deltas: torch.Tensor,
        gt_classes: list[torch.Tensor],
        gt_boxes: list[torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """Both losses (section 2.2, equations 1 to 3), divided by the number of matched boxes.

        Args:
            anchors: L entries, together R boxes.
            logits: (N, R, K + 1).
            deltas: (N, R, 4).
            gt_classes, gt_boxes: N label tensors (R,), K for background, and N tensors (R, 4) of
                the boxes of the matched objects.

        Returns:
            {"loss_cls", "loss_box_reg"}, scalars.
        """
        classes = torch.stack(gt_classes)
        positive = classes != self.num_classes
        loss_cls, count = mined_cross_entropy(
            logits, classes, positive, self.negative_ratio, minimum=self.min_negatives
        )
        loss_box = _dense_box_regression_loss(
            anchors,
            self.box2box_transform,
            [deltas],
            gt_boxes,
            positive,
            box_reg_loss_type=self.box_reg_loss_type,
            smooth_l1_beta=1.0,
        )
        # The paper divides by the number of positives; see mined_cross_entropy for the divisor of a
        # batch with few of them.
        return {"loss_cls": loss_cls, "loss_box_reg": loss_box / count}

    def forward_inference(
        self,
        images: ImageList,
        features: list[torch.Tensor],
        predictions: tuple[list[torch.Tensor], list[torch.Tensor]],
    ) -> list[Instances]:
        logits, deltas = self._transpose_dense_predictions(predictions, [self.num_classes + 1, 4])
        anchors = Boxes.cat(self.anchor_generator(features))
        scores = F.softmax(torch.cat(logits, dim=1), dim=-1)[..., :-1]
        return [
            self.inference_single_image(anchors, *image)
            for image in zip(scores, torch.cat(deltas, dim=1), images.image_sizes, strict=True)
        ]

    def inference_single_image(
        self,
        anchors: Boxes,
        scores: torch.Tensor,
        deltas: torch.Tensor,
        image_size: tuple[int, int],
    ) -> Instances:
        """The best boxes of each class, after NMS.

        Args:
            anchors: R boxes.
            scores: (R, K).
            deltas: (R, 4).
            image_size: (h, w) without padding.

        Returns:
            pred_boxes within the image, scores and pred_classes, by falling score.
        """
        best, index = scores.topk(min(self.test_topk_candidates, len(scores)), dim=0)
        kept = best > self.test_score_thresh
        index, classes = index[kept], kept.nonzero()[:, 1]
        boxes = Boxes(self.box2box_transform.apply_deltas(deltas[index], anchors.tensor[index]))
        boxes.clip(image_size)
        candidates = Instances(
            image_size, pred_boxes=boxes, scores=best[kept], pred_classes=classes
        )
        return self.suppressed(candidates)
