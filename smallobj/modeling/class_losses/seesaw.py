"""Seesaw loss: frequent classes suppress rare ones less, but false positives still cost.

Shapes: R regions, F of them foreground, K classes; logits (R, K + 1), background last.
"""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.utils import comm
from torch.nn import functional as F

from smallobj.checks import check_not_negative
from smallobj.modeling.class_losses.class_loss import CLASS_LOSS_REGISTRY, ClassLoss

# Lower bound of the true class's probability, with which the others are compared, as in the
# authors' code.
_LEAST = 0.01


@CLASS_LOSS_REGISTRY.register(name="seesaw")
class SeesawLoss(ClassLoss):
    """Seesaw loss (arXiv 2008.10032, section 3) over classes, with separate objectness.

    A softmax over K + 1 would count background as the most frequent class, and the seesaw would
    favour every class against it. So, as in the paper, objectness is predicted separately, and the
    seesaw is over K classes on foreground only. Scores are the products of both. Background is the
    sigmoid of the last logit and objectness its complement; the authors have a softmax over two
    logits, of which only the difference matters.
    """

    class_counts: torch.Tensor

    @configurable
    def __init__(self, *, num_classes: int, p: float, q: float) -> None:
        """
        Args:
            num_classes: K.
            p: exponent of the mitigation factor.
            q: exponent of the compensation factor.

        Raises:
            ValueError: an exponent is negative.
        """
        super().__init__()
        for key, value in (("P", p), ("Q", q)):
            check_not_negative(f"MODEL.ROI_BOX_HEAD.SEESAW_{key}", value)
        self.p = p
        self.q = q
        # Regions of each class so far in training. A float32 would stop counting at 2^24.
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.int64))

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        head = cfg.MODEL.ROI_BOX_HEAD
        return {
            "num_classes": cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            "p": head.SEESAW_P,
            "q": head.SEESAW_Q,
        }

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        background = classes == len(self.class_counts)
        foreground = (~background).nonzero()[:, 0]
        classes = classes[foreground]
        self._count(classes)
        if not len(background):
            return logits.sum() * 0
        objectness = F.binary_cross_entropy_with_logits(
            logits[:, -1], background.to(logits.dtype), reduction="sum"
        )
        chosen = logits[foreground, :-1]
        balanced = chosen + self.balance(chosen.detach(), classes).log()
        class_loss = F.cross_entropy(balanced, classes, reduction="sum")
        # Both are divided by R, as the box loss is, so that a foreground region weighs the same
        # whatever the number of foreground regions in the batch.
        return (objectness + class_loss) / len(logits)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        background = torch.sigmoid(logits[:, -1:])
        return torch.cat([logits[:, :-1].softmax(dim=1) * (1 - background), background], dim=1)

    def balance(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """S_ij = M_ij C_ij, the factor of exp(z_j) in the softmax of a region of class i.

        Args:
            logits: (F, K).
            classes: (F,), i of each region.

        Returns:
            (F, K); 1 where j = i.
        """
        counts = self.class_counts.clamp(min=1).to(logits.dtype)
        mitigation = (counts / counts[classes, None]).clamp(max=1) ** self.p
        scores = logits.softmax(dim=1)
        true_score = scores.gather(1, classes[:, None]).clamp(min=_LEAST)
        compensation = (scores / true_score).clamp(min=1) ** self.q
        return mitigation * compensation

    @torch.no_grad()
    def _count(self, classes: torch.Tensor) -> None:
        counts = torch.bincount(classes, minlength=len(self.class_counts))
        if comm.get_world_size() > 1:
            # Otherwise the balance in each process would depend on its share of the data.
            torch.distributed.all_reduce(counts)
        self.class_counts += counts
