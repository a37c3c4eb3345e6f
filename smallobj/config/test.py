"""Keys of testing: precision, tiles, mergers, metrics, focus, TTA, ensembles: TEST."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_test_keys(cfg: CfgNode) -> None:
    """Adds TEST.*."""
    _add_tile_keys(cfg)
    _add_merger_keys(cfg)
    _add_metric_keys(cfg)
    _add_focus_keys(cfg)
    # Behind the merger's keys, which these repeat.
    _add_tta_keys(cfg)
    _add_ensemble_keys(cfg)


def _add_tile_keys(cfg: CfgNode) -> None:
    """Of arithmetic and of tiles."""
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
    # Tiles of TEST.TILE.SIZE squared in a batch. Smaller tiles are batched up to the same number of
    # pixels. Halved when memory runs out.
    cfg.TEST.TILE.BATCH_SIZE = 2
    # A batch may hold tiles of several images, which keeps a GPU busy where images have few tiles.
    # With False the result of an image is bit-identical whatever images are processed beside it.
    cfg.TEST.TILE.MIX_IMAGES = True
    # A box closer than this to an interior tile edge counts as touching it.
    cfg.TEST.TILE.SEAM_MARGIN = 2.0
    # Such a box gives way to a whole one of another tile which, clipped to the box's own tile,
    # overlaps it by at least this IoU, in (0, 1]. Above 1 no box gives way.
    cfg.TEST.TILE.SEAM_IOU = 0.5


def _add_merger_keys(cfg: CfgNode) -> None:
    # Merges the boxes of all tiles, by its name in MERGER_REGISTRY: nms, soft_nms, nmm, wbf, vote,
    # soft_vote, or one of your own.
    cfg.TEST.MERGER = CfgNode()
    cfg.TEST.MERGER.NAME = "nms"
    # Boxes of one class that overlap by more than this are one object (Nt in the Soft-NMS paper).
    cfg.TEST.MERGER.OVERLAP_THRESH = 0.5
    # Overlap: "iou", intersection over union; "ios", intersection over the smaller area; "nwd",
    # normalised Gaussian Wasserstein distance (arXiv 2110.13389) of boxes that share some area,
    # with MODEL.NWD_CONSTANT.
    cfg.TEST.MERGER.METRIC = "iou"
    # Merge across classes too.
    cfg.TEST.MERGER.CLASS_AGNOSTIC = False
    # soft_nms: scores times exp(-overlap^2 / SIGMA), "gaussian", or (1 - overlap) beyond the
    # threshold, "linear".
    cfg.TEST.MERGER.DECAY = "gaussian"
    # sigma of arXiv 1704.04503, section 3: larger values lower scores less.
    cfg.TEST.MERGER.SIGMA = 0.5
    # soft_nms, soft_vote: boxes whose lowered score is below this are dropped.
    cfg.TEST.MERGER.SCORE_THRESH = 0.001
    # wbf: score of a fused box, "mean" or "max" of the boxes in it.
    cfg.TEST.MERGER.WBF_SCORE = "mean"


def _add_metric_keys(cfg: CfgNode) -> None:
    # Which metrics to compute, by their names in EVALUATOR_REGISTRY: "coco" (boxes), "coco_masks"
    # (masks, of labels that all have one), "challenge" (the 2021 challenge's mAP50), "analysis" (by
    # size, best F1, misses, types of errors, calibration; and their pictures), "focus" (objects
    # kept and area read by a network that chooses regions), or your own.
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
    cfg.TEST.VIS_IMAGES = 4
    # Lowest score that is drawn there.
    cfg.TEST.VIS_SCORE_THRESH = 0.5


def _add_focus_keys(cfg: CfgNode) -> None:
    """Of choosing regions with a trained FocusNet."""
    # Choosing regions with a trained FocusNet. 0 or () below takes what the network's config says.
    cfg.TEST.FOCUS = CfgNode()
    # The detector reads only the regions that the network chooses.
    cfg.TEST.FOCUS.ENABLED = False
    # yaml of the network, which names its weights; "" is the bundled one.
    cfg.TEST.FOCUS.CONFIG = ""
    # Weights of the network; "" takes those that its config names.
    cfg.TEST.FOCUS.WEIGHTS = ""
    # Cells of at least this heat, in (0, 1), are read.
    cfg.TEST.FOCUS.HEAT_THRESH = 0.0
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


def _add_tta_keys(cfg: CfgNode) -> None:
    cfg.TEST.TTA = CfgNode()
    # Run the detector several times over each image, scaled and mirrored, and merge what it finds.
    cfg.TEST.TTA.ENABLED = False
    # A published list of passes: refinedet320, refinedet320_coco, refinedet512, refinedet512_coco.
    # "" takes the three keys below, which a preset leaves aside.
    cfg.TEST.TTA.PRESET = ""
    # Sides of the image that is looked at over those of the image: a number, or (longer, shorter)
    # side. 1 leaves it alone.
    cfg.TEST.TTA.SCALES = (1.0,)
    # At each scale the image as it is, and once for each of these: horizontal, vertical (mirrored
    # left to right, top to bottom), both, transpose, transverse (mirrored in a diagonal),
    # clockwise, counterclockwise (turned by 90 degrees).
    cfg.TEST.TTA.FLIPS = ("horizontal",)
    # Which boxes count at each scale, one text a scale: "min<96" or "max>32", the shorter or the
    # longer side in pixels of the photograph; "" all; several with commas. () all at every scale.
    cfg.TEST.TTA.KEEP = ()
    # False: passes over the whole image, each cut into tiles of TEST.TILE.SIZE. True: passes over
    # each tile, as a scan of a huge image needs it; memory grows with the scale squared.
    cfg.TEST.TTA.PER_TILE = False
    # Merges the boxes of all passes; keys as TEST.MERGER.
    cfg.TEST.TTA.MERGER = cfg.TEST.MERGER.clone()
    cfg.TEST.TTA.MERGER.NAME = "vote"


def _add_ensemble_keys(cfg: CfgNode) -> None:
    cfg.TEST.ENSEMBLE = CfgNode()
    # Models that look at each image beside this config's own: "CONFIG.yaml:WEIGHTS", or
    # "CONFIG.yaml", whose MODEL.WEIGHTS count. Each with tiles, resizing, precision and TTA of its
    # own config. All must have the same classes.
    cfg.TEST.ENSEMBLE.MEMBERS = []
    # Weight of each model's scores, w in arXiv 1910.13302: this config's own first, then those of
    # MEMBERS. () all alike.
    cfg.TEST.ENSEMBLE.WEIGHTS = ()
    # Merges the boxes of all models; keys as TEST.MERGER. Here wbf lowers the score of what not all
    # models found, as published (section 3); on tiles it doesn't.
    cfg.TEST.ENSEMBLE.MERGER = cfg.TEST.MERGER.clone()
    cfg.TEST.ENSEMBLE.MERGER.NAME = "wbf"
    cfg.TEST.ENSEMBLE.MERGER.OVERLAP_THRESH = 0.55
