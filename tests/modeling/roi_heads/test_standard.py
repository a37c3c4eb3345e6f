"""The head of Faster and Mask R-CNN: Detectron2's by default, and with each loss and context."""

import pytest
import torch
from detectron2.modeling.roi_heads import StandardROIHeads
from detectron2.structures import BitMasks

from smallobj.modeling import build_model
from smallobj.modeling.class_losses import CLASS_LOSS_REGISTRY
from smallobj.modeling.roi_heads import SmallObjectROIHeads

HEAD = "MODEL.ROI_BOX_HEAD."
NAME = ("MODEL.ROI_HEADS.NAME", "SmallObjectROIHeads")
LOSSES = [name for name, _ in CLASS_LOSS_REGISTRY]
FREQUENCIES = (HEAD + "CLASS_FREQUENCIES", [0.5, 0.001, 0.2])


@pytest.mark.parametrize("agnostic", [True, False])
def test_by_default_it_is_detectron2s_head(heads, bench, agnostic):
    options = (HEAD + "CLS_AGNOSTIC_BBOX_REG", agnostic)
    ours = bench.restless(heads(*options, name="SmallObjectROIHeads"))
    theirs = heads(*options, name="StandardROIHeads")
    assert type(ours) is SmallObjectROIHeads
    assert type(theirs) is StandardROIHeads
    losses = bench.assert_alike(ours, theirs)
    assert losses.keys() == {"loss_cls", "loss_box_reg"}
    assert all(loss > 0 for loss in losses.values())


def test_context_is_pooled(heads, bench):
    wide = bench.restless(
        heads(
            *(HEAD + "CONTEXT_SCALE", 2.0, HEAD + "CONTEXT_FUSION", "replace"),
            name="SmallObjectROIHeads",
        )
    )
    plain = heads(name="SmallObjectROIHeads")
    plain.load_state_dict(wide.state_dict())
    a, b = bench.detect(plain)[0], bench.detect(wide)[0]
    assert not torch.allclose(a.scores[:5], b.scores[:5])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "head",
    [
        "SmallObjectROIHeads",
        "SmallObjectCascadeROIHeads",
        "IterativeBBoxROIHeads",
        "IntegralLossROIHeads",
    ],
)
def test_every_class_loss_trains_and_scores_in_every_head(heads, bench, head, name):
    made = bench.restless(heads(HEAD + "CLS_LOSS", name, *FREQUENCIES, name=head))
    sum(bench.train(made).values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())
    for found in bench.detect(made):
        assert len(found) > 5
        assert ((found.scores > 0) & (found.scores <= 1)).all()


@pytest.mark.parametrize("counts", [(3, 2), (0, 3), (0, 0)])
@pytest.mark.parametrize("name", LOSSES)
def test_full_half_empty_and_empty_batches(tiny_config, bench, counts, name):
    cfg = tiny_config(*NAME, HEAD + "CLS_LOSS", name, *FREQUENCIES)
    losses, _ = bench.run_batch(build_model(cfg), counts)
    assert len(losses) == 4


def test_masks_are_found_with_it(tiny_config, bench):
    options = ["MODEL.MASK_ON", True, "MODEL.ROI_MASK_HEAD.NAME", "MaskRCNNConvUpsampleHead"]
    options += ["MODEL.ROI_MASK_HEAD.NUM_CONV", 1, "MODEL.ROI_MASK_HEAD.CONV_DIM", 16]
    cfg = tiny_config(*NAME, *options, HEAD + "CONTEXT_SCALE", 1.5, HEAD + "CLS_LOSS", "seesaw")
    model = build_model(cfg)
    image = bench.image

    def with_masks(objects, generator):
        item = image(objects, generator)
        item["instances"].gt_masks = BitMasks(torch.ones(objects, 96, 128, dtype=torch.bool))
        return item

    bench.image = with_masks
    losses, outputs = bench.run_batch(model, (3, 2))
    assert losses["loss_mask"] > 0
    assert all(out["instances"].has("pred_masks") for out in outputs)
