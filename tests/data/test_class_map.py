import torch
from detectron2.structures import Boxes, Instances

from smallobj.data.class_map import ClassMap


def found(*classes):
    boxes = torch.arange(4.0 * len(classes)).view(-1, 4)
    return Instances((9, 9), pred_boxes=Boxes(boxes), pred_classes=torch.tensor(classes).long())


def test_classes_are_numbered_by_name_and_unknown_ones_left_out():
    renamed = ClassMap(["bolt", "nut", "nail"], ["nail", "bolt"])(found(0, 1, 2, 0))
    assert renamed.pred_classes.tolist() == [1, 0, 1]
    assert renamed.pred_boxes.tensor[:, 0].tolist() == [0, 8, 12]
    assert renamed.image_size == (9, 9)


def test_the_same_order_changes_nothing():
    one = found(0, 1)
    # The other list may go on.
    assert ClassMap(["bolt", "nut"], ["bolt", "nut", "nail"])(one) is one
    assert ClassMap((), ["bolt"])(one) is one
    assert len(ClassMap(["bolt"], ["nut"])(found())) == 0
