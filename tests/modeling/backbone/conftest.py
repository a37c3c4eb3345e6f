"""Training steps and detections for the tests of all backbones."""

import pytest
import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage


def make_images(count=2, size=(96, 128), labelled=False):
    generator = torch.Generator().manual_seed(0)
    images = []
    for _ in range(count):
        image = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
        images.append({"image": image})
        if labelled:
            truth = images[-1]["instances"] = Instances(size)
            truth.gt_boxes = Boxes(torch.tensor([[10.0, 10, 30, 32], [50, 40, 90, 90]]))
            truth.gt_classes = torch.tensor([0, 2])
    return images


def train_a_step(model):
    """The losses of one step; the parameters keep their gradients."""
    with EventStorage():
        losses = model.train()(make_images(labelled=True))
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    return losses


@torch.no_grad()
def detect(model, images):
    """Boxes and scores of each image, from a model changed to detect objects everywhere."""
    model.eval()
    for predictor in model.roi_heads.box_predictor:
        predictor.test_score_thresh = 0.0
        predictor.cls_score.weight.normal_(0, 0.1)
        predictor.bbox_pred.weight.normal_(0, 0.1)
    torch.manual_seed(0)
    return [output["instances"] for output in model(images)]


def same(found, expected):
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(
        found.pred_boxes.tensor, expected.pred_boxes.tensor, atol=1e-3, rtol=1e-4
    )
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)


def alone_as_in_a_batch(model):
    torch.manual_seed(3)
    images = make_images(3)
    together = detect(model, images)
    with torch.no_grad():
        for item, expected in zip(images, together, strict=True):
            same(model([item])[0]["instances"], expected)


@pytest.fixture(name="train_a_step", scope="session")
def train_a_step_fixture():
    return train_a_step


@pytest.fixture(name="alone_as_in_a_batch", scope="session")
def alone_as_in_a_batch_fixture():
    return alone_as_in_a_batch


@pytest.fixture(name="make_images", scope="session")
def make_images_fixture():
    return make_images
