"""Keys of test-time augmentation and of ensembles of several models."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_tta_keys(cfg: CfgNode) -> None:
    """Behind :func:`add_test_keys`, whose merger's keys are repeated here."""
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


def add_ensemble_keys(cfg: CfgNode) -> None:
    """Behind :func:`add_test_keys`."""
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
    cfg.TEST.ENSEMBLE.MERGER.IOU_THRESHOLD = 0.55
