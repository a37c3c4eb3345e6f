"""Mask R-CNN as configured here: it learns masks, and takes the layers of Detectron2's own."""

from pathlib import Path

import numpy as np
import torch
from detectron2.config import get_cfg as get_detectron2_cfg
from detectron2.modeling import build_model as build_detectron2_model

import smallobj
from smallobj import load_config
from smallobj.evaluation.evaluators.coco import MaskCOCOEvaluator
from smallobj.geometry.masks import mask_rles
from smallobj.inference.tiled import TiledDetector
from smallobj.modeling import build_model

from detectron2.data import DatasetCatalog, MetadataCatalog  # isort: skip
from detectron2.structures import BoxMode  # isort: skip

ROOT = Path(smallobj.__file__).parent.parent
NAMES = ["red square", "green circle", "blue square"]


def labelled(tile, number):
    """A dataset dict of a training input."""
    truth = tile["instances"]
    columns = (truth.gt_boxes.tensor.tolist(), truth.gt_classes.tolist())
    return {
        "file_name": f"{number}.png",
        "image_id": number,
        "height": tile["height"],
        "width": tile["width"],
        "annotations": [
            {
                "bbox": box,
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": category,
                "segmentation": rle,
            }
            for box, category, rle in zip(*columns, mask_rles(truth.gt_masks.tensor), strict=True)
        ],
    }


def test_boxes_and_masks_of_eight_tiles_are_overfitted(overfit, draw_tile, suit, catalog):
    config = "configs/quick/mask_rcnn_tiny.yaml"
    # A ResNet-18 learns the same in seven times as long.
    narrow = ("MODEL.BACKBONE.NAME", "build_narrow_resnet_fpn_backbone")
    result = overfit(config, steps=200, learning_rate=0.006, options=narrow)
    assert result.map50 >= 0.95, result.history
    # The tiles again, as ``overfit`` draws them; tiled, so that masks go all the way.
    cfg = load_config(str(ROOT / config), ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    rng = np.random.default_rng(11)
    drawn = [draw_tile(n, rng, cfg.INPUT.TILE.SIZE) for n in (3, 0, 2, 9, 1, 4, 3, 2)]
    tiles = suit(cfg, drawn)
    records = [labelled(tile, number) for number, tile in enumerate(tiles)]
    DatasetCatalog.register("mask_tiles", lambda: records)
    MetadataCatalog.get("mask_tiles").set(thing_classes=NAMES)
    evaluator = MaskCOCOEvaluator("mask_tiles")
    detector = TiledDetector(cfg, result.model)
    items = [{key: tile[key] for key in ("image", "height", "width")} for tile in tiles]
    evaluator.process(records, detector(items))
    assert evaluator.evaluate()["segm"]["AP50"] >= 90


TRAINED_ELSEWHERE = (
    'MODEL.RESNETS.NORM FrozenBN MODEL.RESNETS.STRIDE_IN_1X1 True MODEL.FPN.NORM "" '
    "MODEL.BACKBONE.FREEZE_AT 2 MODEL.ROI_BOX_HEAD.NUM_CONV 0 MODEL.ROI_BOX_HEAD.NUM_FC 2 "
    'MODEL.ROI_BOX_HEAD.NORM "" MODEL.ROI_MASK_HEAD.NORM ""'
)


def test_weights_of_detectron2s_own_mask_rcnn_fit_with_the_options_of_the_page():
    page = (ROOT / "docs" / "masks.md").read_text().replace("\\\n", " ").replace("'", "")
    assert TRAINED_ELSEWHERE in " ".join(page.split())
    options = [word.strip('"') for word in TRAINED_ELSEWHERE.split()]
    chosen = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "80", *options]
    mine = build_model(load_config(str(ROOT / "configs/mask_rcnn_penn_fudan.yaml"), chosen))
    cfg = get_detectron2_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[32], [64], [128], [256], [512]]
    cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3", "p4", "p5", "p6"]
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2", "p3", "p4", "p5"]
    cfg.MODEL.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 2
    cfg.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
    cfg.MODEL.MASK_ON = True
    cfg.MODEL.ROI_MASK_HEAD.NAME = "MaskRCNNConvUpsampleHead"
    cfg.MODEL.ROI_MASK_HEAD.NUM_CONV = 4
    cfg.MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
    theirs = build_detectron2_model(cfg)
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (mine, theirs)]
    assert shapes[0] == shapes[1]
    anchors = [list(m.proposal_generator.anchor_generator.buffers()) for m in (mine, theirs)]
    assert all(torch.equal(a, b) for a, b in zip(*anchors, strict=True))
