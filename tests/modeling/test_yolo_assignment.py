"""Assignment of priors to objects, against a loop over all priors."""

import pytest
import torch

from smallobj.modeling.yolo import YOLOPriorGenerator, assign_priors, last_of_each

SIDES = [(8, 8), (16, 10), (10, 20), (30, 30), (40, 20), (20, 40)]
STRIDES, GRIDS = (8, 16), ((6, 8), (3, 4))


def assign(*boxes):
    priors = YOLOPriorGenerator(sides=SIDES, strides=STRIDES)
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return assign_priors(boxes, list(priors.cell_anchors), STRIDES, GRIDS)


def slow_assign(box):
    """The first of the priors of best shape, in the cell with the box's centre."""
    width, height = box[2] - box[0], box[3] - box[1]

    def iou(sides):
        common = min(width, sides[0]) * min(height, sides[1])
        return common / (width * height + sides[0] * sides[1] - common)

    best = max(range(6), key=lambda i: iou(SIDES[i]))
    level = best // 3
    rows, columns = GRIDS[level]
    column = min(int((box[0] + box[2]) / 2 // STRIDES[level]), columns - 1)
    row = min(int((box[1] + box[3]) / 2 // STRIDES[level]), rows - 1)
    before = 0 if level == 0 else GRIDS[0][0] * GRIDS[0][1] * 3
    return before + (row * columns + column) * 3 + best % 3


def test_by_hand():
    # 8 x 8 around (20, 12): first prior, cell (row 1, column 2) of 8 columns.
    assert assign([16, 8, 24, 16]).tolist() == [(1 * 8 + 2) * 3 + 0]
    # 40 x 20 around (40, 20): fifth prior, second of its feature, cell (1, 2) of 4 columns.
    assert assign([20, 10, 60, 30]).tolist() == [6 * 8 * 3 + (1 * 4 + 2) * 3 + 1]


def test_many_boxes_agree_with_a_loop():
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(300, 2, generator=generator) * torch.tensor([64.0, 48])
    sides = torch.rand(300, 2, generator=generator) * 45 + 3
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1)
    found = assign(*boxes.tolist())
    assert found.tolist() == [slow_assign(box) for box in boxes.tolist()]
    assert len(found.unique()) > 100


def test_a_centre_on_a_line_between_cells_belongs_to_the_next_one():
    assert assign([12, 4, 20, 12]).tolist() == [(1 * 8 + 2) * 3]


def test_a_centre_on_the_far_border_belongs_to_the_last_cell():
    assert assign([60, 44, 68, 52]).tolist() == [(5 * 8 + 7) * 3]


def test_no_objects():
    assert assign().shape == (0,)
    assert last_of_each(assign(), 10).shape == (0,)


def test_of_several_objects_with_one_prior_the_last_owns_it():
    assigned = torch.tensor([7, 3, 7, 0, 7, 3])
    assert last_of_each(assigned, 8).tolist() == [False, False, False, True, True, True]


def test_priors_lie_on_the_centres_of_cells():
    priors = YOLOPriorGenerator(sides=SIDES, strides=STRIDES)
    fine, coarse = priors([torch.zeros(1, 1, *grid) for grid in GRIDS])
    assert priors.num_anchors == [3, 3]
    assert fine.tensor.shape == (6 * 8 * 3, 4)
    # Row 1, column 2 of stride 8, second prior of 16 x 10.
    assert fine.tensor[(1 * 8 + 2) * 3 + 1].tolist() == [20 - 8, 12 - 5, 20 + 8, 12 + 5]
    assert coarse.tensor[0].tolist() == [8 - 15, 8 - 15, 8 + 15, 8 + 15]


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ([], "ANCHORS is empty, which fits the anchors to DATASETS.TRAIN"),
        ([(8, 8)] * 4, "must be a multiple of the 3 features of .*; got 4 anchors"),
        ([(8, 8), (8, 0), (9, 9)], r"pairs of a positive width and height; got \(8, 0\)"),
        ([(8, 8), (8,), (9, 9)], r"pairs of a positive width and height; got \(8,\)"),
    ],
)
def test_wrong_anchors_are_refused(sides, message):
    with pytest.raises(ValueError, match=message):
        YOLOPriorGenerator(sides=sides, strides=(8, 16, 32))
