"""The cascade head: Detectron2's own by default, and each option against a plain reference."""

import pytest
import torch
from detectron2.layers import ShapeSpec, batched_nms
from detectron2.modeling.roi_heads import CascadeROIHeads, build_roi_heads
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from smallobj.modeling.build import build_model
from smallobj.modeling.roi_heads import SmallObjectCascadeROIHeads

LEVELS = {"p2": 4, "p3": 8, "p4": 16, "p5": 32}
SIZE = (128, 160)


@pytest.fixture
def heads(tiny_config):
    def make(*options, name="SmallObjectCascadeROIHeads"):
        cfg = tiny_config("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, *options)
        cfg.MODEL.ROI_HEADS.NAME = name
        torch.manual_seed(0)
        shapes = {level: ShapeSpec(channels=32, stride=s) for level, s in LEVELS.items()}
        return build_roi_heads(cfg, shapes)

    return make


def restless(head, seed=1):
    """Weights large enough for stages to move boxes and to disagree on scores."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for predictor in head.box_predictor:
            predictor.cls_score.weight.normal_(0, 0.3, generator=generator)
            predictor.bbox_pred.weight.normal_(0, 0.3, generator=generator)
    return head


def features(images=2):
    generator = torch.Generator().manual_seed(2)
    return {
        level: torch.randn(images, 32, SIZE[0] // s, SIZE[1] // s, generator=generator)
        for level, s in LEVELS.items()
    }


def random_boxes(count, generator):
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([100.0, 80])
    return Boxes(
        torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=generator) * 40], 1)
    )


def proposals(images=2, count=20):
    generator = torch.Generator().manual_seed(3)
    found = [Instances(SIZE) for _ in range(images)]
    for instances in found:
        instances.proposal_boxes = random_boxes(count, generator)
        instances.objectness_logits = torch.zeros(count)
    return found


def targets(images=2, count=3):
    generator = torch.Generator().manual_seed(4)
    truth = [Instances(SIZE) for _ in range(images)]
    for instances in truth:
        instances.gt_boxes = random_boxes(count, generator)
        instances.gt_classes = torch.arange(count) % 3
    return truth


def train(head, images=2, **counts):
    torch.manual_seed(9)
    head.train()
    with EventStorage():
        _, losses = head(None, features(images), proposals(images), targets(images, **counts))
    return losses


@torch.no_grad()
def detect(head, images=2, count=20):
    head.eval()
    found, _ = head(None, features(images), proposals(images, count))
    return found


def same(a, b):
    torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor)
    torch.testing.assert_close(a.scores, b.scores)
    assert torch.equal(a.pred_classes, b.pred_classes)


def test_by_default_it_is_detectron2s_cascade(heads):
    ours, theirs = restless(heads()), restless(heads(name="CascadeROIHeads"))
    assert type(ours) is SmallObjectCascadeROIHeads
    assert type(theirs) is CascadeROIHeads
    theirs.load_state_dict(ours.state_dict())
    losses, expected = train(ours), train(theirs)
    assert losses.keys() == expected.keys()
    assert len(losses) == 6
    for name in losses:
        torch.testing.assert_close(losses[name], expected[name])
    for a, b in zip(detect(ours), detect(theirs), strict=True):
        assert len(a) > 5
        same(a, b)


def test_stage_weights_scale_the_losses(heads):
    plain = train(restless(heads()))
    weighted = train(
        restless(heads("MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS", "(1.0, 0.5, 0.25)"))
    )
    for name, loss in plain.items():
        factor = (1.0, 0.5, 0.25)[int(name[-1])]
        torch.testing.assert_close(weighted[name], loss * factor)


def rescored_slowly(head, image, count=20):
    """Boxes and all classes' scores of one image, stage by stage, one region at a time."""
    maps = [m[image : image + 1] for m in (features()[level] for level in head.box_in_features)]

    def run(stage, boxes):
        pooled = head.box_pooler(maps, [Boxes(boxes[None])])
        return head.box_predictor[stage](head.box_head[stage](pooled))

    rows = []
    for box in proposals(count=count)[image].proposal_boxes.tensor:
        for stage in range(3):
            if stage:
                moved = Boxes(box[None])
                moved.clip(SIZE)
                box = moved.tensor[0]
            last_input = box
            _, deltas = run(stage, box)
            box = head.box_predictor[stage].box2box_transform.apply_deltas(deltas, box[None])[0]
        logits = [run(stage, last_input)[0] for stage in range(3)]
        rows.append((box, torch.stack([x.softmax(dim=1) for x in logits]).mean(dim=0)[0]))
    return torch.stack([b for b, _ in rows]), torch.stack([s for _, s in rows])


@torch.no_grad()
def test_rescoring_is_the_mean_of_all_stages_on_the_last_boxes(heads):
    head = restless(heads("MODEL.ROI_BOX_CASCADE_HEAD.SCORING", "rescore"))
    detected = detect(head)
    for image in range(2):
        boxes, scores = rescored_slowly(head, image)
        clipped = Boxes(boxes.clone())
        clipped.clip(SIZE)
        region, category = (scores[:, :3] > 0).nonzero().unbind(dim=1)
        flat = scores[:, :3].flatten()
        keep = batched_nms(clipped.tensor[region], flat, category, 0.5)[:100]
        assert len(detected[image]) == len(keep)
        torch.testing.assert_close(detected[image].scores, flat[keep], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            detected[image].pred_boxes.tensor, clipped.tensor[region][keep], atol=1e-3, rtol=1e-4
        )


def test_the_two_ways_of_scoring_differ(heads):
    own = detect(restless(heads()))[0]
    rescored = detect(restless(heads("MODEL.ROI_BOX_CASCADE_HEAD.SCORING", "rescore")))[0]
    assert len(own) != len(rescored) or not torch.allclose(own.scores, rescored.scores)


@pytest.mark.parametrize("scoring", ["own_roi", "rescore"])
def test_without_proposals(heads, scoring):
    head = heads("MODEL.ROI_BOX_CASCADE_HEAD.SCORING", scoring)
    assert [len(found) for found in detect(head, count=0)] == [0, 0]


@pytest.mark.parametrize("fusion", ["replace", "concat"])
def test_context_changes_the_features_and_trains(heads, fusion):
    options = ["MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", 2.0, "MODEL.ROI_BOX_HEAD.CONTEXT_FUSION", fusion]
    head = restless(heads(*options))
    sum(train(head).values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
    if fusion == "replace":  # no weights of its own: the same head, on larger regions
        plain = restless(heads())
        plain.load_state_dict(head.state_dict())
        assert not torch.allclose(detect(plain)[0].scores[:5], detect(head)[0].scores[:5])


def test_loss_keys_reach_every_stage(heads):
    options = ["MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "nwd"]
    options += ["MODEL.ROI_BOX_HEAD.CLS_LOSS", "focal", "MODEL.ROI_BOX_HEAD.FOCAL_GAMMA", 1.5]
    options += ["MODEL.ROI_BOX_HEAD.NWD_CONSTANT", 20.0]
    head = heads(*options)
    for predictor in head.box_predictor:
        assert (predictor.box_reg_loss_type, predictor.cls_loss) == ("nwd", "focal")
        assert (predictor.focal_gamma, predictor.nwd_constant) == (1.5, 20.0)
    weights = [predictor.box2box_transform.weights for predictor in head.box_predictor]
    assert [w[0] for w in weights] == [10.0, 20.0, 30.0]
    plain, ours = train(restless(heads())), train(restless(head))
    assert all(not torch.allclose(plain[name], ours[name]) for name in plain)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["MODEL.ROI_BOX_CASCADE_HEAD.STAGE_LOSS_WEIGHTS", "(1.0, 0.5)"], "3 stages.*0.5"),
        (["MODEL.ROI_BOX_CASCADE_HEAD.SCORING", "best"], "SCORING.*best"),
        (["MODEL.ROI_BOX_HEAD.CLS_LOSS", "hinge"], "CLS_LOSS.*hinge"),
        (["MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", 0.5], "CONTEXT_SCALE.*0.5"),
    ],
)
def test_bad_values_are_told(heads, options, told):
    with pytest.raises(ValueError, match=told):
        heads(*options)


def item(objects, generator):
    image = torch.randint(0, 256, (3, 96, 128), generator=generator, dtype=torch.uint8)
    truth = Instances((96, 128))
    corner = torch.rand(objects, 2, generator=generator) * 60
    truth.gt_boxes = Boxes(torch.cat([corner, corner + 20], dim=1))
    truth.gt_classes = torch.arange(objects) % 3
    return {"image": image, "instances": truth, "height": 96, "width": 128}


@pytest.mark.parametrize("counts", [(3, 2), (0, 3), (0, 0)])
@pytest.mark.parametrize("scoring", ["own_roi", "rescore"])
def test_full_half_empty_and_empty_batches(tiny_config, counts, scoring):
    options = ["MODEL.ROI_BOX_CASCADE_HEAD.SCORING", scoring]
    model = build_model(tiny_config(*options, "MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", 1.5))
    generator = torch.Generator().manual_seed(0)
    batch = [item(count, generator) for count in counts]
    with EventStorage():
        losses = model(batch)
    total = sum(losses.values())
    assert len(losses) == 8
    assert torch.isfinite(total)
    total.backward()
    model.eval()
    with torch.no_grad():
        outputs = model(batch)
        assert [out["instances"].image_size for out in outputs] == [(96, 128)] * 2
        for out in outputs:
            boxes = out["instances"].pred_boxes.tensor
            assert torch.isfinite(boxes).all()
            assert ((boxes >= 0) & (boxes <= torch.tensor([128, 96] * 2))).all()
