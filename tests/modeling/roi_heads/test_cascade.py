"""The cascade head: Detectron2's own by default, and each option against a plain reference."""

import pytest
import torch
from detectron2.layers import batched_nms
from detectron2.modeling.roi_heads import CascadeROIHeads
from detectron2.structures import Boxes

from smallobj.modeling.build import build_model
from smallobj.modeling.roi_heads import SmallObjectCascadeROIHeads

CASCADE = "MODEL.ROI_BOX_CASCADE_HEAD."
IOUS = (0.5, 0.6, 0.7, 0.75)


def stages(count):
    """KEY VALUE pairs for that many stages."""
    weights = tuple((10.0 * s, 10.0 * s, 5.0 * s, 5.0 * s) for s in range(1, count + 1))
    return [CASCADE + "IOUS", IOUS[:count], CASCADE + "BBOX_REG_WEIGHTS", weights]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_by_default_it_is_detectron2s_cascade(heads, bench, count):
    ours = bench.restless(heads(*stages(count)))
    theirs = bench.restless(heads(*stages(count), name="CascadeROIHeads"))
    assert type(ours) is SmallObjectCascadeROIHeads
    assert type(theirs) is CascadeROIHeads
    theirs.load_state_dict(ours.state_dict())
    losses, expected = bench.train(ours), bench.train(theirs)
    assert losses.keys() == expected.keys()
    assert len(losses) == 2 * count
    for name in losses:
        torch.testing.assert_close(losses[name], expected[name])
    for a, b in zip(bench.detect(ours), bench.detect(theirs), strict=True):
        assert len(a) > 5
        bench.same(a, b)


def test_stage_weights_scale_the_losses(heads, bench):
    plain = bench.train(bench.restless(heads()))
    weighted = bench.train(
        bench.restless(heads(CASCADE + "STAGE_LOSS_WEIGHTS", "(1.0, 0.5, 0.25)"))
    )
    for name, loss in plain.items():
        factor = (1.0, 0.5, 0.25)[int(name[-1])]
        torch.testing.assert_close(weighted[name], loss * factor)


def detected_slowly(head, bench, image, test_stages, rescore):
    """Boxes and all classes' scores of one image, stage by stage, one region at a time."""
    levels = bench.features()
    maps = [levels[level][image : image + 1] for level in head.box_in_features]

    def run(stage, boxes):
        pooled = head.box_pooler(maps, [Boxes(boxes[None])])
        return head.box_predictor[stage](head.box_head[stage](pooled))

    rows = []
    for box in bench.proposals()[image].proposal_boxes.tensor:
        inputs = []
        for stage in range(test_stages[-1] + 1):
            if stage:
                moved = Boxes(box[None])
                moved.clip(bench.size)
                box = moved.tensor[0]
            inputs.append(box)
            _, deltas = run(stage, box)
            box = head.box_predictor[stage].box2box_transform.apply_deltas(deltas, box[None])[0]
        logits = [run(stage, inputs[-1 if rescore else stage])[0] for stage in test_stages]
        rows.append((box, torch.stack([x.softmax(dim=1) for x in logits]).mean(dim=0)[0]))
    return torch.stack([b for b, _ in rows]), torch.stack([s for _, s in rows])


@pytest.mark.parametrize("scoring", ["own_roi", "rescore"])
@pytest.mark.parametrize("test_stages", [(1,), (2,), (1, 2), (1, 3), (1, 2, 3)])
@torch.no_grad()
def test_scores_are_the_mean_over_the_chosen_stages(heads, bench, scoring, test_stages):
    options = [CASCADE + "SCORING", scoring, CASCADE + "TEST_STAGES", test_stages]
    head = bench.restless(heads(*options))
    detected = bench.detect(head)
    for image in range(2):
        boxes, scores = detected_slowly(
            head, bench, image, [stage - 1 for stage in test_stages], scoring == "rescore"
        )
        clipped = Boxes(boxes.clone())
        clipped.clip(bench.size)
        region, category = (scores[:, :3] > 0).nonzero().unbind(dim=1)
        flat = scores[:, :3].flatten()
        keep = batched_nms(clipped.tensor[region], flat, category, 0.5)[:100]
        assert len(detected[image]) == len(keep)
        torch.testing.assert_close(detected[image].scores, flat[keep], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            detected[image].pred_boxes.tensor, clipped.tensor[region][keep], atol=1e-3, rtol=1e-4
        )


def test_the_two_scorings_differ(heads, bench):
    own = bench.detect(bench.restless(heads()))[0]
    rescored = bench.detect(bench.restless(heads(CASCADE + "SCORING", "rescore")))[0]
    assert len(own) != len(rescored) or not torch.allclose(own.scores, rescored.scores)


@pytest.mark.parametrize("scoring", ["own_roi", "rescore"])
def test_without_proposals(heads, bench, scoring):
    head = heads(CASCADE + "SCORING", scoring)
    assert [len(found) for found in bench.detect(head, count=0)] == [0, 0]


@pytest.mark.parametrize("fusion", ["replace", "concat"])
def test_context_changes_the_features_and_trains(heads, bench, fusion):
    options = ["MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", 2.0, "MODEL.ROI_BOX_HEAD.CONTEXT_FUSION", fusion]
    head = bench.restless(heads(*options))
    sum(bench.train(head).values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
    if fusion == "replace":  # no weights of its own: the same head, on larger regions
        plain = bench.restless(heads())
        plain.load_state_dict(head.state_dict())
        a, b = bench.detect(plain)[0], bench.detect(head)[0]
        assert not torch.allclose(a.scores[:5], b.scores[:5])


def test_loss_keys_reach_every_stage(heads, bench):
    options = ["MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "nwd"]
    options += ["MODEL.ROI_BOX_HEAD.CLS_LOSS", "focal", "MODEL.ROI_BOX_HEAD.FOCAL_GAMMA", 1.5]
    options += ["MODEL.NWD_CONSTANT", 20.0]
    head = heads(*options)
    for predictor in head.box_predictor:
        assert (predictor.box_reg_loss_type, predictor.nwd_constant) == ("nwd", 20.0)
        assert predictor.class_loss.gamma == 1.5
    weights = [predictor.box2box_transform.weights for predictor in head.box_predictor]
    assert [w[0] for w in weights] == [10.0, 20.0, 30.0]
    plain, ours = bench.train(bench.restless(heads())), bench.train(bench.restless(head))
    assert all(not torch.allclose(plain[name], ours[name]) for name in plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([CASCADE + "STAGE_LOSS_WEIGHTS", "(1.0, 0.5)"], "STAGE_LOSS_WEIGHTS.*3 stages.*0.5"),
        ([CASCADE + "SCORING", "best"], "SCORING.*best"),
        ([CASCADE + "TEST_STAGES", "(3, 1)"], r"TEST_STAGES.*1 to 3, rising.*\[3, 1\]"),
        ([CASCADE + "TEST_STAGES", "(0,)"], r"TEST_STAGES.*1 to 3.*\[0\]"),
        ([CASCADE + "IOUS", "(0.5, 0.6)"], r"IOUS and BBOX_REG_WEIGHTS.*got 2 .*and 3"),
        ([CASCADE + "IOUS", "()", CASCADE + "BBOX_REG_WEIGHTS", "()"], "IOUS.*got 0"),
        ([CASCADE + "IOUS", "(0.4, 0.5, 0.6)"], r"IOU_THRESHOLDS must be \[0.4\]; got \[0.5\]"),
        (["MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False"], "CLS_AGNOSTIC_BBOX_REG.*False"),
        (["MODEL.ROI_BOX_HEAD.CLS_LOSS", "hinge"], "CLS_LOSS.*hinge"),
        (["MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", 0.5], "CONTEXT_SCALE.*0.5"),
    ],
)
def test_bad_values_are_refused(heads, options, message):
    with pytest.raises(ValueError, match=message):
        heads(*options)


@pytest.mark.parametrize("counts", [(3, 2), (0, 3), (0, 0)])
@pytest.mark.parametrize("scoring", ["own_roi", "rescore"])
def test_full_half_empty_and_empty_batches(tiny_config, bench, counts, scoring):
    options = [CASCADE + "SCORING", scoring, "MODEL.ROI_BOX_HEAD.CONTEXT_SCALE", 1.5]
    losses, _ = bench.run_batch(build_model(tiny_config(*options)), counts)
    assert len(losses) == 8
