"""YOLOv3: losses by hand, decoding against the published formula, Detectron2's contract."""

import math

import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn
from torchvision.ops import box_iou

from smallobj import load_config
from smallobj.modeling import build_model

TINY = "configs/quick/yolov3_tiny.yaml"
SIDES = ((8, 8), (16, 8), (8, 16), (24, 24), (32, 16), (16, 32), (48, 48), (64, 32), (32, 64))
# Features of a 32 px square, and their priors.
GRIDS = [(4, 4), (2, 2), (1, 1)]
PRIORS = 3 * (16 + 4 + 1)
LN2 = math.log(2)


@pytest.fixture
def build(repository):
    def make(*options):
        torch.manual_seed(0)
        words = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.YOLO.ANCHORS", repr(SIDES)]
        return build_model(
            load_config(str(repository / TINY), [*words, *(str(word) for word in options)])
        )

    return make


class Fixed(nn.Module):
    """A head that predicts given values."""

    def __init__(self, predictions):
        super().__init__()
        self.predictions = predictions

    def forward(self, features):
        return self.predictions


def annotated(size, *boxes, classes=None):
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.tensor(classes or [0] * len(boxes), dtype=torch.int64)
    return instances


def item(height, width, *boxes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    instances = annotated((height, width), *boxes)
    return {"image": image, "height": height, "width": width, "instances": instances}


def losses(model, rows, *instances):
    """Of (N, R, 8) predictions on a 32 px square."""
    priors = model.anchor_generator([torch.zeros(1, 1, *grid) for grid in GRIDS])
    levels = list(rows.split([3 * h * w for h, w in GRIDS], dim=1))
    found = model.losses(priors, GRIDS, levels, list(instances))
    return {name: loss.item() for name, loss in found.items()}


def test_an_object_by_hand(build):
    # 10 x 8 around (14, 13): first prior (IoU 0.8), cell row 1, column 1 of stride 8.
    found = losses(build(), torch.zeros(1, PRIORS, 8), annotated((32, 32), [9, 9, 19, 17]))
    scale = 2 - 80 / 32**2
    # Places in the cell: 14 / 8 - 1 and 13 / 8 - 1, against sigmoid(0).
    center = ((0.5 - 0.75) ** 2 + (0.5 - 0.625) ** 2) / 2
    assert found["loss_center"] == pytest.approx(scale * center)
    assert found["loss_size"] == pytest.approx(scale * math.log(10 / 8) ** 2 / 2)
    assert found["loss_cls"] == pytest.approx(3 * LN2)
    # 16 x 8 on the same cell's centre overlaps the object by 70 / 138, more than half; no other.
    assert found["loss_objectness"] == pytest.approx((PRIORS - 1) * LN2)


def test_center_loss_cross_entropy_by_hand(build):
    model = build("MODEL.YOLO.CENTER_LOSS", "cross_entropy")
    rows = torch.zeros(1, PRIORS, 8)
    assigned = (1 * 4 + 1) * 3
    rows[0, assigned, 0] = math.log(3)  # sigmoid 3/4
    found = losses(model, rows, annotated((32, 32), [10, 9, 18, 17]))
    scale = 2 - 64 / 32**2
    # Places 14 / 8 - 1 = 3/4 and 13 / 8 - 1 = 5/8.
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) + LN2
    assert found["loss_center"] == pytest.approx(scale * expected, rel=1e-5)
    assert found["loss_size"] == 0


def test_the_gradient_of_cross_entropy_is_the_difference(build):
    """The gradient in the authors' program: truth minus prediction, after the sigmoid."""
    model = build("MODEL.YOLO.CENTER_LOSS", "cross_entropy")
    rows = torch.zeros(1, PRIORS, 8, requires_grad=True)
    priors = model.anchor_generator([torch.zeros(1, 1, *grid) for grid in GRIDS])
    levels = list(rows.split([3 * h * w for h, w in GRIDS], dim=1))
    found = model.losses(priors, GRIDS, levels, [annotated((32, 32), [10, 9, 18, 17])])
    sum(found.values()).backward()
    scale = 2 - 64 / 32**2
    gradient = rows.grad[0, (1 * 4 + 1) * 3]
    assert gradient[:4].tolist() == pytest.approx([scale * -0.25, scale * -0.125, 0, 0])
    assert gradient[4:].tolist() == pytest.approx([-0.5, -0.5, 0.5, 0.5])


def test_a_good_box_without_an_object_is_no_background(build):
    rows = torch.zeros(1, PRIORS, 8)
    # The 16 x 8 prior of the object's cell, made 8 x 8 on the cell's centre (12, 12):
    # 49 / (64 + 64 - 49) with the object.
    rows[0, (1 * 4 + 1) * 3 + 1, 2] = math.log(0.5)
    instances = annotated((32, 32), [9, 9, 17, 17])
    assert losses(build(), rows, instances)["loss_objectness"] == pytest.approx((PRIORS - 1) * LN2)
    strict = build("MODEL.YOLO.IGNORE_IOU", 0.63)
    assert losses(strict, rows, instances)["loss_objectness"] == pytest.approx(PRIORS * LN2)


def test_objectness_is_one_for_the_object_and_zero_elsewhere(build):
    rows = torch.zeros(1, PRIORS, 8)
    rows[..., 4] = -math.log(3)  # objectness 1/4
    rows[0, (1 * 4 + 1) * 3, 4] = math.log(4)  # 4/5
    found = losses(build(), rows, annotated((32, 32), [9, 9, 17, 17]))
    expected = (PRIORS - 1) * math.log(4 / 3) + math.log(5 / 4)
    assert found["loss_objectness"] == pytest.approx(expected, rel=1e-5)


def test_two_objects_of_one_prior(build):
    """The box target is that of the last object; the classes of both count."""
    rows = torch.zeros(1, PRIORS, 8)
    rows[..., 5:] = torch.tensor([math.log(3), math.log(3), -math.log(3)])
    pair = annotated((32, 32), [9, 9, 17, 17], [10, 9, 18, 17], classes=[0, 1])
    found = losses(build(), rows, pair)
    assert found["loss_cls"] == pytest.approx(3 * math.log(4 / 3), rel=1e-5)
    scale = 2 - 64 / 32**2
    center = ((0.5 - 0.75) ** 2 + (0.5 - 0.625) ** 2) / 2
    assert found["loss_center"] == pytest.approx(scale * center)
    assert found["loss_objectness"] == pytest.approx(PRIORS * LN2)


def test_losses_are_means_over_images_and_sums_within_them(build):
    model = build()
    torch.manual_seed(1)
    rows = torch.randn(2, PRIORS, 8)
    one = annotated((32, 32), [9, 9, 19, 17])
    none = annotated((32, 32))
    together = losses(model, rows, one, none)
    alone = [losses(model, rows[:1], one), losses(model, rows[1:], none)]
    for name, value in together.items():
        assert value == pytest.approx((alone[0][name] + alone[1][name]) / 2, rel=1e-5)
    assert alone[1]["loss_cls"] == alone[1]["loss_size"] == alone[1]["loss_center"] == 0


def test_boxes_without_area_are_left_out(build):
    rows = torch.zeros(1, PRIORS, 8)
    flat = annotated((32, 32), [5, 5, 5, 9], [9, 9, 19, 17])
    alone = annotated((32, 32), [9, 9, 19, 17])
    assert losses(build(), rows, flat) == losses(build(), rows, alone)


def published(predictions, strides):
    """Boxes (R, 4) XYXY, objectness (R,) and classes (R, K), by loops over section 2.1."""
    boxes, objectness, classes = [], [], []
    for level, (prediction, stride) in enumerate(zip(predictions, strides, strict=True)):
        height, width = prediction.shape[-2:]
        numbers = prediction.reshape(3, 8, height, width)
        for row in range(height):
            for column in range(width):
                for prior in range(3):
                    tx, ty, tw, th, to, *tc = numbers[prior, :, row, column].tolist()
                    x = (1 / (1 + math.exp(-tx)) + column) * stride
                    y = (1 / (1 + math.exp(-ty)) + row) * stride
                    w = SIDES[3 * level + prior][0] * math.exp(tw)
                    h = SIDES[3 * level + prior][1] * math.exp(th)
                    boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
                    objectness.append(1 / (1 + math.exp(-to)))
                    classes.append([1 / (1 + math.exp(-t)) for t in tc])
    return torch.tensor(boxes), torch.tensor(objectness), torch.tensor(classes)


def random_predictions(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(1, 24, height // stride, width // stride, generator=generator)
        for stride in (8, 16, 32)
    ]


@torch.no_grad()
def test_decoding_is_the_published_formula(build):
    everything = ["MODEL.YOLO.SCORE_THRESH_TEST", 0.0, "MODEL.YOLO.NMS_THRESH_TEST", 1.0]
    limits = ["TEST.DETECTIONS_PER_IMAGE", 100000, "MODEL.YOLO.TOPK_CANDIDATES_TEST", 100000]
    model = build(*everything, *limits).eval()
    predictions = random_predictions(64, 96)
    model.head = Fixed(predictions)
    (output,) = model([{"image": torch.zeros(3, 64, 96, dtype=torch.uint8)}])
    found = output["instances"]
    boxes, objectness, classes = published(predictions, (8, 16, 32))
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, 96)
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, 64)
    visible = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    scores = (objectness[:, None] * classes)[visible]
    assert len(found) == scores.numel()
    order = scores.flatten().argsort(descending=True)
    torch.testing.assert_close(found.scores, scores.flatten()[order], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        found.pred_boxes.tensor, boxes[visible][order // 3], atol=1e-4, rtol=1e-5
    )
    assert torch.equal(found.pred_classes, order % 3)


def test_targets_and_boxes_are_a_round_trip(build):
    model = build()
    torch.manual_seed(2)
    predictions = random_predictions(64, 96)
    priors = model.anchor_generator(predictions)
    rows = model._rows(predictions)
    deltas = torch.cat(model._box_deltas(priors, rows), dim=1)[0]
    every = torch.cat([boxes.tensor for boxes in priors])
    strides = torch.cat([torch.full((len(b),), float(s)) for b, s in model._with_strides(priors)])
    boxes = model.box2box_transform.apply_deltas(deltas, every)
    back = model._targets(every, strides, boxes)
    raw = torch.cat(rows, dim=1)[0]
    torch.testing.assert_close(back[:, :2], raw[:, :2].sigmoid(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(back[:, 2:], raw[:, 2:4], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_detections_of_a_class_do_not_overlap_and_are_the_best(build):
    model = build("MODEL.YOLO.SCORE_THRESH_TEST", 0.3, "TEST.DETECTIONS_PER_IMAGE", 20).eval()
    model.head = Fixed(random_predictions(64, 96))
    (output,) = model([{"image": torch.zeros(3, 64, 96, dtype=torch.uint8)}])
    found = output["instances"]
    assert 10 < len(found) <= 20
    assert (found.scores > 0.3).all()
    assert (found.scores[1:] <= found.scores[:-1]).all()
    boxes = found.pred_boxes.tensor
    same = found.pred_classes[:, None] == found.pred_classes[None]
    overlaps = box_iou(boxes, boxes).fill_diagonal_(0)
    assert overlaps[same].max() <= 0.45
    assert overlaps.max() > 0.45, "boxes of other classes stay"


@torch.no_grad()
def test_boxes_in_the_padding_are_not_detected(build):
    limits = ["MODEL.YOLO.NMS_THRESH_TEST", 1.0, "TEST.DETECTIONS_PER_IMAGE", 100000]
    model = build("MODEL.YOLO.SCORE_THRESH_TEST", 0.2, *limits).eval()
    predictions = random_predictions(64, 64)
    model.head = Fixed(predictions)
    (output,) = model([{"image": torch.zeros(3, 40, 50, dtype=torch.uint8)}])
    found = output["instances"]
    assert found.image_size == (40, 50)
    assert (found.pred_boxes.tensor[:, 2:] <= torch.tensor([50.0, 40.0])).all()
    assert found.pred_boxes.nonempty().all()
    boxes, objectness, classes = published(predictions, (8, 16, 32))
    inside = (boxes[:, 0] < 50) & (boxes[:, 1] < 40) & (boxes[:, 2:] > 0).all(dim=1)
    sure = objectness[:, None] * classes > 0.2
    assert len(found) == sure[inside].sum() < sure.sum()


@pytest.mark.parametrize(
    "boxes",
    [[[], []], [[[5, 5, 20, 12]], []], [[[5, 5, 20, 12], [30, 30, 33, 34]], [[0, 0, 4, 4]]]],
    ids=["empty", "half-empty", "full"],
)
def test_training_on_empty_and_full_batches(build, boxes):
    model = build().train()
    found = model([item(48, 64, *each) for each in boxes])
    assert set(found) == {"loss_center", "loss_size", "loss_objectness", "loss_cls"}
    sum(found.values()).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_an_untrained_detector_finds_nothing(build):
    model = build().eval()
    with torch.no_grad():
        outputs = model([item(64, 96), item(40, 70)])
    assert [len(output["instances"]) for output in outputs] == [0, 0]
    assert [output["instances"].image_size for output in outputs] == [(64, 96), (40, 70)]


@torch.no_grad()
def test_an_image_has_the_same_detections_alone_and_in_a_batch(build):
    model = build("MODEL.YOLO.SCORE_THRESH_TEST", 0.0, "TEST.DETECTIONS_PER_IMAGE", 100).eval()
    for scale in model.head.scales:
        scale.predict.weight.normal_(0, 0.3)
        scale.predict.bias.zero_()
    batch = [item(64, 96, seed=seed) for seed in range(3)]
    for alone, together in zip(batch, model(batch), strict=True):
        (expected,) = model([alone])
        a, b = expected["instances"], together["instances"]
        assert len(a) == len(b) > 0
        torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(a.scores, b.scores, atol=1e-4, rtol=1e-4)


def test_the_head_starts_with_the_asked_objectness(build):
    model = build("MODEL.YOLO.PRIOR_PROB", 0.2)
    shapes = [model.backbone.output_shape()[name] for name in model.head_in_features]
    features = [
        torch.zeros(1, shape.channels, 64 // shape.stride, 64 // shape.stride) for shape in shapes
    ]
    model.eval()
    for prediction, feature in zip(model.head(features), features, strict=True):
        assert prediction.shape == (1, 24, *feature.shape[-2:])
        numbers = prediction.reshape(3, 8, -1)
        objectness = numbers[:, 4].sigmoid()
        torch.testing.assert_close(objectness, torch.full_like(objectness, 0.2))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ANCHOR_GENERATOR.NAME", "DefaultAnchorGenerator", "priors on the centres of cells: "),
        ("YOLO.CENTER_LOSS", "huber", "CENTER_LOSS must be one of .*; got 'huber'"),
        ("YOLO.IGNORE_IOU", 1.5, r"IGNORE_IOU must lie in \[0, 1\]; got 1.5"),
        ("YOLO.PRIOR_PROB", 0.0, r"PRIOR_PROB must lie in \(0, 1\); got 0.0"),
        ("YOLO.IN_FEATURES", "['res3']", "IN_FEATURES must be some of "),
        ("YOLO.IN_FEATURES", "['dark5', 'dark4', 'dark3']", "must go from fine to coarse"),
        ("YOLO.ANCHORS", "()", "ANCHORS is empty"),
    ],
)
def test_wrong_settings_are_refused(build, key, value, message):
    with pytest.raises(ValueError, match=message):
        build(f"MODEL.{key}", value)
