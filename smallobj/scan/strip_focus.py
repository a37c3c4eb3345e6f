"""Focus in a scan: the regions of one strip, which may be too wide to go through a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from smallobj.inference.focus import RegionChooser

# Pixels of the image, along a strip, that the network sees at once; a multiple of every stride.
_PIECE = 4096


class StripFocus:
    """Says which regions of a row of tiles a scan reads, in place of the tiles.

    The strip goes through the network in pieces, each with as much beside it as its cells depend
    on. So its heat is that of the whole strip. Above and below the network sees only the strip.
    """

    def __init__(
        self,
        chooser: RegionChooser,
        to_tensor: Callable[[np.ndarray], torch.Tensor],
        piece: int = _PIECE,
    ) -> None:
        """
        Args:
            chooser: names the regions.
            to_tensor: (h, w, 3) uint8 BGR to the (3, h, w) that ``chooser`` takes.
            piece: width of a piece in pixels, without what lies beside it; a multiple of the
                network's stride.
        """
        self.chooser = chooser
        self.to_tensor = to_tensor
        self.piece = piece

    def __call__(self, tiles: np.ndarray, strip: np.ndarray) -> np.ndarray:
        """
        Args:
            tiles: (T, 4) XYXY of the row, in the image's frame, T >= 1.
            strip: (h, W, 3) uint8 BGR, their lines.

        Returns:
            (R, 4) int64 XYXY in the image's frame, all within the strip; R = 0 where nothing is
            hot.
        """
        heat, side, stride = self._look(strip)
        regions = self.chooser.choose(heat, side, stride, strip.shape[:2])
        return regions + np.array([0, tiles[0, 1], 0, tiles[0, 1]])

    def _look(self, strip: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Heat and sides of the whole strip, (h, w) each, and the stride."""
        width = strip.shape[1]
        stride = self.chooser.network.stride
        beside = -(-self.chooser.network.reach // stride) * stride
        maps = []
        for start in range(0, width, self.piece):
            left = max(start - beside, 0)
            part = strip[:, left : min(start + self.piece + beside, width)]
            heat, side, _ = self.chooser.look({"image": self.to_tensor(part)})
            first = (start - left) // stride
            kept = slice(first, first + self.piece // stride)
            maps.append(np.stack([heat[:, kept], side[:, kept]]))
        heat, side = np.concatenate(maps, axis=2)
        return heat, side, stride
