"""Keys of inference and evaluation (precision, tiles, mergers, metrics, focus, TTA ...): TEST."""

from __future__ import annotations

from detectron2.config import CfgNode

# Default of TEST.DETECTIONS_PER_IMAGE.
MOST_DETECTIONS = 1000


def add_test_keys(cfg: CfgNode) -> None:
    """Adds TEST.*."""
    _add_tile_keys(cfg)
    _add_merger_keys(cfg)
    _add_metric_keys(cfg)
    _add_focus_keys(cfg)
    # After the merger's keys, which these two copy.
    _add_tta_keys(cfg)
    _add_ensemble_keys(cfg)


def _add_tile_keys(cfg: CfgNode) -> None:
    """Keys of precision, of the number of detections, and of tiles."""
    # Largest number of detections of an image, and of a tile before its detections are merged with
    # those of other tiles; COCO's maxDets in evaluation. Detectron2's default is 100, as in COCO's
    # protocol. Training raises this default if images of the data have more than half as many
    # objects, and writes the number to OUTPUT_DIR/config.yaml.
    cfg.TEST.DETECTIONS_PER_IMAGE = MOST_DETECTIONS
    # Precision of backbone and heads at test time: float32, bfloat16, float16, or "auto", which
    # takes a 16-bit type if the hardware computes in it natively. Boxes stay in float32.
    cfg.TEST.PRECISION = "auto"
    cfg.TEST.TILE = CfgNode()
    # Cut the image into tiles at test time; False runs the detector on the whole image.
    cfg.TEST.TILE.ENABLED = True
    # Side of the square test tile in pixels.
    cfg.TEST.TILE.SIZE = 1024
    # Overlap of neighbouring tiles in pixels. It should be at least the longest side of an object,
    # so that some tile shows the object whole.
    cfg.TEST.TILE.OVERLAP = 128
    # Tiles of TEST.TILE.SIZE squared in a batch. Smaller tiles are batched up to the same number of
    # pixels. Halved when memory runs out.
    cfg.TEST.TILE.BATCH_SIZE = 2
    # A batch may hold tiles of several images, which keeps a GPU busy where images have few tiles.
    # With False the result of an image is bit-identical whatever images are processed beside it.
    cfg.TEST.TILE.MIX_IMAGES = True
    # A box closer than this, in pixels, to an interior tile edge counts as touching it.
    cfg.TEST.TILE.SEAM_MARGIN = 2.0
    # Such a box is dropped in favour of a whole box from another tile if that box, clipped to the
    # tile of the dropped one, overlaps it by at least this IoU, in (0, 1]. Above 1 none is dropped.
    cfg.TEST.TILE.SEAM_IOU = 0.5


def _add_merger_keys(cfg: CfgNode) -> None:
    # The merger, which merges the boxes of all tiles, by its name in MERGER_REGISTRY: nms,
    # soft_nms, nmm, wbf, vote, soft_vote, or one of your own.
    cfg.TEST.MERGER = CfgNode()
    cfg.TEST.MERGER.NAME = "nms"
    # Boxes of one class that overlap by more than this are one object (Nt in the Soft-NMS paper);
    # in [0, 1].
    cfg.TEST.MERGER.OVERLAP_THRESH = 0.5
    # Measure of overlap: "iou", intersection over union; "ios", intersection over the smaller area;
    # "nwd", normalised Gaussian Wasserstein distance (arXiv 2110.13389) of boxes that share some
    # area, with MODEL.NWD_CONSTANT.
    cfg.TEST.MERGER.METRIC = "iou"
    # Merge boxes of different classes too.
    cfg.TEST.MERGER.CLASS_AGNOSTIC = False
    # soft_nms: factor on the scores of overlapping boxes. "gaussian": exp(-overlap^2 / SIGMA);
    # "linear": (1 - overlap) where the overlap exceeds OVERLAP_THRESH.
    cfg.TEST.MERGER.DECAY = "gaussian"
    # soft_nms: sigma of arXiv 1704.04503, section 3: larger values lower scores less.
    cfg.TEST.MERGER.SIGMA = 0.5
    # soft_nms, soft_vote: boxes whose lowered score is below this are dropped.
    cfg.TEST.MERGER.SCORE_THRESH = 0.001
    # wbf: score of a fused box, "mean" or "max" of the boxes in it.
    cfg.TEST.MERGER.WBF_SCORE = "mean"


def _add_metric_keys(cfg: CfgNode) -> None:
    # Metrics to compute, by their names in EVALUATOR_REGISTRY: "coco" (boxes), "coco_masks" (masks;
    # every label must have one), "challenge" (the 2021 challenge's mAP50), "analysis" (results by
    # size, best F1, missed objects, types of errors, calibration; with their pictures), "focus"
    # (share of objects kept and of area read by a network that chooses regions), or your own.
    cfg.TEST.METRICS = ["coco", "challenge", "analysis"]
    # Where a dataset has other classes than the model, evaluate those that both have: False makes
    # the difference an error. Labels and detections of the other classes are left out.
    cfg.TEST.COMMON_CLASSES_ONLY = False
    # Bins of object size (square root of the area) in "analysis": bounds in px, or "default"
    # (10,20,40,70,100), "coco", "ai-tod".
    cfg.TEST.SIZE_BINS = "default"
    # True adds 1 px to widths and heights before IoU, as the challenge's scorer does.
    cfg.TEST.CHALLENGE = CfgNode()
    cfg.TEST.CHALLENGE.PLUS_ONE = True
    # False compares a detection only with the ground truth of highest IoU, as the challenge's
    # scorer does. True tries the next ones if that one is already matched.
    cfg.TEST.CHALLENGE.FALL_BACK = False
    # Number of validation images drawn to TensorBoard at each evaluation, with the ground truth
    # beside the detections.
    cfg.TEST.VIS_IMAGES = 4
    # Lowest score of the detections drawn there.
    cfg.TEST.VIS_SCORE_THRESH = 0.5


def _add_focus_keys(cfg: CfgNode) -> None:
    """Keys for choosing regions with a trained FocusNet.

    The values 0 and () mean: as in the network's config.
    """
    cfg.TEST.FOCUS = CfgNode()
    # Run the detector only on the regions that the network chooses.
    cfg.TEST.FOCUS.ENABLED = False
    # yaml config of the network, which names its weights; "": the bundled network.
    cfg.TEST.FOCUS.CONFIG = ""
    # Weights of the network; "": those that its config names.
    cfg.TEST.FOCUS.WEIGHTS = ""
    # Cells of at least this heat, in (0, 1), are read.
    cfg.TEST.FOCUS.HEAT_THRESH = 0.0
    # Sides of the kinds of regions in pixels: rising multiples of 32.
    cfg.TEST.FOCUS.WINDOWS = ()
    # Margin in pixels, one for each kind of region: a cell that is read lies in a region that also
    # covers this margin around it. A cell gets the first kind whose margin is at least the longer
    # side of the object expected there.
    cfg.TEST.FOCUS.MARGINS = ()
    # Largest share of an image that its regions may cover; the hottest cells come first, and
    # overlaps of regions count repeatedly.
    cfg.TEST.FOCUS.MAX_AREA = 0.0
    # True decodes files at reduced scale first, and at full scale only if a cell is hot: faster if
    # most images show nothing. False decodes once, at full scale: faster if nearly all images show
    # something.
    cfg.TEST.FOCUS.REDUCED_FIRST = False
    # The metric "focus" also reports a heat threshold: the one that keeps this share of the
    # objects.
    cfg.TEST.FOCUS.KEEP = 0.995


def _add_tta_keys(cfg: CfgNode) -> None:
    """Keys of test-time augmentation."""
    cfg.TEST.TTA = CfgNode()
    # Run the detector on several scaled and flipped copies of each image and merge the detections.
    cfg.TEST.TTA.ENABLED = False
    # A published list of passes: refinedet320, refinedet320_coco, refinedet512, refinedet512_coco.
    # "": the passes are given by SCALES, FLIPS and KEEP, which a preset overrides.
    cfg.TEST.TTA.PRESET = ""
    # Sides of the scaled image over those of the original: a number, or a pair for the (longer,
    # shorter) side. 1: not scaled.
    cfg.TEST.TTA.SCALES = (1.0,)
    # At each scale there is one pass over the unflipped image and one for each of these:
    # horizontal, vertical (mirrored left to right, top to bottom), both, transpose, transverse
    # (mirrored in a diagonal), clockwise, counterclockwise (turned by 90 degrees).
    cfg.TEST.TTA.FLIPS = ("horizontal",)
    # Boxes to keep at each scale, one string per scale: "min<96" or "max>32" limits the shorter or
    # longer side in pixels of the original image; several conditions are separated by commas; ""
    # keeps all. () keeps all at every scale.
    cfg.TEST.TTA.KEEP = ()
    # False: passes over the whole image, each cut into tiles of TEST.TILE.SIZE. True: passes over
    # each tile, as needed to scan a huge image; memory grows with the square of the scale.
    cfg.TEST.TTA.PER_TILE = False
    # Merger of the boxes of all passes; keys as in TEST.MERGER.
    cfg.TEST.TTA.MERGER = cfg.TEST.MERGER.clone()
    cfg.TEST.TTA.MERGER.NAME = "vote"


def _add_ensemble_keys(cfg: CfgNode) -> None:
    cfg.TEST.ENSEMBLE = CfgNode()
    # Further models of the ensemble, beside the model of this config: "CONFIG.yaml:WEIGHTS", or
    # "CONFIG.yaml" for the weights in its MODEL.WEIGHTS. Each model uses the tiles, resizing,
    # precision and TTA of its own config. All must have the same classes, in any order.
    cfg.TEST.ENSEMBLE.MEMBERS = []
    # Weight of each model's scores, w in arXiv 1910.13302: first the model of this config, then
    # MEMBERS. (): equal weights.
    cfg.TEST.ENSEMBLE.WEIGHTS = ()
    # Merger of the boxes of all models; keys as in TEST.MERGER. Here wbf lowers the score of a box
    # that not all models found, as published (section 3); on tiles it doesn't.
    cfg.TEST.ENSEMBLE.MERGER = cfg.TEST.MERGER.clone()
    cfg.TEST.ENSEMBLE.MERGER.NAME = "wbf"
    cfg.TEST.ENSEMBLE.MERGER.OVERLAP_THRESH = 0.55
