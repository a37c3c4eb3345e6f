"""Every shipped config: it builds, it runs, and it trains from scratch as it says."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import smallobj
from smallobj import load_config
from smallobj.data.tile_mapper import build_train_mapper
from smallobj.inference.focus import RegionChooser
from smallobj.inference.wrap import wrap_for_test
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
    if "cascade" in path.name:
        assert cfg.MODEL.ROI_BOX_HEAD.NORM == "GN"
        assert cfg.MODEL.ROI_BOX_HEAD.NUM_CONV > 0, "a linear layer carries no GroupNorm"


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
        threshold=node.THRESHOLD,
        windows=node.WINDOWS,
        margins=node.MARGINS,
        max_area=node.MAX_AREA,
    )


@pytest.mark.parametrize("path", DETECTORS, ids=name_of)
def test_it_builds_and_runs(path):
    cfg = load_config(str(path), ON_CPU)
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
