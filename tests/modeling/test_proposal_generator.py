"""RPN that drops proposals of low objectness at test time."""

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage

from smallobj.modeling import build_model


def proposer(tiny_config, threshold):
    torch.manual_seed(0)
    model = build_model(tiny_config("MODEL.RPN.SCORE_THRESH_TEST", threshold))
    # An untrained head is sure of nothing: all logits would be 0.
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


def test_only_sure_proposals_are_handed_on(tiny_config):
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


def test_a_negative_number_of_pixels_is_told(tiny_config):
    with pytest.raises(ValueError, match=r"PIXELS_PER_PROPOSAL_TEST.*-5"):
        build_model(tiny_config("MODEL.RPN.PIXELS_PER_PROPOSAL_TEST", -5))


@pytest.mark.parametrize("threshold", [-0.1, 1.0])
def test_a_threshold_that_is_no_probability_is_told(tiny_config, threshold):
    with pytest.raises(ValueError, match=f"SCORE_THRESH_TEST.*{threshold}"):
        proposer(tiny_config, threshold)
