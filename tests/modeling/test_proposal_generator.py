"""RPN: fewer proposals at test time, and other metrics for matching, NMS and box losses."""

import math

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

from smallobj.geometry.boxes import wasserstein_similarity
from smallobj.modeling import build_model


def proposer(tiny_config, threshold):
    torch.manual_seed(0)
    model = build_model(tiny_config("MODEL.RPN.SCORE_THRESH_TEST", threshold))
    # With an untrained head all logits would be 0.
    model.proposal_generator.rpn_head.objectness_logits.weight.data.normal_(0, 1)
    return model.proposal_generator


def propose(generator, training=False):
    torch.manual_seed(1)
    images = ImageList(torch.zeros(2, 3, 64, 96), [(64, 96), (60, 90)])
    features = {f"p{level}": torch.randn(2, 32, 64 >> level, 96 >> level) for level in (2, 3, 4, 5)}
    generator.train(training)
    truth = None
    if training:
        truth = [Instances(size) for size in images.image_sizes]
        for instances in truth:
            instances.gt_boxes = Boxes(torch.tensor([[10.0, 10, 30, 30]]))
    with EventStorage():
        return generator(images, features, truth)[0]


def test_only_proposals_above_the_threshold_remain(tiny_config):
    every, sure = (propose(proposer(tiny_config, t)) for t in (0.0, 0.87))
    for before, after in zip(every, sure, strict=True):
        keep = torch.sigmoid(before.objectness_logits) >= 0.87
        assert 0 < keep.sum() < len(before)
        assert torch.equal(after.proposal_boxes.tensor, before.proposal_boxes.tensor[keep])
        assert torch.equal(after.objectness_logits, before.objectness_logits[keep])


def test_small_images_get_few_proposals(tiny_config):
    every = propose(proposer(tiny_config, 0.0))
    generator = proposer(tiny_config, 0.0)
    generator.pixels_per_proposal_test = 600
    few = propose(generator)
    # 64 x 96 / 600 = 10.2; images of a batch share the limit of the largest.
    assert [len(found) for found in few] == [10, 10]
    for before, after in zip(every, few, strict=True):
        assert torch.equal(after.objectness_logits[0], before.objectness_logits[0])
        assert (after.objectness_logits.diff() <= 0).all()


def test_training_gets_all_proposals(tiny_config):
    every, sure = (propose(proposer(tiny_config, t), training=True) for t in (0.0, 0.87))
    assert [len(a) for a in every] == [len(b) for b in sure]


@torch.no_grad()
def test_an_image_without_proposals_has_no_detections(tiny_config):
    model = build_model(
        tiny_config("MODEL.RPN.SCORE_THRESH_TEST", 0.99, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
    ).eval()
    image = torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)
    for output in model([{"image": image}, {"image": image}]):
        assert output["instances"].pred_boxes.tensor.shape == (0, 4)


def test_a_negative_number_of_pixels_is_refused(tiny_config):
    with pytest.raises(ValueError, match=r"PIXELS_PER_PROPOSAL_TEST.*-5"):
        build_model(tiny_config("MODEL.RPN.PIXELS_PER_PROPOSAL_TEST", -5))


@pytest.mark.parametrize("threshold", [-0.1, 1.0])
def test_a_threshold_that_is_not_a_probability_is_refused(tiny_config, threshold):
    with pytest.raises(ValueError, match=f"SCORE_THRESH_TEST.*{threshold}"):
        proposer(tiny_config, threshold)


ANCHORS = [Boxes(torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [60, 60, 90, 90]]))]


def truth_of(*boxes, size=(96, 96)):
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return instances


def rpn(tiny_config, *options):
    torch.manual_seed(0)
    return build_model(tiny_config(*options)).proposal_generator


NWD_MATCH = ("MODEL.RPN.MATCH_METRIC", "nwd")
NWD_NMS = ("MODEL.RPN.NMS_METRIC", "nwd", "MODEL.RPN.NMS_THRESH", 0.85)
NWD_LOSS = ("MODEL.RPN.BBOX_REG_LOSS_TYPE", "nwd")
ADAPTIVE = ("MODEL.RPN.MATCHING", "scale_adaptive")


def test_nwd_matches_by_pixels(tiny_config):
    generator = rpn(tiny_config, *NWD_MATCH)
    # Against the first two anchors: 4 px off, exp(-4 / 12.8) = 0.73; 10 px off, 0.46, and its best
    # anchor; the third is 45 px from either, 0.03.
    truth = truth_of([4, 0, 14, 10], [26, 28, 36, 38])
    (labels,), (boxes,) = generator.label_and_sample_anchors(ANCHORS, [truth])
    assert labels.tolist() == [1, 1, 0]
    assert boxes[:2].tolist() == truth.gt_boxes.tensor.tolist()
    # The same by IoU: 0.43 and 0.04.
    (labels,), _ = rpn(tiny_config).label_and_sample_anchors(ANCHORS, [truth])
    assert labels.tolist() == [1, 1, 0]


def test_between_the_thresholds_of_nwd_an_anchor_is_ignored(tiny_config):
    generator = rpn(tiny_config, *NWD_MATCH)
    # 2 px off one, exp(-2 / 12.8) = 0.86, and the other is 8 px off, 0.54: above 0.3, below 0.7.
    anchors = [Boxes(torch.tensor([[2.0, 0, 12, 10], [8, 0, 18, 10]]))]
    (labels,), _ = generator.label_and_sample_anchors(anchors, [truth_of([0, 0, 10, 10])])
    assert labels.tolist() == [1, -1]
    # By IoU: 0.67 and 0.11, the first only since it is the best.
    (labels,), _ = rpn(tiny_config).label_and_sample_anchors(anchors, [truth_of([0, 0, 10, 10])])
    assert labels.tolist() == [1, 0]


def test_an_object_too_large_for_any_anchor_gets_only_the_nearest(tiny_config):
    generator = rpn(tiny_config, *NWD_MATCH, "MODEL.NWD_CONSTANT", 2.0)
    # More than 500 px, so exp(-250) at most; the largest anchor is the nearest.
    truth = truth_of([0, 0, 900, 900], size=(900, 900))
    (labels,), (boxes,) = generator.label_and_sample_anchors(ANCHORS, [truth])
    assert labels.tolist() == [0, 0, 1]
    assert boxes[2].tolist() == [0, 0, 900, 900]


@pytest.mark.parametrize("options", [NWD_MATCH, ADAPTIVE, ()])
def test_matching_with_and_without_objects(tiny_config, options):
    generator = rpn(tiny_config, *options)
    truths = [truth_of(), truth_of([21, 21, 31, 31])]
    labels, boxes = generator.label_and_sample_anchors(ANCHORS, truths)
    assert [label.tolist() for label in labels] == [[0, 0, 0], [0, 1, 0]]
    assert [box.shape for box in boxes] == [(3, 4), (3, 4)]
    assert boxes[1][1].tolist() == [21, 21, 31, 31]


@pytest.mark.parametrize("options", [NWD_MATCH, ADAPTIVE, ()])
def test_anchors_beyond_the_image_are_ignored_if_configured(tiny_config, options):
    generator = rpn(tiny_config, *options, "MODEL.RPN.BOUNDARY_THRESH", 0)
    truth = truth_of([0, 0, 10, 10], size=(80, 80))
    (labels,), _ = generator.label_and_sample_anchors(ANCHORS, [truth])
    assert labels.tolist() == [1, 0, -1]


def anchors_of_a_tile(generator, side=128):
    maps = [torch.zeros(1, 1, side // s, side // s) for s in (4, 8, 16, 32)]
    return generator.anchor_generator(maps)


def mean_positives(generator, side, count=20, seed=0):
    """Positive anchors of an object, square, anywhere in a tile of 128 px."""
    generator.batch_size_per_image, generator.positive_fraction = 10**6, 1.0
    random = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=random) * (128 - side)
    truths = [truth_of([x, y, x + side, y + side]) for x, y in corners.tolist()]
    labels, _ = generator.label_and_sample_anchors(anchors_of_a_tile(generator), truths)
    return sum((label == 1).sum().item() for label in labels) / len(labels)


def test_small_objects_get_more_positive_anchors_by_nwd_and_by_size(tiny_config):
    """With the anchors of Base-FPN.yaml; docs/small-object-parts.md has more of these numbers."""
    kinds = {"iou": (), "nwd": NWD_MATCH, "adaptive": ADAPTIVE}
    found = {
        kind: {side: mean_positives(rpn(tiny_config, *options), side) for side in (10, 14, 100)}
        for kind, options in kinds.items()
    }
    assert found["nwd"][10] > 2 * found["iou"][10]
    assert found["nwd"][14] > 4 * found["iou"][14]
    assert found["adaptive"][10] > 20 * found["iou"][10]
    assert found["adaptive"][14] > 20 * found["iou"][14]
    # The drawback of distances in pixels: a large object is left with only its best anchor.
    assert found["nwd"][100] <= found["iou"][100]
    # From 96 px on the adaptive threshold is the fixed one's.
    assert found["adaptive"][100] == found["iou"][100]


def losses_of(generator, deltas, truth, anchors=ANCHORS):
    labels, boxes = generator.label_and_sample_anchors(anchors, [truth])
    logits = [torch.zeros(1, len(anchors[0]))]
    with EventStorage():
        return generator.losses(anchors, logits, labels, [deltas], boxes)


def test_nwd_loss_by_hand(tiny_config):
    generator = rpn(tiny_config, *NWD_LOSS, "MODEL.RPN.BBOX_REG_LOSS_WEIGHT", 2.0)
    # Anchor 1 is positive, and moved by 0.5 of its 10 px to the right it lies 3 px left of and 4 px
    # above the object. Anchors 0 and 2 are background.
    deltas = torch.zeros(1, 3, 4)
    deltas[0, 1, 0] = 0.5
    deltas.requires_grad_()
    losses = losses_of(generator, deltas, truth_of([28, 24, 38, 34]))
    expected = (1 - math.exp(-5 / 12.8)) * 2 / generator.batch_size_per_image
    assert losses["loss_rpn_loc"].item() == pytest.approx(expected, rel=1e-4)
    # log 2 for each of three anchors whose logit is 0.
    assert losses["loss_rpn_cls"].item() == pytest.approx(
        3 * math.log(2) / generator.batch_size_per_image
    )
    losses["loss_rpn_loc"].backward()
    # A longer way to the right is a smaller loss, and background has none.
    assert deltas.grad[0, 1, 0] < 0
    assert (deltas.grad[0, [0, 2]] == 0).all()


def test_with_the_nwd_loss_the_rest_is_as_in_the_base_class(tiny_config):
    labels = [torch.tensor([1, 0, -1]), torch.tensor([0, 0, -1])]
    logits = [torch.tensor([[2.0, -1.0, 9.0], [0.5, 3.0, 9.0]])]
    boxes = [ANCHORS[0].tensor] * 2
    logged = []
    for kind in ("nwd", "smooth_l1"):
        generator = rpn(tiny_config, "MODEL.RPN.BBOX_REG_LOSS_TYPE", kind)
        with EventStorage() as storage:
            losses = generator.losses(ANCHORS, logits, labels, [torch.zeros(2, 3, 4)], boxes)
            logged.append((losses["loss_rpn_cls"], storage.latest()))
    assert logged[0] == logged[1]


@pytest.mark.parametrize("kind", ["smooth_l1", "giou", "diou", "ciou", "nwd"])
def test_every_box_loss_is_zero_for_a_perfect_box_and_falls_towards_it(tiny_config, kind):
    generator = rpn(tiny_config, "MODEL.RPN.BBOX_REG_LOSS_TYPE", kind)
    truth = truth_of([23, 20, 33, 30])
    near, perfect = torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)
    near[0, 1, 0], perfect[0, 1, 0] = 0.2, 0.3
    start, nearer, there = (
        losses_of(generator, deltas, truth)["loss_rpn_loc"].item()
        for deltas in (torch.zeros(1, 3, 4), near, perfect)
    )
    assert there == pytest.approx(0, abs=1e-6)
    assert start > nearer > there


def test_no_object_costs_no_box_loss(tiny_config):
    deltas = torch.ones(1, 3, 4, requires_grad=True)
    losses = losses_of(rpn(tiny_config, *NWD_LOSS), deltas, truth_of())
    assert losses["loss_rpn_loc"].item() == 0
    losses["loss_rpn_loc"].backward()
    assert (deltas.grad == 0).all()


@pytest.mark.parametrize("training", [False, True])
def test_nms_by_nwd_against_a_slow_reference(tiny_config, training):
    torch.manual_seed(2)
    options = ("MODEL.RPN.PIXELS_PER_PROPOSAL_TEST", 0, "MODEL.RPN.SCORE_THRESH_TEST", 0.0)
    generator = rpn(tiny_config, *NWD_NMS, *options).train(training)
    anchors = anchors_of_a_tile(generator, 64)
    logits = [torch.randn(2, len(a)) for a in anchors]
    deltas = [torch.randn(2, len(a), 4) * 0.1 for a in anchors]
    found = generator.predict_proposals(anchors, logits, deltas, [(64, 64), (60, 50)])
    for image, (height, width) in enumerate([(64, 64), (60, 50)]):
        expected = []
        for level in range(4):
            order = logits[level][image].argsort(descending=True)[:100]
            boxes = generator.box2box_transform.apply_deltas(
                deltas[level][image][order], anchors[level].tensor[order]
            )
            boxes = Boxes(boxes)
            boxes.clip((height, width))
            kept = []
            for i in range(len(boxes)):
                these = boxes.tensor[[i] * len(kept)]
                alike = wasserstein_similarity(these, boxes.tensor[kept], 12.8)
                if boxes.area()[i] > 0 and not (alike > 0.85).any():
                    kept.append(i)
            expected += [(logits[level][image][order[i]].item(), boxes.tensor[i]) for i in kept]
        expected.sort(key=lambda row: -row[0])
        assert len(found[image]) == 32 < len(expected)
        best = torch.stack([box for _, box in expected[:32]])
        torch.testing.assert_close(found[image].proposal_boxes.tensor, best)


def test_images_alone_and_in_a_batch_get_the_same_proposals_by_nwd(tiny_config):
    generator = rpn(tiny_config, *NWD_NMS)
    generator.rpn_head.objectness_logits.weight.data.normal_(0, 1)
    generator.eval()
    maps = {f"p{level}": torch.randn(2, 32, 64 >> level, 96 >> level) for level in (2, 3, 4, 5)}
    both, _ = generator(ImageList(torch.zeros(2, 3, 64, 96), [(64, 96)] * 2), maps)
    for i in range(2):
        own = {level: feature[i : i + 1] for level, feature in maps.items()}
        (alone,), _ = generator(ImageList(torch.zeros(1, 3, 64, 96), [(64, 96)]), own)
        assert len(alone) == len(both[i]) > 0
        torch.testing.assert_close(alone.proposal_boxes.tensor, both[i].proposal_boxes.tensor)


@pytest.mark.parametrize("name", ["SmallObjectCascadeROIHeads", "StandardROIHeads"])
@pytest.mark.parametrize("full", [(), (0,), (0, 1)], ids=["empty", "half_empty", "full"])
def test_every_part_at_once_trains_and_tests(tiny_config, name, full):
    cfg = tiny_config(*NWD_MATCH, *NWD_NMS, *NWD_LOSS, "MODEL.ROI_HEADS.NAME", name)
    torch.manual_seed(0)
    model = build_model(cfg)
    images = [{"image": torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)} for _ in range(2)]
    for i, item in enumerate(images):
        item["instances"] = truth_of(*[[10, 10, 30, 30]] * (i in full), size=(96, 128))
        item["instances"].gt_classes = torch.zeros(int(i in full), dtype=torch.int64)
    with EventStorage():
        losses = model(images)
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert (losses["loss_rpn_loc"] > 0) == bool(full)
    sum(losses.values()).backward()
    with torch.no_grad():
        assert len(model.eval()(images)) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("MATCH_METRIC", "giou"), r"RPN.MATCH_METRIC must be one of .*nwd.*got 'giou'"),
        (("NMS_METRIC", "soft"), r"RPN.NMS_METRIC must be one of .*got 'soft'"),
        (("MATCHING", "atss"), r"RPN.MATCHING must be one of .*scale_adaptive.*got 'atss'"),
        (("BBOX_REG_LOSS_TYPE", "l2"), r"RPN.BBOX_REG_LOSS_TYPE must be one of .*nwd.*got 'l2'"),
        (("SCALE_ADAPTIVE.SIZE", -1.0, "MATCHING", "scale_adaptive"), r"ADAPTIVE.SIZE.*got -1"),
        (("MATCHING", "scale_adaptive", "MATCH_METRIC", "nwd"), r"MATCH_METRIC must be iou"),
    ],
)
def test_wrong_settings_are_refused(tiny_config, options, sentence):
    words = [f"MODEL.RPN.{w}" if i % 2 == 0 else w for i, w in enumerate(options)]
    with pytest.raises(ValueError, match=sentence):
        rpn(tiny_config, *words)


def test_a_wrong_constant_of_nwd_is_refused(tiny_config):
    with pytest.raises(ValueError, match=r"MODEL.NWD_CONSTANT must be positive; got 0"):
        rpn(tiny_config, "MODEL.NWD_CONSTANT", 0.0)
