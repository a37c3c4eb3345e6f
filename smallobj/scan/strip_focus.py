"""A focus network in a scan: regions of one strip, which may be too wide for the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from smallobj.inference.focus import RegionChooser

# Width in image pixels of a strip's pieces; a multiple of every stride.
_PIECE = 4096


class StripFocus:
    """Chooses the regions of a row of tiles that a scan reads instead of the tiles.

    The network processes the strip in pieces, each with margins at both sides as wide as the
    network's receptive field reaches. So the heat is the same as for the whole strip at once. The
    network sees nothing above and below the strip.
    """

    def __init__(
        self,
        chooser: RegionChooser,
        to_tensor: Callable[[np.ndarray], torch.Tensor],
        piece: int = _PIECE,
    ) -> None:
        """
        Args:
            chooser: chooses the regions.
            to_tensor: converts (h, w, 3) uint8 BGR to the (3, h, w) that ``chooser`` takes.
            piece: width of a piece in pixels, without its margins; a multiple of the network's
                stride.
        """
        self.chooser = chooser
        self.to_tensor = to_tensor
        self.piece = piece

    def __call__(self, tiles: np.ndarray, strip: np.ndarray) -> np.ndarray:
        """
        Args:
            tiles: (T, 4) XYXY of the row, in the image's frame, T >= 1.
            strip: (h, W, 3) uint8 BGR, the lines of the row.

        Returns:
            (R, 4) int64 XYXY in the image's frame, all within the strip; R = 0 if no cell exceeds
            the threshold.
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
