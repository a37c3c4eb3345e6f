"""Properties of every classification loss of a box head."""

import pytest
import torch
from torch.nn import functional as F

from smallobj.config import get_cfg
from smallobj.modeling.class_losses import CLASS_LOSS_REGISTRY, build_class_loss

HEAD = "MODEL.ROI_BOX_HEAD."
CLASSES = 4
NAMES = [name for name, _ in CLASS_LOSS_REGISTRY]


def build(name, *options):
    cfg = get_cfg()
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = CLASSES
    options = [HEAD + "CLASS_FREQUENCIES", [0.5, 0.001, 0.2, 0.0], *options]
    cfg.merge_from_list([HEAD + "CLS_LOSS", name, *options])
    return build_class_loss(cfg)


def logits_and_classes(count=60, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, CLASSES + 1, generator=generator) * scale
    return logits.requires_grad_(), torch.randint(CLASSES + 1, (count,), generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_keys_choose_it_and_it_trains_every_logit(name):
    logits, classes = logits_and_classes()
    loss = build(name)
    assert type(loss) is CLASS_LOSS_REGISTRY.get(name)
    loss(logits, classes).backward()
    assert torch.isfinite(logits.grad).all()
    unused = name == "equalization"  # sigmoids have no background
    assert (logits.grad.abs().sum(dim=0) > 0).tolist() == [True] * CLASSES + [not unused]


@pytest.mark.parametrize("name", NAMES)
def test_gradient_steps_raise_the_scores_of_the_true_classes(name):
    logits, classes = logits_and_classes(scale=1.0)
    loss = build(name)
    rows = torch.arange(len(classes))
    before = loss.probabilities(logits.detach())[rows, classes].mean()
    values = []
    for _ in range(20):
        torch.manual_seed(0)  # for the random choice in the softmax equalization loss
        (slope,) = torch.autograd.grad(value := loss(logits, classes), logits)
        values.append(value.item())
        logits = (logits - 5 * slope).detach().requires_grad_()
    assert values[-1] < values[0]
    assert loss.probabilities(logits.detach())[rows, classes].mean() > before + 0.05


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 5])
def test_without_regions_and_without_foreground(name, count):
    logits = torch.zeros(count, CLASSES + 1, requires_grad=True)
    loss = build(name)(logits, torch.full((count,), CLASSES))
    loss.backward()
    assert (loss.item() > 0) == (count > 0)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_probabilities_and_huge_logits_stay_finite(name):
    logits, classes = logits_and_classes(scale=1000.0)
    loss = build(name)
    scores = loss.probabilities(logits)
    assert ((scores >= 0) & (scores <= 1)).all()
    if name != "equalization":
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(len(scores)))
    loss(logits, classes).backward()
    assert torch.isfinite(logits.grad).all()
    assert loss.probabilities(torch.zeros(0, CLASSES + 1)).shape == (0, CLASSES + 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("focal", ("FOCAL_GAMMA", 0.0)),
        ("equalization_softmax", ("EQUALIZATION_LAMBDA", 0.0)),
        ("equalization_softmax", ("EQUALIZATION_GAMMA", 0.0)),
    ],
)
def test_without_their_factor_they_are_cross_entropy(name, options):
    logits, classes = logits_and_classes()
    loss = build(name, HEAD + options[0], options[1])
    torch.testing.assert_close(loss(logits, classes), F.cross_entropy(logits, classes))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("hinge", "CLS_LOSS", "hinge"),
        ("focal", "FOCAL_GAMMA", -1.0),
        ("seesaw", "SEESAW_P", -0.1),
        ("seesaw", "SEESAW_Q", -2.0),
        ("equalization", "EQUALIZATION_LAMBDA", 1.5),
        ("equalization_softmax", "EQUALIZATION_GAMMA", 1.5),
        ("equalization", "CLASS_FREQUENCIES", [0.1, 0.2, 0.3, 1.5]),
        ("equalization", "CLASS_FREQUENCIES", [0.1, 0.2]),
    ],
)
def test_bad_values_are_refused(name, key, value):
    shown = str(value).replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(ValueError, match=rf"{key}.*{shown}"):
        build(name, HEAD + key, value)
