"""Keys of the network that chooses what a detector reads, and of choosing with it."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_focus_keys(cfg: CfgNode) -> None:
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
