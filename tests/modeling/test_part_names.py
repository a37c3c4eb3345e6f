"""Unknown names of a model's parts are told by their key, with the name that was meant."""

import pytest

from smallobj.modeling import build_model


@pytest.mark.parametrize(
    ("key", "wrong", "meant"),
    [
        ("MODEL.META_ARCHITECTURE", "GeneralisedRCNN", "GeneralizedRCNN"),
        ("MODEL.META_ARCHITECTURE", "yolov3", "YOLOv3"),
        ("MODEL.BACKBONE.NAME", "build_resnet_fpn_backbones", "build_resnet_fpn_backbone"),
        ("MODEL.ROI_HEADS.NAME", "SmallObjectROIHead", "SmallObjectROIHeads"),
        ("MODEL.PROPOSAL_GENERATOR.NAME", "RPNs", "RPN"),
        ("MODEL.ROI_BOX_HEAD.NAME", "FastRCNNConvFCHeads", "FastRCNNConvFCHead"),
        ("MODEL.ANCHOR_GENERATOR.NAME", "DefaultAnchorGenerators", "DefaultAnchorGenerator"),
    ],
)
def test_an_unknown_part_is_told_by_its_key(tiny_config, key, wrong, meant):
    with pytest.raises(ValueError, match=f"{key} must be one of ") as error:
        build_model(tiny_config(key, wrong))
    assert f"got {wrong!r}; did you mean {meant!r}" in str(error.value)
