"""Images that can't be read during an evaluation: they count as images without detections."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

_logger = logging.getLogger(__name__)


class WithoutBroken(nn.Module):
    """A detector that finds nothing in images marked "broken", with Detectron2's contract."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """
        Args:
            items: as the detector takes them; "broken" says why an image couldn't be read.
        """
        outputs = self.detector(items)
        return [
            self._emptied(item, output) if "broken" in item else output
            for item, output in zip(items, outputs, strict=True)
        ]

    def _emptied(self, item: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
        _logger.warning("counts as an image without detections: %s", item["broken"])
        emptied = dict(output)
        if "instances" in output:
            emptied["instances"] = output["instances"][:0]
        if "focus" in output:
            emptied["focus"] = output["focus"] * 0
        return emptied
