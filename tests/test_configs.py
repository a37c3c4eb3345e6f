"""Every shipped config: it builds, it runs, and it trains from scratch as it says."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import smallobj
from smallobj import load_config
from smallobj.data.mappers.registry import build_train_mapper
from smallobj.geometry.masks import CropMasks
from smallobj.inference.detector import wrap_for_test
from smallobj.inference.focus import RegionChooser
from smallobj.merging import build_merger
from smallobj.modeling import build_model

FOLDER = Path(smallobj.__file__).parent.parent / "configs"
CONFIGS = sorted(FOLDER.rglob("*.yaml"))
MODELS = [path for path in CONFIGS if not path.name.startswith("Base-")]
FOCUS = [path for path in MODELS if path.name.startswith("focus")]
DETECTORS = [path for path in MODELS if path not in FOCUS]
ON_CPU = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3"]


def name_of(path):
    return str(path.relative_to(FOLDER))


def test_there_are_configs():
    names = [name_of(path) for path in MODELS]
    assert {"cascade.yaml", "cascade_r18.yaml", "faster_rcnn_whole.yaml"} <= set(names)
    assert "focus.yaml" in names
    assert {"retinanet.yaml", "faster_rcnn.yaml", "mask_rcnn.yaml"} <= set(names)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_bases_are_there_and_no_key_is_written_twice(path):
    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key) for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"{path.name}: a key twice among {keys}"
            return super().construct_mapping(node, deep)

    Strict.add_constructor(
        "tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, True)
    )
    content = yaml.load(path.read_text(), Strict)
    if "_BASE_" in content:
        assert (path.parent / content["_BASE_"]).is_file()
    load_config(str(path))


@pytest.mark.parametrize("path", MODELS, ids=name_of)
def test_training_is_from_scratch(path):
    cfg = load_config(str(path))
    assert cfg.MODEL.WEIGHTS == ""
    assert cfg.MODEL.BACKBONE.FREEZE_AT == 0
    if path in FOCUS:
        assert cfg.MODEL.FOCUS.NORM == "BN"


@pytest.mark.parametrize("path", DETECTORS, ids=name_of)
def test_resnets_and_their_heads_have_groupnorm(path):
    cfg = load_config(str(path))
    if "resnet" not in cfg.MODEL.BACKBONE.NAME:
        return
    assert cfg.MODEL.RESNETS.NORM == "GN"
    assert cfg.MODEL.FPN.NORM == "GN"
    if cfg.MODEL.META_ARCHITECTURE == "RetinaNet":
        assert cfg.MODEL.RETINANET.NORM == "GN"
    if "rcnn" in path.name or "cascade" in path.name:
        assert cfg.MODEL.ROI_BOX_HEAD.NORM == "GN"
        assert cfg.MODEL.ROI_BOX_HEAD.NUM_CONV > 0, "a linear layer carries no GroupNorm"


@pytest.mark.parametrize("path", DETECTORS, ids=name_of)
def test_groupnorm_never_sees_test_tiles_much_larger_than_in_training(path):
    cfg = load_config(str(path))
    if cfg.MODEL.META_ARCHITECTURE == "YOLOv3":
        assert cfg.MODEL.DARKNET.NORM == cfg.MODEL.YOLO.NORM == "BN"
    elif cfg.TEST.TILE.ENABLED:
        assert cfg.TEST.TILE.SIZE <= 2 * cfg.INPUT.TILE.SIZE


@pytest.mark.parametrize("path", DETECTORS, ids=name_of)
def test_test_tiles_overlap_by_the_longest_object(path):
    cfg = load_config(str(path))
    if cfg.TEST.TILE.ENABLED:
        if "quick" not in path.parts:
            assert cfg.TEST.TILE.OVERLAP >= 100
        assert cfg.INPUT.MIN_SIZE_TEST == 0, "tiles are cut at native resolution"


@pytest.mark.parametrize("path", DETECTORS, ids=name_of)
def test_anchors_of_a_proposal_network_begin_near_the_least_object(path):
    cfg = load_config(str(path))
    if cfg.MODEL.META_ARCHITECTURE != "GeneralizedRCNN":
        return
    if cfg.TEST.TILE.ENABLED:
        anchors = [size for level in cfg.MODEL.ANCHOR_GENERATOR.SIZES for size in level]
        assert min(anchors) <= 16, "objects of 10 px need anchors near that size"
    strides = len(cfg.MODEL.RPN.IN_FEATURES)
    assert len(cfg.MODEL.ANCHOR_GENERATOR.SIZES) in (1, strides)


@pytest.mark.parametrize("path", DETECTORS, ids=name_of)
def test_yolo_sees_darknets_pixels_in_whole_cells_with_anchors_for_small_objects(path):
    cfg = load_config(str(path))
    if cfg.MODEL.META_ARCHITECTURE != "YOLOv3":
        return
    assert list(cfg.MODEL.PIXEL_MEAN) == [0, 0, 0]
    assert list(cfg.MODEL.PIXEL_STD) == [255, 255, 255]
    assert cfg.INPUT.TILE.SIZE % 32 == cfg.TEST.TILE.SIZE % 32 == 0
    areas = [width * height for width, height in cfg.MODEL.YOLO.ANCHORS]
    assert len(areas) == 9
    assert areas == sorted(areas)
    assert min(min(sides) for sides in cfg.MODEL.YOLO.ANCHORS) <= 16


RETINANETS = [path for path in DETECTORS if path.name.startswith("retinanet")]
MASKS = [path for path in DETECTORS if path.name.startswith("mask_rcnn")]


def best_overlap(sides, strides, side):
    """IoU of a square with the best square anchor, at the worst place it may have on the grid."""
    found = 0.0
    for level, stride in zip(sides, strides, strict=True):
        for anchor in level:
            shared = min(side, anchor, (side + anchor - stride) / 2)
            shared = max(shared, 0) ** 2
            found = max(found, shared / (side**2 + anchor**2 - shared))
    return found


@pytest.mark.parametrize("path", RETINANETS, ids=name_of)
def test_retinanets_anchors_reach_every_object_wherever_it_lies(path):
    cfg = load_config(str(path))
    sides = cfg.MODEL.ANCHOR_GENERATOR.SIZES
    assert cfg.MODEL.RETINANET.IN_FEATURES == ["p2", "p3", "p4", "p5"]
    assert cfg.MODEL.RETINANET.IOU_THRESHOLDS == [0.4, 0.5]
    for side in range(10, 101):
        assert best_overlap(sides, (4, 8, 16, 32), side) >= 0.5, side
    # Why it doesn't begin at P3, with these or with Detectron2's own anchors.
    assert best_overlap(sides, (8, 8, 16, 32), 10) < 0.3
    assert best_overlap([[32.0]], (8,), 10) < 0.1


def test_retinanet_has_the_papers_numbers():
    node = load_config(str(FOLDER / "retinanet.yaml")).MODEL
    assert (node.RETINANET.FOCAL_LOSS_ALPHA, node.RETINANET.FOCAL_LOSS_GAMMA) == (0.25, 2.0)
    assert node.RETINANET.PRIOR_PROB == 0.01
    assert node.RETINANET.NUM_CONVS == 4
    for level in node.ANCHOR_GENERATOR.SIZES:
        octaves = [side / level[0] for side in level]
        assert octaves == pytest.approx([1, 2 ** (1 / 3), 2 ** (2 / 3)], rel=0.005)


@pytest.mark.parametrize("path", RETINANETS + MASKS, ids=name_of)
def test_every_layer_of_a_head_but_the_last_has_groupnorm(path):
    model = build_model(load_config(str(path), ON_CPU))
    heads = [model.head] if path in RETINANETS else [model.roi_heads.mask_head]
    for head in heads:
        norms = [m for m in head.modules() if isinstance(m, nn.GroupNorm)]
        convs = [m for m in head.modules() if isinstance(m, nn.Conv2d)]
        # RetinaNet predicts by two layers, the mask head by one.
        assert len(norms) == len(convs) - (2 if path in RETINANETS else 1) > 0


@pytest.mark.parametrize("path", MASKS, ids=name_of)
def test_mask_models_take_both_kinds_of_masks_and_measure_them(path):
    cfg = load_config(str(path))
    assert cfg.MODEL.MASK_ON
    assert cfg.INPUT.MASK_FORMAT == "bitmask"
    assert "coco_masks" in cfg.TEST.METRICS
    # smallobj_train has no masks.
    assert "smallobj_train" not in cfg.DATASETS.TRAIN


def test_penn_fudan_has_the_tutorials_schedule():
    cfg = load_config(str(FOLDER / "mask_rcnn_penn_fudan.yaml"))
    solver, steps_an_epoch = cfg.SOLVER, 60
    assert solver.IMS_PER_BATCH == 2
    assert solver.MAX_ITER / steps_an_epoch == 10
    assert [step / steps_an_epoch for step in solver.STEPS] == [3, 6, 9]
    assert (solver.BASE_LR, solver.MOMENTUM, solver.GAMMA) == (0.005, 0.9, 0.1)
    assert (solver.WEIGHT_DECAY, solver.WEIGHT_DECAY_NORM) == (5e-4, 5e-4)
    assert not cfg.TEST.TILE.ENABLED
    assert cfg.INPUT.MAPPER == "DatasetMapper"


@pytest.mark.parametrize("path", FOCUS, ids=name_of)
def test_a_focus_network_builds_and_runs(path):
    cfg = load_config(str(path), ON_CPU)
    build_train_mapper(cfg)
    model = build_model(cfg).eval()
    assert all(parameter.requires_grad for parameter in model.parameters())
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        (output,) = wrap_for_test(cfg, model)([{"image": image, "height": 128, "width": 192}])
    assert output["focus"].shape == (8, 12)
    assert torch.isfinite(output["focus"]).all()
    # What a detector takes from here must be there.
    node = cfg.TEST.FOCUS
    RegionChooser(
        model,
        threshold=node.HEAT_THRESH,
        windows=node.WINDOWS,
        margins=node.MARGINS,
        max_area=node.MAX_AREA,
    )


@pytest.mark.parametrize("path", DETECTORS, ids=name_of)
def test_it_builds_and_runs(path):
    # Untrained, a detector sees something everywhere; a few of them will do.
    few = ["MODEL.RPN.POST_NMS_TOPK_TEST", "20", "TEST.DETECTIONS_PER_IMAGE", "10"]
    cfg = load_config(str(path), [*ON_CPU, *few])
    if "timm" in cfg.MODEL.BACKBONE.NAME:
        pytest.importorskip("timm", reason="timm is optional: requirements-timm.txt")
    build_train_mapper(cfg)
    build_merger(cfg)
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    if "resnet" in cfg.MODEL.BACKBONE.NAME:
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    (output,) = wrap_for_test(cfg, model)([{"image": image, "height": 128, "width": 192}])
    found = output["instances"]
    assert found.image_size == (128, 192)
    assert torch.isfinite(found.pred_boxes.tensor).all()
    assert len(found) <= cfg.TEST.DETECTIONS_PER_IMAGE
    if cfg.MODEL.MASK_ON:
        masks = found.pred_masks
        assert isinstance(masks, CropMasks if cfg.TEST.TILE.ENABLED else torch.Tensor)
        assert len(masks) == len(found)
