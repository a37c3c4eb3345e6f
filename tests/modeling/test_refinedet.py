"""RefineDet: its constants, losses and detections by hand, and Detectron2's contract."""

import math

import pytest
import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.meta_arch.refinedet import Predictions

TINY = "configs/quick/refinedet_tiny.yaml"
LN2 = math.log(2)


@pytest.fixture
def make(repository):
    def build(*options, config=TINY):
        torch.manual_seed(0)
        words = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "3", *map(str, options)]
        return build_model(load_config(str(repository / config), words))

    return build


@pytest.fixture
def model(make):
    """With the released code's rule for images without objects."""
    return make("MODEL.REFINEDET.MIN_NEGATIVES", 0)


# ---- constants of the paper and of the released code


@pytest.mark.parametrize(("side", "anchors"), [(320, 6375), (512, 16320)])
def test_the_anchors(make, side, anchors):
    model = make("MODEL.VGG.WIDTH", 0.05, config=f"configs/refinedet{side}.yaml").eval()
    with torch.no_grad():
        features = model.backbone(torch.zeros(1, 3, side, side))
    features = [features[name] for name in ("conv4_3", "conv5_3", "fc7", "conv6_2")]
    assert [x.shape[-1] for x in features] == [side // stride for stride in (8, 16, 32, 64)]
    levels = model.anchor_generator(features)
    assert sum(len(level) for level in levels) == anchors
    for level, stride in zip(levels, (8, 16, 32, 64), strict=True):
        place = level.tensor[:3]
        middle = torch.full((3, 2), stride / 2)
        torch.testing.assert_close((place[:, :2] + place[:, 2:]) / 2, middle)
        width, height = (place[:, 2:] - place[:, :2]).T
        torch.testing.assert_close((width * height).sqrt(), torch.full((3,), 4.0 * stride))
        torch.testing.assert_close(height / width, torch.tensor([1, 2, 0.5]))
        # x runs faster than y.
        torch.testing.assert_close(level.tensor[3] - place[0], torch.tensor([stride, 0] * 2) * 1.0)


@pytest.mark.parametrize("side", [320, 512])
def test_the_constants(make, repository, side):
    path = f"configs/refinedet{side}.yaml"
    cfg = load_config(str(repository / path))
    assert cfg.INPUT.TILE.SIZE == cfg.TEST.TILE.SIZE == side
    assert cfg.INPUT.MIN_SIZE_TEST == 0, "at native resolution"
    model = make("MODEL.VGG.WIDTH", 0.05, config=path)
    assert model.head_in_features == ["conv4_3", "conv5_3", "fc7", "conv6_2"]
    scales = [getattr(norm, "scale", None) for norm in model.head.norms]
    assert [None if s is None else s.unique().item() for s in scales] == [10, 8, None, None]
    assert model.head.transfers[0].last[0].out_channels == 256
    # Variances .1, .1, .2, .2.
    assert tuple(1 / w for w in model.box2box_transform.weights) == (0.1, 0.1, 0.2, 0.2)
    assert model.anchor_matcher.thresholds[1] == 0.5
    assert model.negative_ratio == 3
    assert model.negative_confidence == 0.99
    assert model.test_score_thresh == 0.01
    assert (model.test_topk_candidates, model.test_topk_scope) == (1000, "class")
    assert model.test_nms_thresh == 0.45
    # The released code keeps 500 of a whole image.
    assert model.max_detections_per_image == 1000


def test_the_papers_numbers_of_detections_can_be_had(make):
    node = "MODEL.REFINEDET."
    options = [node + "TOPK_CANDIDATES_TEST", 400, node + "TOPK_SCOPE_TEST", "image"]
    model = make(*options, "TEST.DETECTIONS_PER_IMAGE", 200).eval()
    generator = torch.Generator().manual_seed(0)
    # 2,000 boxes that overlap no other, each of three classes with a score above the threshold.
    corner = torch.arange(2000.0)[:, None] * torch.tensor([40.0, 0])
    anchors = torch.cat([corner, corner + 20], dim=1)
    logits = torch.rand(2000, 4, generator=generator)
    zeros = torch.zeros(2000, 4)
    predicted = Predictions(zeros[:, :2], zeros, logits, zeros)
    found = model.inference_single_image(anchors, predicted, (20, 80000))
    scores = logits.softmax(dim=1)[:, :3].flatten().sort(descending=True)[0]
    torch.testing.assert_close(found.scores, scores[:200])


# ---- losses by hand

# An object, an anchor 2 px beside it (IoU 18 / 22), and four far away.
OBJECT = [10.0, 10, 30, 30]
ANCHORS = torch.tensor(
    [[12.0, 10, 32, 30], *([100.0 + 40 * i, 0, 120 + 40 * i, 20] for i in range(4))]
)


def truth(*boxes, classes=None):
    instances = Instances((64, 64))
    instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.gt_classes = torch.tensor(classes if classes else [1] * len(boxes)).long()
    return instances


def zeros(anchors=ANCHORS, images=1):
    """ARM logits, ARM deltas, ODM logits for 3 classes, ODM deltas, all zero."""
    return [torch.zeros(images, len(anchors), size) for size in (2, 4, 4, 4)]


def losses(model, predictions, *instances, anchors=ANCHORS):
    with EventStorage() as storage:
        found = model.losses(anchors, Predictions(*predictions), list(instances))
        latest = {name: value[0] for name, value in storage.latest().items()}
    assert list(found) == ["loss_arm_cls", "loss_arm_box", "loss_odm_cls", "loss_odm_box"]
    return [loss.item() for loss in found.values()], latest


def test_both_steps_by_hand(model):
    found, _ = losses(model, zeros(), truth(OBJECT))
    # One positive and three of four negatives, each ln 2 and ln 4. The anchor has to move by -2 of
    # its 20 px, -1 in units of variance: smooth L1 of 1 is 1/2. Zero deltas refine nothing.
    assert found == pytest.approx([4 * LN2, 0.5, 4 * math.log(4), 0.5], rel=1e-5)


def test_the_second_step_starts_from_the_refined_anchors(model):
    arm_logits, arm_deltas, odm_logits, odm_deltas = zeros()
    # Refined by 0.1 * 20 * -2 px: 2 px too far to the left, so a target of +1, missed by 2.
    arm_deltas[0, 0, 0] = -2
    odm_deltas[0, 0, 0] = 3
    predictions = [arm_logits, arm_deltas, odm_logits, odm_deltas]
    found, _ = losses(model, predictions, truth(OBJECT))
    assert found == pytest.approx([4 * LN2, 0.5, 4 * math.log(4), 1.5], rel=1e-5)


def test_sizes_are_logarithms_over_a_fifth(model):
    wide = ANCHORS.clone()
    wide[0] = torch.tensor([5.0, 10, 35, 30])  # same centre, 30 px for 20: IoU 2/3
    found, _ = losses(model, zeros(), truth(OBJECT), anchors=wide)
    target = 5 * math.log(20 / 30)  # -2.03
    assert found[1] == found[3] == pytest.approx(abs(target) - 0.5, rel=1e-5)


def test_the_odm_is_matched_with_refined_anchors(model):
    anchors = torch.cat([ANCHORS, ANCHORS[1:] + 200])
    arm_logits, arm_deltas, odm_logits, odm_deltas = zeros(anchors)
    # Anchor 1 lies far away, at x = 100; the ARM brings it onto the object.
    arm_deltas[0, 1, :2] = torch.tensor([-90.0, 10]) / 20 / 0.1
    predictions = [arm_logits, arm_deltas, odm_logits, odm_deltas]
    found, latest = losses(model, predictions, truth(OBJECT), anchors=anchors)
    assert latest["refinedet/matched_arm"] == 1
    assert latest["refinedet/matched_odm"] == 2
    # The ODM: two positives, six of seven negatives, in the mean for each positive.
    expected = [4 * LN2, 0.5, 8 * math.log(4) / 2, 0.5 / 2]
    assert found == pytest.approx(expected, rel=1e-5)


def test_an_object_without_an_iou_of_half_has_its_best_anchor(model):
    far = torch.tensor([10.0, 26, 30, 46])  # 14 of 20 px beside the first: IoU 4 / 36 at most
    found, latest = losses(model, zeros(), truth(far.tolist()))
    assert latest["refinedet/matched_arm"] == latest["refinedet/matched_odm"] == 1
    assert found[0] == pytest.approx(4 * LN2, rel=1e-5)


def test_the_hardest_negatives_count(model):
    predictions = zeros()
    # Background that is taken for an object, ever more surely; the first positive is right.
    predictions[0][0, :, 0] = torch.tensor([3.0, 1, 2, 3, 4])
    found, _ = losses(model, predictions, truth(OBJECT))
    expected = math.log1p(math.exp(-3)) + sum(math.log1p(math.exp(x)) for x in (2, 3, 4))
    assert found[0] == pytest.approx(expected, rel=1e-5)


def test_filtered_background_does_not_train_the_odm(model):
    predictions = zeros()
    # Odds of 99 are a confidence of 0.99: just kept below, dropped above.
    predictions[0][0, 1:, 1] = torch.tensor([math.log(98), math.log(100), math.log(100), 9])
    found, latest = losses(model, predictions, truth(OBJECT))
    assert latest["refinedet/kept_anchors"] == pytest.approx(2 / 5)
    assert found[2:] == pytest.approx([2 * math.log(4), 0.5], rel=1e-5)
    # The ARM itself still learns from the three hardest.
    odds = [98, 100, 100]
    assert found[0] == pytest.approx(LN2 + sum(math.log1p(1 / x) for x in odds), rel=1e-5)


def test_an_object_whose_anchor_the_arm_filters_out_does_not_train_the_odm(model):
    predictions = zeros()
    predictions[0][0, 0, 1] = 5
    found, latest = losses(model, predictions, truth(OBJECT))
    assert latest["refinedet/matched_odm"] == 0
    assert found[2:] == [0, 0]
    assert found[0] == pytest.approx(math.log1p(math.exp(5)) + 3 * LN2, rel=1e-5)


def test_the_filter_can_be_switched_off(make):
    model = make("MODEL.REFINEDET.NEGATIVE_CONFIDENCE", 1.0, "MODEL.REFINEDET.MIN_NEGATIVES", 0)
    predictions = zeros()
    predictions[0][0, :, 1] = 50
    found, latest = losses(model, predictions, truth(OBJECT))
    assert latest["refinedet/kept_anchors"] == 1
    assert found[2:] == pytest.approx([4 * math.log(4), 0.5], rel=1e-5)


def test_the_odm_does_not_move_the_arm(model):
    predictions = [x.requires_grad_() for x in zeros()]
    with EventStorage():
        found = model.losses(ANCHORS, Predictions(*predictions), [truth(OBJECT)])
    (found["loss_odm_cls"] + found["loss_odm_box"]).backward()
    assert predictions[0].grad is None
    assert predictions[1].grad is None
    assert predictions[2].grad.abs().sum() > 0
    assert predictions[3].grad.abs().sum() > 0


def test_a_batch_has_the_mean_over_its_matched_anchors(model):
    generator = torch.Generator().manual_seed(3)
    predictions = [torch.randn(x.shape, generator=generator) for x in zeros()]
    one, _ = losses(model, predictions, truth(OBJECT))
    twice = [x.expand(2, -1, -1) for x in predictions]
    assert losses(model, twice, truth(OBJECT), truth(OBJECT))[0] == pytest.approx(one, rel=1e-5)
    # An image without objects adds nothing, as released.
    assert losses(model, twice, truth(OBJECT), truth())[0] == pytest.approx(one, rel=1e-5)


def test_images_without_objects_contribute_with_a_minimum_of_negatives(make):
    model = make("MODEL.REFINEDET.MIN_NEGATIVES", 2)
    found, _ = losses(model, zeros(), truth())
    assert found == pytest.approx([2 * LN2, 0, 2 * math.log(4), 0], rel=1e-5)
    # Four images have 8 negatives, as many as 8 / 3 positives would have.
    found, _ = losses(model, zeros(images=4), *[truth()] * 4)
    assert found == pytest.approx([3 * LN2, 0, 3 * math.log(4), 0], rel=1e-5)


def test_classes_are_those_of_the_objects(model):
    predictions = zeros()
    predictions[2][0, 0, 2] = 4
    right, _ = losses(model, predictions, truth(OBJECT, classes=[2]))
    wrong, _ = losses(model, predictions, truth(OBJECT, classes=[0]))
    assert right[2] == pytest.approx(3 * math.log(4) + math.log1p(3 * math.exp(-4)), rel=1e-5)
    assert wrong[2] - right[2] == pytest.approx(4, rel=1e-5)


# ---- detections by hand


def detect(model, anchors, scores, arm_background=None, arm_deltas=None, odm_deltas=None):
    """``scores``: (R, 3) of the classes; ``arm_background``: (R,) confidences."""
    count = len(anchors)
    scores = torch.as_tensor(scores)
    logits = torch.cat([scores, 1 - scores.sum(dim=1, keepdim=True)], dim=1).log()
    nothing = torch.zeros(count, 4)
    arm = torch.full((count,), 0.5) if arm_background is None else torch.tensor(arm_background)
    predicted = Predictions(
        torch.stack([1 - arm, arm], dim=1).log(),
        nothing if arm_deltas is None else torch.tensor(arm_deltas),
        logits,
        nothing if odm_deltas is None else torch.tensor(odm_deltas),
    )
    return model.eval().inference_single_image(torch.as_tensor(anchors), predicted, (100, 100))


def test_boxes_are_decoded_in_two_steps(model):
    found = detect(
        model,
        [[0.0, 0, 20, 20]],
        [[0.1, 0.7, 0.005]],
        # 2 px to the right and twice as wide: centre (12, 10), 40 x 20 ...
        arm_deltas=[[1.0, 0, 5 * LN2, 0]],
        # ... then a tenth of 40 px to the right and half as high: centre (16, 10), 40 x 10.
        odm_deltas=[[1.0, 0, 0, -5 * LN2]],
    )
    torch.testing.assert_close(found.pred_boxes.tensor, torch.tensor([[-4.0, 5, 36, 15]] * 2))
    assert found.pred_classes.tolist() == [1, 0]
    torch.testing.assert_close(found.scores, torch.tensor([0.7, 0.1]))


def test_anchors_that_the_arm_filters_out_detect_nothing(model):
    found = detect(model, ANCHORS[:3], [[0.6, 0, 0]] * 3, arm_background=[0.991, 0.989, 0.3])
    torch.testing.assert_close(found.pred_boxes.tensor, ANCHORS[1:3])


def test_detections_reach_the_lowest_score(model):
    assert detect(model, ANCHORS[:1], [[0.0101, 0.0099, 0]]).pred_classes.tolist() == [0]


def test_overlapping_boxes_of_a_class_become_one(model):
    # 20 px high; shifted by 7 and by 8 px of 20: IoU 13 / 27 = 0.48 and 12 / 28 = 0.43.
    anchors = [[0.0, 0, 20, 20], [7.0, 0, 27, 20], [50.0, 0, 70, 20], [58.0, 0, 78, 20]]
    scores = [[0.9, 0, 0], [0.8, 0, 0], [0.7, 0, 0], [0.6, 0, 0]]
    found = detect(model, anchors, scores).scores
    torch.testing.assert_close(found, torch.tensor([0.9, 0.7, 0.6]))
    other = detect(model, anchors[:2], [[0.9, 0, 0], [0, 0.8, 0]])
    assert other.pred_classes.tolist() == [0, 1]


def test_most_candidates_and_detections(make):
    anchors = ANCHORS[1:]
    scores = [[0.9, 0.05, 0], [0.8, 0.06, 0], [0.7, 0.07, 0], [0.6, 0.08, 0]]
    node = "MODEL.REFINEDET."
    by_class = detect(make(node + "TOPK_CANDIDATES_TEST", 2), anchors, scores)
    torch.testing.assert_close(by_class.scores, torch.tensor([0.9, 0.8, 0.08, 0.07]))
    options = [node + "TOPK_CANDIDATES_TEST", 5, node + "TOPK_SCOPE_TEST", "image"]
    by_image = detect(make(*options), anchors, scores)
    torch.testing.assert_close(by_image.scores, torch.tensor([0.9, 0.8, 0.7, 0.6, 0.08]))
    assert by_image.pred_classes.tolist() == [0, 0, 0, 0, 1]
    few = detect(make(*options, "TEST.DETECTIONS_PER_IMAGE", 3), anchors, scores)
    torch.testing.assert_close(few.scores, torch.tensor([0.9, 0.8, 0.7]))


@pytest.mark.parametrize("scope", ["class", "image"])
def test_nothing_to_detect(make, scope):
    model = make("MODEL.REFINEDET.TOPK_SCOPE_TEST", scope)
    found = detect(model, ANCHORS, [[0.5, 0.3, 0.1]] * 5, arm_background=[0.999] * 5)
    assert len(found) == 0
    assert found.pred_boxes.tensor.shape == (0, 4)


# ---- the whole model


def item(objects, seed=0, size=(96, 128)):
    generator = torch.Generator().manual_seed(seed)
    instances = Instances(size)
    corner = torch.rand(objects, 2, generator=generator) * 60
    instances.gt_boxes = Boxes(torch.cat([corner, corner + 20], dim=1))
    instances.gt_classes = torch.arange(objects) % 3
    image = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    return {"image": image, "instances": instances, "height": size[0], "width": size[1]}


@pytest.mark.parametrize("counts", [(3, 2), (0, 3), (0, 0)], ids=["full", "half-empty", "empty"])
def test_full_half_empty_and_empty_batches(model, counts):
    batch = [item(count, seed) for seed, count in enumerate(counts)]
    with EventStorage():
        found = model(batch)
    total = sum(found.values())
    assert torch.isfinite(total)
    assert (total > 0) == any(counts)
    total.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    model.eval()
    with torch.no_grad():
        outputs = model(batch)
    for output in outputs:
        instances = output["instances"]
        assert instances.image_size == (96, 128)
        boxes = instances.pred_boxes.tensor
        assert ((boxes >= 0) & (boxes <= torch.tensor([128, 96] * 2))).all()
        assert (instances.scores > 0.01).all()
        assert len(instances) <= 1000


def test_an_image_has_the_same_detections_alone_and_in_a_batch(model):
    model.eval()
    batch = [item(0, seed) for seed in range(3)]
    with torch.no_grad():
        together = [output["instances"] for output in model(batch)]
        alone = [model([item])[0]["instances"] for item in batch]
    for a, b in zip(together, alone, strict=True):
        assert len(a) == len(b) > 0
        torch.testing.assert_close(a.scores, b.scores, atol=1e-5, rtol=1e-4)
        # Order among all but equal scores is free.
        rows = (a.pred_boxes.tensor.round(decimals=2).sum(dim=1).sort()[0] for a in (a, b))
        torch.testing.assert_close(*rows, atol=0.1, rtol=1e-3)


def test_half_precision_gives_the_same_detections(make):
    plain, mixed = make().eval(), make("TEST.PRECISION", "bfloat16").eval()
    seen = []
    convolution = mixed.head.odm_logits[0]
    convolution.register_forward_hook(lambda *a: seen.append(a[2].dtype))
    with torch.no_grad():
        a, b = (model([item(0)])[0]["instances"] for model in (plain, mixed))
    assert seen == [torch.bfloat16]
    assert b.scores.dtype == b.pred_boxes.tensor.dtype == torch.float32
    torch.testing.assert_close(a.scores[:50], b.scores[:50], atol=0.02, rtol=0.1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "MODEL.REFINEDET.NEGATIVE_CONFIDENCE",
            0.0,
            r"NEGATIVE_CONFIDENCE must lie in \(0, 1\]; got 0.0",
        ),
        ("MODEL.REFINEDET.IOU_THRESHOLDS", [1.5], "got 1.5"),
        ("MODEL.REFINEDET.NMS_THRESH_TEST", 0.0, "NMS_THRESH_TEST.*got 0.0"),
        ("MODEL.REFINEDET.SCORE_THRESH_TEST", 1.0, "SCORE_THRESH_TEST.*got 1.0"),
        (
            "MODEL.REFINEDET.NEGATIVE_RATIO",
            0.0,
            "NEGATIVE_RATIO must be positive.*got 0.0",
        ),
        ("MODEL.REFINEDET.MIN_NEGATIVES", -1, "MIN_NEGATIVES not negative; got 3.0 and -1"),
        ("MODEL.REFINEDET.TOPK_SCOPE_TEST", "level", "TOPK_SCOPE_TEST must be one of.*got 'level'"),
        ("MODEL.REFINEDET.TOPK_CANDIDATES_TEST", 0, "TOPK_CANDIDATES_TEST.*got 0"),
        ("TEST.DETECTIONS_PER_IMAGE", 0, "DETECTIONS_PER_IMAGE.*got 0"),
        ("MODEL.REFINEDET.L2_SCALES", "[10.0]", "L2_SCALES needs 4 numbers"),
    ],
)
def test_wrong_settings_are_refused(make, key, value, message):
    with pytest.raises(ValueError, match=message):
        make(key, value)


def test_levels_that_do_not_halve_the_resolution_are_refused(make):
    options = ["MODEL.REFINEDET.L2_SCALES", "[0.0, 0.0]"]
    options += ["MODEL.ANCHOR_GENERATOR.SIZES", "[[16], [32]]"]
    with pytest.raises(ValueError, match=r"halve the resolution.*strides \[8, 32\]"):
        make(*options, "MODEL.REFINEDET.IN_FEATURES", "['conv4_3', 'fc7']")


def test_levels_with_different_numbers_of_anchors_are_refused(make):
    ratios = "[[1.0], [1.0, 2.0], [1.0], [1.0]]"
    with pytest.raises(ValueError, match=r"same number of anchors per position.*\[1, 2, 1, 1\]"):
        make("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", ratios)
