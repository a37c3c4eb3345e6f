"""SSD300 against torchvision's, on the same weights and images."""

import types

import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn
from torchvision.models.detection import ssd as torchvision_ssd
from torchvision.models.detection.image_list import ImageList
from torchvision.models.vgg import cfgs, make_layers

from smallobj import load_config
from smallobj.modeling import build_model

CLASSES = 3
# torchvision's means, of channels in [0, 1].
MEAN = [0.48235, 0.45882, 0.40784]
PAPER = [
    *("MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", str(CLASSES)),
    *("MODEL.VGG.NORM", "", "MODEL.SSD.MIN_NEGATIVES", "0"),
    *("MODEL.BACKBONE.PRECISION", "float32", "TEST.PRECISION", "float32"),
    *("TEST.DETECTIONS_PER_IMAGE", "200"),
    *("MODEL.SSD.SCALES", "[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]"),
    *("MODEL.PIXEL_MEAN", str([255 * mean for mean in MEAN]), "MODEL.PIXEL_STD", "[1.0, 1.0, 1.0]"),
]


def their_model():
    """torchvision's SSD300 with large random weights, without VGG-16's classifier (0.5 GB)."""
    layers = types.SimpleNamespace(features=make_layers(cfgs["D"], batch_norm=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision_ssd, "vgg16", lambda **_: layers)
        model = torchvision_ssd.ssd300_vgg16(
            weights=None, weights_backbone=None, num_classes=CLASSES + 1
        )
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, std=0.1)
            if name.startswith("head"):
                module.weight.data.mul_(0.1)
    # Pixels are some 70 in size, and layers keep the size of what they get.
    model.backbone.features[0].weight.data.div_(70)
    # Of 8,732 boxes only some should pass the threshold.
    for layer in model.head.classification_head.module_list:
        layer.bias.data.view(-1, CLASSES + 1)[:, 0] += 3
    return model


def convert(theirs):
    """torchvision's weights by our names: background is its first class and our last."""
    state = theirs.state_dict()
    convolutions = [
        name[: -len(".weight")]
        for name in state
        if name.startswith("backbone") and name.endswith(".weight")
    ]
    names = [f"conv{s}_{i}" for s, n in enumerate([2, 2, 3, 3, 3], 1) for i in range(1, n + 1)]
    names += ["fc6", "fc7", *(f"conv{n}_{i}" for n in range(6, 10) for i in (1, 2))]
    ours = {"head.norms.0.scale": state["backbone.scale_weight"]}
    for name, source in zip(names, convolutions, strict=True):
        for kind in ("weight", "bias"):
            ours[f"backbone.layers.{name}.0.{kind}"] = state[f"{source}.{kind}"]
    order = [*range(1, CLASSES + 1), 0]
    for level in range(6):
        for kind in ("weight", "bias"):
            scores = state[f"head.classification_head.module_list.{level}.{kind}"]
            scores = scores.unflatten(0, (-1, CLASSES + 1))[:, order].flatten(0, 1)
            ours[f"head.cls_score.{level}.{kind}"] = scores
            boxes = state[f"head.regression_head.module_list.{level}.{kind}"]
            ours[f"head.bbox_pred.{level}.{kind}"] = boxes
    return ours


@pytest.fixture(scope="module")
def both(repository):
    """The outputs of both models and of their heads, on one image."""
    torch.manual_seed(0)
    theirs = their_model().eval()
    ours = build_model(load_config(str(repository / "configs" / "ssd300.yaml"), PAPER)).eval()
    ours.load_state_dict(convert(theirs), strict=True)
    image = torch.randint(0, 256, (3, 300, 300)).float()
    seen = {}
    hooks = [
        theirs.head.register_forward_hook(lambda _, __, output: seen.update(theirs=output)),
        ours.head.register_forward_hook(lambda _, __, output: seen.update(ours=output)),
        ours.backbone.register_forward_hook(lambda _, __, output: seen.update(features=output)),
    ]
    with torch.no_grad():
        found = {
            "theirs": theirs([image / 255])[0],
            "ours": ours([{"image": image}])[0]["instances"],
        }
    for hook in hooks:
        hook.remove()
    logits, deltas = ours._transpose_dense_predictions(seen["ours"], [CLASSES + 1, 4])
    features = [seen["features"][name] for name in ours.head_in_features]
    return types.SimpleNamespace(
        their_model=theirs,
        our_model=ours,
        their_head=seen["theirs"],
        logits=torch.cat(logits, dim=1),
        deltas=torch.cat(deltas, dim=1),
        features=features,
        found=found,
    )


def close(ours, theirs, scale=1.0):
    torch.testing.assert_close(ours / scale, theirs / scale, rtol=1e-5, atol=1e-5)


def test_heads_give_the_same(both):
    order = [*range(1, CLASSES + 1), 0]
    scores = both.their_head["cls_logits"][..., order]
    assert both.logits.shape == (1, 8732, CLASSES + 1)
    assert both.logits.std() > 0.1, "lively enough to compare"
    close(both.logits, scores)
    close(both.deltas, both.their_head["bbox_regression"])


def their_anchors(both):
    images = ImageList(torch.zeros(2, 3, 300, 300), [(300, 300)] * 2)
    return both.their_model.anchor_generator(images, both.features)


def our_truth():
    """Two images of which the second shows one object; none shares its best default box."""
    boxes = [
        torch.tensor([[20.0, 30, 60, 80], [100, 100, 112, 109], [150, 40, 290, 200]]),
        torch.tensor([[200.0, 210, 219, 260]]),
    ]
    classes = [torch.tensor([0, 2, 1]), torch.tensor([1])]
    truth = []
    for b, c in zip(boxes, classes, strict=True):
        truth.append(Instances((300, 300), gt_boxes=Boxes(b), gt_classes=c))
    return truth


def test_default_boxes_are_the_same(both):
    ours = Boxes.cat(both.our_model.anchor_generator(both.features)).tensor
    close(ours, their_anchors(both)[0], 300)


def test_matching_is_the_same(both):
    ours = both.our_model.anchor_generator(both.features)
    labels, boxes = both.our_model.label_anchors(ours, our_truth())
    for truth, anchors, classes, matched in zip(
        our_truth(), their_anchors(both), labels, boxes, strict=True
    ):
        iou = torchvision_ssd.box_ops.box_iou(truth.gt_boxes.tensor, anchors)
        index = both.their_model.proposal_matcher(iou)
        assert torch.equal(classes != CLASSES, index >= 0)
        assert torch.equal(classes[index >= 0], truth.gt_classes[index[index >= 0]])
        assert torch.equal(matched[index >= 0], truth.gt_boxes.tensor[index[index >= 0]])
        assert (index >= 0).sum() >= len(truth)


def test_losses_are_the_same(both):
    """The second image's predictions are the first one's, moved on by a box."""
    truth = our_truth()
    anchors = their_anchors(both)
    targets = [{"boxes": t.gt_boxes.tensor, "labels": t.gt_classes + 1} for t in truth]
    matched = [
        both.their_model.proposal_matcher(torchvision_ssd.box_ops.box_iou(t["boxes"], a))
        for t, a in zip(targets, anchors, strict=True)
    ]
    outputs = {name: two_images(output) for name, output in both.their_head.items()}
    theirs = both.their_model.compute_loss(targets, outputs, anchors, matched)
    our_anchors = both.our_model.anchor_generator(both.features)
    labels = both.our_model.label_anchors(our_anchors, truth)
    logits, deltas = two_images(both.logits), two_images(both.deltas)
    ours = both.our_model.losses(our_anchors, logits, deltas, *labels)
    assert theirs["classification"] > 1
    close(ours["loss_cls"], theirs["classification"])
    close(ours["loss_box_reg"], theirs["bbox_regression"])


def two_images(output):
    return torch.cat([output, output.roll(1, dims=1)])


def test_detections_are_the_same(both):
    ours, theirs = both.found["ours"], both.found["theirs"]
    assert 20 < len(ours) <= 200
    close(ours.scores, theirs["scores"])
    # Scores that differ only by rounding may be in either order.
    same = (ours.scores[:, None] - theirs["scores"]).abs() < 1e-5
    same &= ours.pred_classes[:, None] + 1 == theirs["labels"]
    boxes = ours.pred_boxes.tensor[:, None] - theirs["boxes"]
    same &= boxes.abs().amax(dim=-1) < 1e-5 * 300
    assert (same.sum(dim=0) == 1).all()
    assert (same.sum(dim=1) == 1).all()
