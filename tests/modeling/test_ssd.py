"""SSD's loss with numbers worked by hand, its decoding, and wrong settings."""

import math

import pytest
import torch
from detectron2.structures import Boxes, Instances

from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.meta_arch.ssd import SSD


@pytest.fixture
def tiny(repository):
    def make(*options):
        path = str(repository / "configs" / "quick" / "ssd_tiny.yaml")
        words = ["MODEL.ROI_HEADS.NUM_CLASSES", "2", *map(str, options)]
        torch.manual_seed(0)
        return build_model(load_config(path, words))

    return make


ANCHORS = [Boxes(torch.tensor([[0.0, 0, 10, 10]]).repeat(8, 1))]


def losses_of(model, classes, deltas=None, logits=None):
    count = len(classes)
    return model.losses(
        ANCHORS,
        torch.zeros(count, 8, 3) if logits is None else logits,
        torch.zeros(count, 8, 4) if deltas is None else deltas,
        [torch.tensor(row) for row in classes],
        [torch.tensor([[1.0, 0, 11, 10]]).repeat(8, 1)] * count,
    )


def test_losses_worked_by_hand(tiny):
    model = tiny("MODEL.SSD.MIN_NEGATIVES", 0)
    losses = losses_of(model, [[0, 2, 2, 2, 2, 2, 2, 2], [2] * 8])
    # One object: itself and three of background at -log(1/3) each; the second image adds nothing.
    torch.testing.assert_close(losses["loss_cls"], torch.tensor(4 * math.log(3)))
    # A shift by 0.1 of the side is 1 after division by the variance; smooth L1 of 1 is 0.5.
    torch.testing.assert_close(losses["loss_box_reg"], torch.tensor(0.5))


def test_losses_are_for_each_matched_box(tiny):
    model = tiny("MODEL.SSD.MIN_NEGATIVES", 0)
    losses = losses_of(model, [[0, 2, 2, 2, 2, 2, 2, 2], [1, 0, 2, 2, 2, 2, 2, 2]])
    # 3 boxes of objects, 3 + 6 of background: 12 log 3 over 3.
    torch.testing.assert_close(losses["loss_cls"], torch.tensor(4 * math.log(3)))
    torch.testing.assert_close(losses["loss_box_reg"], torch.tensor(0.5))


def test_the_background_of_highest_loss_counts(tiny):
    model = tiny("MODEL.SSD.MIN_NEGATIVES", 0)
    logits = torch.zeros(1, 8, 3)
    logits[0, 5:] = torch.tensor([0.0, 3.0, 0.0])  # sure of a class where there is nothing
    losses = losses_of(model, [[0, 2, 2, 2, 2, 2, 2, 2]], logits=logits)
    wrong = math.log(2 + math.exp(3))
    torch.testing.assert_close(losses["loss_cls"], torch.tensor(math.log(3) + 3 * wrong))


def test_empty_tiles_contribute_only_by_the_minimum_of_negatives(tiny):
    empty = [[2] * 8, [2] * 8]
    none = losses_of(tiny("MODEL.SSD.MIN_NEGATIVES", 0), empty)
    assert none["loss_cls"] == none["loss_box_reg"] == 0
    # Six negatives a tile stand for two matched boxes a tile: 12 log 3 over 4.
    some = losses_of(tiny("MODEL.SSD.MIN_NEGATIVES", 6), empty)
    torch.testing.assert_close(some["loss_cls"], torch.tensor(3 * math.log(3)))


def test_an_object_that_fits_no_default_box_still_gets_one(tiny):
    model = tiny()
    truth = Instances((128, 128))
    truth.gt_boxes = Boxes(torch.tensor([[60.0, 60, 63, 63]]))
    truth.gt_classes = torch.tensor([1])
    anchors = model.anchor_generator([torch.zeros(1, 1, side, side) for side in (16, 8, 4)])
    (classes,), (boxes,) = model.label_anchors(anchors, [truth])
    assert (classes == 1).sum() == 1
    assert torch.equal(boxes[classes == 1], truth.gt_boxes.tensor)


def decode(
    model, scores, deltas=None, anchors=((10, 10, 30, 30), (11, 10, 31, 30), (60, 60, 90, 90))
):
    deltas = torch.zeros(len(anchors), 4) if deltas is None else deltas
    boxes = Boxes(torch.tensor(anchors, dtype=torch.float32))
    return model.inference_single_image(boxes, torch.tensor(scores), deltas, (80, 100))


def test_one_box_an_object_of_each_class_remains(tiny):
    found = decode(tiny(), [[0.9, 0.0], [0.8, 0.7], [0.3, 0.005]])
    # Of class 0 the second box gives way to the first; class 1 has none of it. 0.005 is too low.
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.3])
    assert found.pred_classes.tolist() == [0, 1, 0]
    # The third one is clipped to the image.
    assert found.pred_boxes.tensor[2].tolist() == [60, 60, 90, 80]


def test_each_class_has_its_own_best_candidates(tiny):
    model = tiny("MODEL.SSD.TOPK_CANDIDATES_TEST", 1)
    found = decode(model, [[0.9, 0.1], [0.8, 0.0], [0.7, 0.2]])
    assert found.scores.tolist() == pytest.approx([0.9, 0.2])


def test_offsets_are_those_of_the_variances(tiny):
    deltas = torch.tensor([[1.0, 2.0, 5 * math.log(2), 0.0]])
    found = decode(tiny(), [[0.9, 0.0]], deltas, [(10, 10, 30, 30)])
    # Centre (20, 20) + (0.1, 0.2) * 20, width doubled.
    torch.testing.assert_close(found.pred_boxes.tensor, torch.tensor([[2.0, 14, 42, 34]]))


@pytest.mark.parametrize("kind", ["giou", "diou", "ciou"])
def test_other_box_losses_are_zero_for_the_right_box(tiny, kind):
    model = tiny("MODEL.SSD.BBOX_REG_LOSS_TYPE", kind)
    deltas = torch.tensor([1.0, 0, 0, 0]).repeat(1, 8, 1)
    losses = losses_of(model, [[0, 2, 2, 2, 2, 2, 2, 2]], deltas)
    assert losses["loss_box_reg"] < 1e-6
    assert losses_of(model, [[0, 2, 2, 2, 2, 2, 2, 2]])["loss_box_reg"] > 0.05


def test_other_anchor_generators_fit_too(tiny):
    model = tiny(
        *("MODEL.ANCHOR_GENERATOR.NAME", "DefaultAnchorGenerator"),
        *("MODEL.ANCHOR_GENERATOR.SIZES", "[[12, 20], [28, 40], [60]]"),
        *("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "[[1.0]]"),
    ).eval()
    assert isinstance(model, SSD)
    assert [layer.out_channels for layer in model.head.bbox_pred] == [8, 8, 4]
    with torch.no_grad():
        (output,) = model([{"image": torch.zeros(3, 128, 128)}])
    assert len(output["instances"]) > 0


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("NEGATIVE_RATIO", -1.0, "MODEL.SSD.NEGATIVE_RATIO"),
        ("MIN_NEGATIVES", -1, "MODEL.SSD.NEGATIVE_RATIO and MIN_NEGATIVES"),
        ("BBOX_REG_LOSS_TYPE", "iou", "MODEL.SSD.BBOX_REG_LOSS_TYPE"),
        ("TOPK_CANDIDATES_TEST", 0, "MODEL.SSD.TOPK_CANDIDATES_TEST"),
        ("IN_FEATURES", "['conv4_3', 'fc7', 'conv7_2']", "MODEL.SSD.IN_FEATURES"),
        ("L2_NORM", [20.0], "MODEL.SSD.L2_NORM"),
        ("IOU_THRESHOLDS", [0.0], "must lie in"),
    ],
)
def test_wrong_settings_are_refused(tiny, key, value, words):
    with pytest.raises(ValueError, match=words):
        tiny(f"MODEL.SSD.{key}", value)
