"""Keys of datasets and of how training samples are made from images: DATASETS, INPUT."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_data_keys(cfg: CfgNode) -> None:
    """Adds DATASETS.*, DATALOADER.* and INPUT.*."""
    _add_dataset_keys(cfg)
    _add_loader_keys(cfg)
    _add_input_keys(cfg)
    _add_squash_keys(cfg)


def _add_dataset_keys(cfg: CfgNode) -> None:
    # Datasets beside the built-in ones, one string each: "NAME=FORMAT:ANNOTATIONS:IMAGES".
    # FORMAT is challenge, coco or yolo. Relative paths are relative to the environment variable
    # DETECTRON2_DATASETS.
    cfg.DATASETS.REGISTER = []
    # Check every label before training, and stop if any is bad; all bad ones are listed.
    cfg.DATASETS.CHECK = True
    # What is done about labels that break a rule, "RULE=ACTION" each; ACTION is error, fix or drop.
    # "all=drop" drops all that would be errors. `tools/check.py --list-rules` names the rules.
    cfg.DATASETS.RULES = []
    # The largest share of a box's area beyond the edge of its image that is clipped away.
    cfg.DATASETS.MAX_OUTSIDE = 0.75
    # Short for "all=drop" at the front of RULES.
    cfg.DATASETS.DROP_BAD_BOXES = False


def _add_loader_keys(cfg: CfgNode) -> None:
    # Training images that can't be read are left out, named in the log and counted; with more than
    # this many in a process the training stops and lists them.
    cfg.DATALOADER.MAX_BROKEN_IMAGES = 10


def _add_input_keys(cfg: CfgNode) -> None:
    # Bands of a file that become red, green and blue, by number from 1, or one band for grey. ():
    # those that the file says, or the first three.
    cfg.INPUT.BANDS = ()
    # How values of more than 8 bits become the 0 to 255 that a model takes; 8-bit files stay as
    # they are.
    cfg.INPUT.BIT_DEPTH = CfgNode()
    # Which values become 0 and 255: "percentile", those at PERCENTILES of each file; "full", the
    # ends of the type's range (of floats 0 and 1); "range", LOW and HIGH; "dataset", LOW and HIGH
    # too, which training finds at PERCENTILES of its images and keeps with the model.
    cfg.INPUT.BIT_DEPTH.MODE = "percentile"
    # Shares, in percent, of the values below those that become 0 and 255.
    cfg.INPUT.BIT_DEPTH.PERCENTILES = (0.5, 99.5)
    # The value that becomes 0, with MODE range or dataset.
    cfg.INPUT.BIT_DEPTH.LOW = 0.0
    # The value that becomes 255, likewise; not above LOW: not known yet.
    cfg.INPUT.BIT_DEPTH.HIGH = 0.0
    # Training mapper, by its name in MAPPER_REGISTRY.
    cfg.INPUT.MAPPER = "TileMapper"
    cfg.INPUT.TILE = CfgNode()
    # Side of the square training tile in pixels; tiles are cut from the image without resizing.
    cfg.INPUT.TILE.SIZE = 512
    # Tiles cut from one decoded image. More tiles save decoding; fewer make batches more diverse.
    cfg.INPUT.TILE.PER_IMAGE = 8
    # Number of tiles in the buffer that batches are drawn from at random, so that a batch mixes
    # several images.
    cfg.INPUT.TILE.SHUFFLE_BUFFER = 64
    # Share of tiles placed where there is no object, in [0, 1].
    cfg.INPUT.TILE.BACKGROUND_RATIO = 0.2
    # Position of the chosen object in the tile: 0 is the centre, 1 any position where the object
    # lies whole in the tile.
    cfg.INPUT.TILE.CENTER_JITTER = 1.0
    # An object cut by the tile edge keeps its label if at least this share of its area is visible.
    cfg.INPUT.TILE.MIN_VISIBLE = 0.5
    # Directions in which tiles are flipped, each with probability 0.5: any of "horizontal",
    # "vertical".
    cfg.INPUT.TILE.FLIP = ["horizontal", "vertical"]
    # x: brightness, contrast and saturation are multiplied by random factors in [1 - x, 1 + x].
    cfg.INPUT.TILE.COLOR_JITTER = 0.2


def _add_squash_keys(cfg: CfgNode) -> None:
    """Keys of whole images squashed to one size."""
    # Size (h, w) in pixels that whole images are resized to, whatever their aspect ratio: in
    # training with INPUT.MAPPER SquashMapper, and at test time always. (0, 0): no squashing.
    cfg.INPUT.SQUASH = (0, 0)
    cfg.INPUT.SQUASH_CACHE = CfgNode()
    # Folder where SquashMapper stores the squashed images, so that each is decoded and resized only
    # once instead of in each epoch. "": the folder "squashed" in OUTPUT_DIR.
    cfg.INPUT.SQUASH_CACHE.FOLDER = ""
    # Largest size of that folder in gigabytes (10^9 bytes); then nothing more is added. An image of
    # 300 x 300 px takes 0.27 MB. 0: no cache.
    cfg.INPUT.SQUASH_CACHE.MAX_GB = 8.0
