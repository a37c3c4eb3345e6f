"""The focus network: targets, loss and Detectron2's contract."""

import math

import pytest
import torch
from detectron2.structures import Boxes, Instances

from smallobj import load_config
from smallobj.modeling import build_model
from smallobj.modeling.meta_arch.focus import FocusNet, focus_targets

TINY = "configs/quick/focus_tiny.yaml"


def targets(*boxes, size=(6, 8), core=0.5):
    """Target and weight."""
    return focus_targets(torch.tensor(boxes).reshape(-1, 4).float(), size, core)[:2]


@pytest.fixture
def network(repository):
    torch.manual_seed(0)
    options = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.FOCUS.FOCAL_ALPHA", "0.75"]
    return build_model(load_config(str(repository / TINY), options))


def item(height, width, *boxes):
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4).float())
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    return {"image": image, "height": 2 * height, "width": 2 * width, "instances": instances}


def test_without_objects_everything_is_background():
    target, weight = targets()
    assert (target == 0).all()
    assert (weight == 1).all()


def test_an_object_within_a_cell_has_that_cell():
    target, weight = targets([2.2, 3.3, 2.6, 3.5])
    assert target.nonzero().tolist() == [[3, 2]]
    assert (weight == 1).all()


def test_cells_that_an_object_only_touches_do_not_count():
    # The centre, (3.1, 2.9), lies in cell (2, 3); the box reaches into cells 2 and 3 both ways.
    target, weight = targets([2.8, 2.6, 3.4, 3.2])
    assert target.nonzero().tolist() == [[2, 3]]
    expected = torch.ones(6, 8)
    expected[2:4, 2:4] = 0
    expected[2, 3] = 1
    assert torch.equal(weight, expected)


def test_a_large_object_has_the_cells_of_its_core_and_weighs_no_more():
    # Core: x 2 to 6, y 2 to 4; with centres in it are columns 2 to 5 and rows 2 and 3.
    target, weight = targets([0, 1, 8, 5])
    expected = torch.zeros(6, 8)
    expected[2:4, 2:6] = 1
    assert torch.equal(target, expected)
    assert torch.equal(weight[2:4, 2:6], torch.full((2, 4), 1 / 8))
    assert (weight[1] == 0).all()
    assert (weight[0] == 1).all()


def test_of_two_objects_in_a_cell_both_count():
    target, weight = targets([2.1, 2.1, 2.4, 2.4], [2.6, 2.6, 2.9, 2.9])
    assert target.sum() == 1
    assert weight[2, 2] == 2


def test_an_object_at_the_border_keeps_a_cell():
    target, weight = targets([7.9, 5.9, 8, 6], [-1, -1, 0.5, 0.5])
    assert target.nonzero().tolist() == [[0, 0], [5, 7]]
    assert (weight[target > 0] == 1).all()


def test_predicted_sides_are_longer_sides_in_cells():
    boxes = torch.tensor([[1.0, 1.0, 4.0, 2.5], [6.1, 5.2, 6.3, 5.7]])
    _, _, side = focus_targets(boxes, (6, 8), 0.5)
    assert side[1, 2] == 3
    assert side[5, 6] == pytest.approx(0.5)
    assert side[0, 0] == 1


def test_the_losses_by_hand(network):
    logits, sizes = torch.zeros(2, 4, 5), torch.zeros(2, 4, 5)
    boxes = [Boxes(torch.tensor([[8.5, 9.0, 40.5, 14.0]])), Boxes(torch.zeros(0, 4))]
    losses = network.losses(logits, sizes, boxes)
    # p = 1/2 everywhere: (1/2)^2 ln 2 a cell. 3/4 of it for the object, whose cells weigh 1
    # together; 1/4 for each of the background's, which are all but row 1 from column 1 on.
    expected = (0.75 + (40 - 4) * 0.25) * 0.25 * math.log(2)
    assert losses["loss_focus"].item() == pytest.approx(expected, rel=1e-5)
    # The longer side is 4 cells; 2 = log2(4) off is 2 - 1/2 by smooth L1, weighed 0.2.
    assert losses["loss_size"].item() == pytest.approx(0.2 * 1.5, rel=1e-5)


def test_losses_are_means_over_objects(network):
    torch.manual_seed(1)
    logits, sizes = torch.randn(1, 6, 6), torch.randn(1, 6, 6)
    one = [Boxes(torch.tensor([[10.0, 10.0, 30.0, 30.0]]))]
    once = network.losses(logits, sizes, one)
    twice = network.losses(logits.expand(2, 6, 6), sizes.expand(2, 6, 6), one * 2)
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize(
    "boxes",
    [[[], []], [[[5, 5, 20, 12]], []], [[[5, 5, 20, 12], [30, 30, 33, 34]], [[0, 0, 4, 4]]]],
    ids=["empty", "half-empty", "full"],
)
def test_training_on_empty_and_full_batches(network, boxes):
    network.train()
    losses = network([item(48, 64, *found) for found in boxes])
    assert list(losses) == ["loss_focus", "loss_size"]
    sum(losses.values()).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_heat_maps_of_photographs_of_different_sizes(network):
    network.eval()
    with torch.no_grad():
        outputs = network([item(48, 64), item(41, 33)])
    assert [output["focus"].shape for output in outputs] == [(6, 8), (6, 5)]
    assert [output["stride"] for output in outputs] == [16, 16]
    for output in outputs:
        assert output["side"].shape == output["focus"].shape
        assert (output["side"] > 0).all()
        assert output["focus"].dtype == torch.float32
        assert (output["focus"] > 0).all()
        assert (output["focus"] < 0.2).all(), "an untrained network finds little"


def test_it_learns_to_tell_an_object_from_the_ground(network):
    torch.manual_seed(2)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    ground = item(64, 64, [42, 18, 54, 30])
    ground["image"] //= 8
    ground["image"][:, 18:30, 42:54] = 250
    for _ in range(60):
        loss = sum(network([ground, ground]).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        output = network([ground])[0]
    row, column = divmod(int(output["focus"].argmax()), 8)
    assert (row, column) in [(2, 5), (3, 5), (2, 6), (3, 6)]
    assert output["side"][row, column].item() == pytest.approx(24, rel=0.3), "in the photograph"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("REDUCTION", 3, r"must be one of \[1, 2, 4, 8\]; got 3"),
        ("CORE", 0.0, "CORE must lie"),
        ("FOCAL_ALPHA", 1.0, "FOCAL_ALPHA must lie in"),
        ("CHANNELS", (8, 8), "needs three numbers"),
    ],
)
def test_wrong_settings_are_refused(repository, key, value, message):
    cfg = load_config(str(repository / TINY))
    cfg.MODEL.FOCUS[key] = value
    with pytest.raises(ValueError, match=message):
        FocusNet(cfg)
