"""Keys of datasets and of how training samples are made from images: DATASETS, INPUT."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_data_keys(cfg: CfgNode) -> None:
    """Adds DATASETS.* and INPUT.*."""
    _add_dataset_keys(cfg)
    _add_input_keys(cfg)
    _add_squash_keys(cfg)


def _add_dataset_keys(cfg: CfgNode) -> None:
    # Datasets beyond the built-in ones, one string each: "NAME=FORMAT:ANNOTATIONS:IMAGES".
    # FORMAT is challenge, coco or yolo; relative paths start at DETECTRON2_DATASETS.
    cfg.DATASETS.REGISTER = []
    # Check every label before training, and stop if any is bad; all bad ones are listed.
    cfg.DATASETS.CHECK = True
    # Drop boxes that break a rule instead of stopping, and log how many.
    cfg.DATASETS.DROP_BAD_BOXES = False


def _add_input_keys(cfg: CfgNode) -> None:
    # Training mapper, by its name in MAPPER_REGISTRY.
    cfg.INPUT.MAPPER = "TileMapper"
    cfg.INPUT.TILE = CfgNode()
    # Side of the square training tile, cut at native resolution.
    cfg.INPUT.TILE.SIZE = 512
    # Tiles cut from one decoded image: more are cheaper, fewer make batches more diverse.
    cfg.INPUT.TILE.PER_IMAGE = 8
    # Tiles held back and drawn from at random, so that a batch mixes several images.
    cfg.INPUT.TILE.SHUFFLE_BUFFER = 64
    # Share of tiles placed where no object is, in [0, 1].
    cfg.INPUT.TILE.BACKGROUND_RATIO = 0.2
    # 0 puts the chosen object at the tile's centre, 1 anywhere it still lies whole in the tile.
    cfg.INPUT.TILE.CENTER_JITTER = 1.0
    # An object cut by the tile keeps its label while this share of its area is visible.
    cfg.INPUT.TILE.MIN_VISIBLE = 0.5
    # Mirror tiles, each with probability 0.5: any of "horizontal", "vertical".
    cfg.INPUT.TILE.FLIP = ["horizontal", "vertical"]
    # Brightness, contrast and saturation are multiplied by a factor from [1 - x, 1 + x].
    cfg.INPUT.TILE.COLOR_JITTER = 0.2


def _add_squash_keys(cfg: CfgNode) -> None:
    """Of whole photographs squashed to one size."""
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
