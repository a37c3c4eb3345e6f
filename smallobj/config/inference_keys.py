"""Keys of testing: precision, tiles, mergers, metrics."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_test_keys(cfg: CfgNode) -> None:
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
    # Overlap: "iou", intersection over union; "ios", intersection over the smaller area; "nwd",
    # normalised Gaussian Wasserstein distance (arXiv 2110.13389) of boxes that share some area.
    cfg.TEST.MERGER.METRIC = "iou"
    # C of "nwd", in pixels: the typical side of an object.
    cfg.TEST.MERGER.NWD_CONSTANT = 12.8
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
    # Which metrics to compute: "coco" (boxes), "coco_masks" (masks, of labels that all have one),
    # "challenge" (the 2021 challenge's mAP50), "analysis" (by size, best F1, misses, types of
    # errors, calibration; and their pictures), "focus" (objects kept and area read by a network
    # that chooses regions).
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
