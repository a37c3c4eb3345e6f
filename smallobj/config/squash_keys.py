"""Keys of whole photographs squashed to one size."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_squash_keys(cfg: CfgNode) -> None:
    # Size (h, w) that whole photographs are squashed to, whatever their aspect ratio: in training
    # by INPUT.MAPPER SquashMapper, and at test time by everything. (0, 0): they are not.
    cfg.INPUT.SQUASH = (0, 0)
    cfg.INPUT.SQUASH_CACHE = CfgNode()
    # SquashMapper keeps each squashed photograph here, to decode and resize it once instead of in
    # each epoch; "" is the folder "squashed" in OUTPUT_DIR.
    cfg.INPUT.SQUASH_CACHE.FOLDER = ""
    # It stops adding to the folder once that holds so many gigabytes (10^9 bytes). 300 x 300 px
    # take 0.27 MB. 0 keeps nothing.
    cfg.INPUT.SQUASH_CACHE.MAX_GB = 8.0
