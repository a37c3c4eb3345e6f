"""Keys of earlier versions: each is refused with a message that names the key that replaced it."""

from __future__ import annotations

from detectron2.config import CfgNode

_MERGERS = ("TEST.MERGER", "TEST.TTA.MERGER", "TEST.ENSEMBLE.MERGER")

# Old name: new name.
RENAMED_KEYS: dict[str, str] = {
    "MODEL.SSD.IOU_THRESHOLD": "MODEL.SSD.IOU_THRESHOLDS",
    "MODEL.REFINEDET.IOU_THRESHOLD": "MODEL.REFINEDET.IOU_THRESHOLDS",
    "MODEL.RPN.NWD_CONSTANT": "MODEL.NWD_CONSTANT",
    "MODEL.ROI_BOX_HEAD.NWD_CONSTANT": "MODEL.NWD_CONSTANT",
    "TEST.FOCUS.THRESHOLD": "TEST.FOCUS.HEAT_THRESH",
    "TEST.VISUALIZE": "TEST.VIS_IMAGES",
    "TEST.VISUALIZE_THRESHOLD": "TEST.VIS_SCORE_THRESH",
    **{f"{merger}.IOU_THRESHOLD": f"{merger}.OVERLAP_THRESH" for merger in _MERGERS},
    **{f"{merger}.SCORE_THRESHOLD": f"{merger}.SCORE_THRESH" for merger in _MERGERS},
    **{f"{merger}.NWD_CONSTANT": "MODEL.NWD_CONSTANT" for merger in _MERGERS},
}
# Changes of the value that came with the new name.
_NOTES = {
    "MODEL.SSD.IOU_THRESHOLD": "it is a list of one number",
    "MODEL.REFINEDET.IOU_THRESHOLD": "it is a list of one number",
}


def refuse_renamed_keys(cfg: CfgNode) -> None:
    """Makes the config raise KeyError when a file or an option sets a key of an earlier version."""
    for old, new in RENAMED_KEYS.items():
        cfg.register_renamed_key(old, new, message=_NOTES.get(old))
