"""ROI heads on synthetic features, proposals and ground truth; and whole batches for a model."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads import build_roi_heads
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

LEVELS = {"p2": 4, "p3": 8, "p4": 16, "p5": 32}
SIZE = (128, 160)


def random_boxes(count, generator):
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([100.0, 80])
    return Boxes(
        torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=generator) * 40], 1)
    )


class Bench:
    """Fixed inputs for a head, and its outputs."""

    size = SIZE

    def features(self, images=2):
        generator = torch.Generator().manual_seed(2)
        return {
            level: torch.randn(images, 32, SIZE[0] // s, SIZE[1] // s, generator=generator)
            for level, s in LEVELS.items()
        }

    def proposals(self, images=2, count=20):
        generator = torch.Generator().manual_seed(3)
        found = [Instances(SIZE) for _ in range(images)]
        for instances in found:
            instances.proposal_boxes = random_boxes(count, generator)
            instances.objectness_logits = torch.zeros(count)
        return found

    def targets(self, images=2, count=3):
        generator = torch.Generator().manual_seed(4)
        truth = [Instances(SIZE) for _ in range(images)]
        for instances in truth:
            instances.gt_boxes = random_boxes(count, generator)
            instances.gt_classes = torch.arange(count) % 3
        return truth

    def train(self, head, images=2, **counts):
        torch.manual_seed(9)
        head.train()
        with EventStorage():
            _, losses = head(
                None, self.features(images), self.proposals(images), self.targets(images, **counts)
            )
        return losses

    @torch.no_grad()
    def detect(self, head, images=2, count=20):
        head.eval()
        found, _ = head(None, self.features(images), self.proposals(images, count))
        return found

    def same(self, a, b):
        torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor)
        torch.testing.assert_close(a.scores, b.scores)
        assert torch.equal(a.pred_classes, b.pred_classes)

    def assert_alike(self, head, other):
        """Checks that both have the same losses and detections with the same weights.

        Returns the losses.
        """
        other.load_state_dict(head.state_dict())
        losses, expected = self.train(head), self.train(other)
        assert losses.keys() == expected.keys()
        for name in losses:
            torch.testing.assert_close(losses[name], expected[name])
        for a, b in zip(self.detect(head), self.detect(other), strict=True):
            assert len(a) > 5
            self.same(a, b)
        return losses

    def restless(self, head, seed=1):
        """Weights large enough for a head to move boxes and for scores to differ."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in head.named_parameters():
                if name.startswith("box_predictor.") and name.endswith(".weight"):
                    weight.normal_(0, 0.3, generator=generator)
        return head

    def image(self, objects, generator):
        """A training and test item of Detectron2 with that many objects, 96 x 128."""
        image = torch.randint(0, 256, (3, 96, 128), generator=generator, dtype=torch.uint8)
        truth = Instances((96, 128))
        corner = torch.rand(objects, 2, generator=generator) * 60
        truth.gt_boxes = Boxes(torch.cat([corner, corner + 20], dim=1))
        truth.gt_classes = torch.arange(objects) % 3
        return {"image": image, "instances": truth, "height": 96, "width": 128}

    def run_batch(self, model, counts):
        """Trains and tests a model once on images with so many objects; returns losses, outputs."""
        generator = torch.Generator().manual_seed(0)
        batch = [self.image(count, generator) for count in counts]
        with EventStorage():
            losses = model.train()(batch)
        total = sum(losses.values())
        assert torch.isfinite(total)
        total.backward()
        with torch.no_grad():
            outputs = model.eval()(batch)
        assert [out["instances"].image_size for out in outputs] == [(96, 128)] * len(counts)
        for out in outputs:
            boxes = out["instances"].pred_boxes.tensor
            assert torch.isfinite(boxes).all()
            assert ((boxes >= 0) & (boxes <= torch.tensor([128, 96] * 2))).all()
        return losses, outputs


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def heads(tiny_config):
    """Builds the ROI head of that name, from the tiny config with KEY VALUE pairs."""

    def make(*options, name="SmallObjectCascadeROIHeads"):
        cfg = tiny_config("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, *options)
        cfg.MODEL.ROI_HEADS.NAME = name
        torch.manual_seed(0)
        shapes = {level: ShapeSpec(channels=32, stride=s) for level, s in LEVELS.items()}
        return build_roi_heads(cfg, shapes)

    return make
