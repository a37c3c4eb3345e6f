"""The project's config keys (all created here) and the only way in which a config file is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg


def add_smallobj_config(cfg: CfgNode) -> None:
    """Adds this project's keys to a Detectron2 config. Lengths are pixels unless said otherwise."""
    _add_dataset_keys(cfg)
    _add_input_keys(cfg)
    _add_model_keys(cfg)
    _add_test_keys(cfg)
    _add_focus_keys(cfg)


def _add_dataset_keys(cfg: CfgNode) -> None:
    # Datasets beyond the built-in ones, one string each: "NAME=FORMAT:ANNOTATIONS:IMAGES".
    # FORMAT is challenge, coco or yolo; relative paths start at DETECTRON2_DATASETS.
    cfg.DATASETS.REGISTER = []
    # Read every label before training and stop at the first sight of a bad one (all are listed).
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


def _add_model_keys(cfg: CfgNode) -> None:
    # 0 takes the number of classes from the training data; another number must agree with it.
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 0
    cfg.MODEL.RETINANET.NUM_CLASSES = 0
    # Written by training into OUTPUT_DIR/config.yaml, so that a model names what it finds.
    cfg.MODEL.CLASS_NAMES = []
    # Arithmetic of the backbone in training: float32 or bfloat16. Boxes and losses stay in
    # float32, since 8 bits of mantissa move a box at x = 500 by 2 px.
    cfg.MODEL.BACKBONE.PRECISION = "float32"
    # SmallObjectRPN: lowest objectness, a probability, of a proposal at test time.
    cfg.MODEL.RPN.SCORE_THRESH_TEST = 0.0
    # Likewise: one proposal at most for so many pixels of the input, since a small window can't
    # hold many objects; 0: no such limit.
    cfg.MODEL.RPN.PIXELS_PER_PROPOSAL_TEST = 0

    # Side of the pooled region over the side of the box; 1 pools the box alone.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_SCALE = 1.0
    # "replace" pools the enlarged box only; "concat" both, mixed by a 1x1 convolution.
    cfg.MODEL.ROI_BOX_HEAD.CONTEXT_FUSION = "concat"
    # Detectron2's key MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE also takes "nwd" here:
    # 1 - exp(-W2 / C), normalised Gaussian Wasserstein distance (arXiv 2110.13389, section 3.2).
    # C, in pixels: the typical side of an object.
    cfg.MODEL.ROI_BOX_HEAD.NWD_CONSTANT = 12.8
    # "cross_entropy" or "focal" (softmax focal loss, (1 - p)^gamma on the cross entropy).
    cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS = "cross_entropy"
    # gamma of arXiv 1708.02002, section 3.
    cfg.MODEL.ROI_BOX_HEAD.FOCAL_GAMMA = 2.0

    # Weight of each stage's losses. Detectron2 sums them; the paper's Caffe release: 1, .5, .25.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS = (1.0, 1.0, 1.0)
    # "own_roi": mean of each stage's scores on its own input boxes (Detectron2).
    # "rescore": mean of all stages' scores on the last stage's input boxes (arXiv 1712.00726, 4.1).
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.SCORING = "own_roi"


def _add_test_keys(cfg: CfgNode) -> None:
    # Arithmetic of backbone and heads at test time: float32, bfloat16, float16, or "auto", which
    # takes 16 bits where the processor multiplies in them. Boxes stay in float32.
    cfg.TEST.PRECISION = "auto"
    cfg.TEST.TILE = CfgNode()
    # Tile the image at test time; False runs it whole.
    cfg.TEST.TILE.ENABLED = True
    # Side of the square test tile.
    cfg.TEST.TILE.SIZE = 1024
    # Overlap of neighbours: at least the longest side of an object, so that a tile shows it whole.
    cfg.TEST.TILE.OVERLAP = 128
    # Tiles of TEST.TILE.SIZE squared that go through the model together, and of smaller ones as
    # many as have the same number of pixels. Halved when memory runs out.
    cfg.TEST.TILE.BATCH_SIZE = 2
    # A batch may hold tiles of several images, which keeps a GPU busy where images have few tiles.
    # False makes an image's result independent, to the last bit, of the images around it.
    cfg.TEST.TILE.MIX_IMAGES = True
    # A box closer than this to an interior tile edge counts as touching it.
    cfg.TEST.TILE.SEAM_MARGIN = 2.0
    # Such a box gives way to a whole one of another tile which, clipped to the box's own tile,
    # overlaps it by at least this IoU, in (0, 1]. Above 1 no box gives way.
    cfg.TEST.TILE.SEAM_IOU = 0.5
    # Merges the boxes of all tiles: nms, soft_nms, nmm, wbf, vote, soft_vote, or a class by its
    # name in MERGER_REGISTRY.
    cfg.TEST.MERGER = CfgNode()
    cfg.TEST.MERGER.NAME = "nms"
    # Boxes of one class that overlap by more than this are one object (Nt in the Soft-NMS paper).
    cfg.TEST.MERGER.IOU_THRESHOLD = 0.5
    # Overlap: "iou", intersection over union, or "ios", intersection over the smaller area.
    cfg.TEST.MERGER.METRIC = "iou"
    # Merge across classes too.
    cfg.TEST.MERGER.CLASS_AGNOSTIC = False
    # soft_nms: scores times exp(-overlap^2 / SIGMA), "gaussian", or (1 - overlap) beyond the
    # threshold, "linear".
    cfg.TEST.MERGER.DECAY = "gaussian"
    # sigma of arXiv 1704.04503, section 3: larger values lower scores less.
    cfg.TEST.MERGER.SIGMA = 0.5
    # soft_nms, soft_vote: boxes whose lowered score is below this are dropped.
    cfg.TEST.MERGER.SCORE_THRESHOLD = 0.001
    # wbf: score of a fused box, "mean" or "max" of the boxes in it.
    cfg.TEST.MERGER.WBF_SCORE = "mean"
    # Which metrics to compute: "coco", "challenge" (the 2021 challenge's mAP50), "analysis" (by
    # size, best F1, misses, types of errors, calibration; and their pictures), "focus" (objects
    # kept and area read by a network that chooses regions).
    cfg.TEST.METRICS = ["coco", "challenge", "analysis"]
    # Sizes of objects (square root of the area) that "analysis" looks at apart: bounds in px, or
    # "default" (10,20,40,70,100), "coco", "ai-tod".
    cfg.TEST.SIZE_BINS = "default"
    # The challenge's scorer adds 1 px to widths and heights before IoU; False leaves them alone.
    cfg.TEST.CHALLENGE = CfgNode()
    cfg.TEST.CHALLENGE.PLUS_ONE = True
    # It compares a detection with the ground truth of highest IoU only; True tries the next ones
    # when that one is taken.
    cfg.TEST.CHALLENGE.FALL_BACK = False
    # Validation images drawn to TensorBoard at each evaluation, truth beside predictions.
    cfg.TEST.VISUALIZE = 4
    # Lowest score that is drawn there.
    cfg.TEST.VISUALIZE_THRESHOLD = 0.5


def _add_focus_keys(cfg: CfgNode) -> None:
    # FocusNet (MODEL.META_ARCHITECTURE), the network that chooses what the detector reads.
    cfg.MODEL.FOCUS = CfgNode()
    # Side of the photograph over side of the image that the network sees: 1, 2, 4 or 8.
    cfg.MODEL.FOCUS.REDUCTION = 2
    # Channels after each of three steps of stride 2.
    cfg.MODEL.FOCUS.CHANNELS = (32, 64, 96)
    # Dilation of each residual block behind them: more and larger ones see more surroundings.
    cfg.MODEL.FOCUS.DILATIONS = (1, 2, 4)
    # Detectron2's name of the normalisation. BN costs nothing at inference: it goes into the
    # convolutions.
    cfg.MODEL.FOCUS.NORM = "BN"
    # Side of a box's positive core over the side of the box, in (0, 1].
    cfg.MODEL.FOCUS.CORE = 0.5
    # alpha of the focal loss (arXiv 1708.02002, section 3): weight of objects against background.
    # An object missed is lost, a piece of background only costs time.
    cfg.MODEL.FOCUS.FOCAL_ALPHA = 0.95
    # gamma of the focal loss.
    cfg.MODEL.FOCUS.FOCAL_GAMMA = 2.0
    # Choosing regions with a trained FocusNet. 0 or () below takes what the network's config says.
    cfg.TEST.FOCUS = CfgNode()
    # The detector reads only the regions that the network chooses.
    cfg.TEST.FOCUS.ENABLED = False
    # yaml of the network, which names its weights; "" is the bundled one.
    cfg.TEST.FOCUS.CONFIG = ""
    # Weights of the network; "" takes those that its config names.
    cfg.TEST.FOCUS.WEIGHTS = ""
    # Cells of at least this heat, in (0, 1), are read.
    cfg.TEST.FOCUS.THRESHOLD = 0.0
    # Sides of the kinds of regions, rising multiples of 32.
    cfg.TEST.FOCUS.WINDOWS = ()
    # A cell that is read lies whole in a region with this many pixels around it, for each kind. A
    # cell takes the first kind whose margin is no less than the object expected there is long.
    cfg.TEST.FOCUS.MARGINS = ()
    # Regions cover at most this share of a photograph, the hottest cells first; overlaps count
    # each time.
    cfg.TEST.FOCUS.MAX_AREA = 0.0
    # Decode files at reduced scale first, and at full scale only where something is hot: quicker
    # where most photographs show nothing. False decodes once, at full scale, which is quicker where
    # nearly all show something.
    cfg.TEST.FOCUS.REDUCED_FIRST = False
    # Share of objects that the threshold reported beside the metric "focus" keeps.
    cfg.TEST.FOCUS.KEEP = 0.995


def get_cfg() -> CfgNode:
    """Detectron2's default config with this project's keys."""
    cfg = get_detectron2_cfg()
    add_smallobj_config(cfg)
    return cfg


def load_config(path: str | None, opts: Sequence[str] = ()) -> CfgNode:
    """Reads a yaml config and its ``_BASE_`` files without ever running code from them.

    Args:
        path: yaml file; None for the defaults alone.
        opts: KEY VALUE pairs that override it.

    Raises:
        FileNotFoundError: the file, or one that it names in ``_BASE_``, is not there.
        ValueError: a Python tag (refused), broken yaml, an unknown key or a value of a wrong type.
    """
    cfg = get_cfg()
    try:
        if path is not None:
            cfg.merge_from_other_cfg(CfgNode(_read_yaml(os.fspath(path))))
    except yaml.constructor.ConstructorError as error:
        raise ValueError(
            f"{path}: refused, it carries a Python tag ({error.problem}). A tag like "
            "!!python/object runs code when loaded; write the value as plain yaml instead."
        ) from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as yaml: {error}") from error
    except (KeyError, AssertionError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {error.args[0] if error.args else error}") from error
    if len(opts) % 2:
        raise ValueError(f"options come as KEY VALUE pairs; got {len(opts)} words: {list(opts)}")
    try:
        cfg.merge_from_list(list(opts))
    except (KeyError, AssertionError, ValueError) as error:
        raise ValueError(f"bad option: {error.args[0] if error.args else error}") from error
    return cfg


def _read_yaml(path: str) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: there is no such config file")
    with open(path, encoding="utf-8") as file:
        # Detectron2 would look for _BASE_ in an empty file's None.
        if yaml.safe_load(file) is None:
            return {}
    return CfgNode.load_yaml_with_base(path, allow_unsafe=False)
