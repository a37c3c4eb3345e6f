"""Tiled detection around a detector that sees exactly the objects in its tile."""

import pytest
import torch
from detectron2.evaluation import inference_context
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.inference.detector import wrap_for_test
from smallobj.inference.tiled import TiledDetector
from smallobj.merging import NMSMerger

SIZE = (500, 700)


class Oracle(nn.Module):
    """Finds every object in its tile, cut where the tile cuts it.

    Channel 0 holds, in an object, the object's number from 1, so that a tile knows nothing but
    what it is shown.
    """

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, items):
        self.shapes.append([tuple(item["image"].shape) for item in items])
        return [{"instances": self.look(item)} for item in items]

    @staticmethod
    def look(item):
        height, width = item["image"].shape[1:]
        assert (item["height"], item["width"]) == (height, width)
        marks = item["image"][0]
        boxes, scores = [], []
        for number in marks.unique().tolist():
            if number:
                ys, xs = (marks == number).nonzero().unbind(dim=1)
                boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                # A whole object and its fragments are found with scores in no special order.
                scores.append(0.5 + (number * 37 + len(xs)) % 100 / 250)
        found = Instances((height, width))
        order = torch.tensor(scores).argsort(descending=True)
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)[order])
        found.scores = torch.tensor(scores)[order]
        found.pred_classes = torch.zeros(len(boxes), dtype=torch.int64)
        return found


def tiled(model=None, **changes):
    arguments = {
        "tile": 200,
        "overlap": 64,
        "batch_size": 3,
        "seam_margin": 2.0,
        "merger": NMSMerger(overlap_threshold=0.5, class_agnostic=False),
        "max_detections": 1000,
    }
    return TiledDetector(model or Oracle(), **{**arguments, **changes})


def layout(seed, size=SIZE, count=40, longest=60):
    """An image and its objects' boxes (N, 4), none of which covers another."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(3, *size, dtype=torch.int32)
    boxes = []
    for _ in range(count):
        w, h = torch.randint(4, longest + 1, (2,), generator=generator).tolist()
        w, h = min(w, size[1]), min(h, size[0])
        x = int(torch.randint(size[1] - w + 1, (1,), generator=generator))
        y = int(torch.randint(size[0] - h + 1, (1,), generator=generator))
        if not image[0, y : y + h, x : x + w].any():
            boxes.append([x, y, x + w, y + h])
            image[0, y : y + h, x : x + w] = len(boxes)
    return {"image": image}, torch.tensor(boxes, dtype=torch.float32)


def in_order(boxes):
    return sorted(boxes.tolist())


@pytest.mark.parametrize("size", [SIZE, (190, 700), (1000, 201), (150, 120)])
def test_every_object_is_found_exactly_once(size):
    for seed in range(8):
        item, truth = layout(seed, size)
        (output,) = tiled()([item])
        found = output["instances"]
        assert in_order(found.pred_boxes.tensor) == in_order(truth), seed
        assert found.image_size == size


def test_without_the_seam_rule_fragments_stay():
    """What the rule is for: merging alone leaves pieces."""
    item, truth = layout(0)
    detector = tiled(seam_iou=2.0)
    (output,) = detector([item])
    assert len(output["instances"]) > len(truth)
    merged = detector.merger(detector.tile_detections(item))
    assert torch.equal(output["instances"].pred_boxes.tensor, merged.pred_boxes.tensor)


def test_the_parts_of_a_detection_give_the_whole():
    item, truth = layout(0)
    found = tiled().tile_detections(item)
    assert len(found) > len(truth)
    assert found.tile.shape == (len(found), 4)
    assert found.cut.any()
    merged = tiled().merge_tiles(found)
    (output,) = tiled()([item])
    assert torch.equal(merged.pred_boxes.tensor, output["instances"].pred_boxes.tensor)
    assert len(tiled().tile_detections({**item, "tiles": []})) == 0


def test_objects_beyond_the_overlap_are_found_at_least_once():
    for seed in range(5):
        item, truth = layout(seed, count=15, longest=150)
        (output,) = tiled()([item])
        found = set(map(tuple, output["instances"].pred_boxes.tensor.tolist()))
        # 150 px may lie whole in no tile of 200 px that overlap by 64: a large part stands for it.
        for box in truth.tolist():
            if max(box[2] - box[0], box[3] - box[1]) <= 62:
                assert tuple(box) in found
            else:
                x0, y0, x1, y1 = box
                parts = [
                    b for b in found if b[0] >= x0 and b[1] >= y0 and b[2] <= x1 and b[3] <= y1
                ]
                assert parts, box


def test_batch_size_and_order_do_not_matter():
    items = [layout(seed, size)[0] for seed, size in enumerate([SIZE, (300, 300), SIZE, (90, 80)])]
    expected = [in_order(out["instances"].pred_boxes.tensor) for out in tiled(batch_size=1)(items)]
    for batch_size in (2, 5, 100):
        outputs = tiled(batch_size=batch_size)(items)
        assert [in_order(out["instances"].pred_boxes.tensor) for out in outputs] == expected
    outputs = tiled()(items[::-1])
    assert [in_order(o["instances"].pred_boxes.tensor) for o in outputs] == expected[::-1]


def test_batches_are_full_and_of_one_shape():
    model = Oracle()
    tiled(model, batch_size=4)([layout(0)[0], layout(1)[0], layout(2, (100, 300))[0]])
    assert all(len(set(shapes)) == 1 for shapes in model.shapes)
    # 500 x 700 takes 4 x 5 tiles: 10 batches of 4 for two images; the third takes 2 x 1.
    assert [len(shapes) for shapes in model.shapes] == [4] * 10 + [2]


def test_boxes_come_in_the_frame_that_is_asked_for():
    item, truth = layout(3)
    (output,) = tiled()([{**item, "height": SIZE[0] * 2, "width": SIZE[1] * 3}])
    found = output["instances"]
    assert found.image_size == (1000, 2100)
    expected = truth * torch.tensor([3, 2, 3, 2])
    assert in_order(found.pred_boxes.tensor) == in_order(expected)


def test_scores_fall_and_the_cap_keeps_the_best():
    item, truth = layout(4)
    every = tiled()([item])[0]["instances"]
    assert (every.scores.diff() <= 0).all()
    few = tiled(max_detections=5)([item])[0]["instances"]
    assert torch.equal(few.scores, every.scores[:5])
    assert len(every) == len(truth) > 5


@pytest.mark.parametrize("size", [SIZE, (100, 100)])
def test_nothing_to_find(size):
    (output,) = tiled()([{"image": torch.zeros(3, *size)}])
    found = output["instances"]
    assert len(found) == 0
    assert found.pred_boxes.tensor.shape == (0, 4)
    assert found.scores.shape == found.pred_classes.shape == (0,)


def test_no_images():
    assert tiled()([]) == []


@pytest.mark.parametrize("mix_images", [True, False])
def test_a_stream_gives_what_single_images_give(mix_images):
    items = [layout(seed, size)[0] for seed, size in enumerate([SIZE, (90, 80), (300, 300), SIZE])]
    # Chosen windows: none in the first image and the last, one in the second.
    items[0]["tiles"], items[1]["tiles"], items[3]["tiles"] = [], [[0, 0, 50, 50]], []
    model = Oracle()
    detector = tiled(model, batch_size=4, mix_images=mix_images)
    outputs = list(detector.stream(iter(items)))
    for output, item in zip(outputs, items, strict=True):
        (alone,) = tiled()([item])
        found, expected = output["instances"], alone["instances"]
        assert found.image_size == expected.image_size == tuple(item["image"].shape[1:])
        assert torch.equal(found.pred_boxes.tensor, expected.pred_boxes.tensor)
        assert torch.equal(found.scores, expected.scores)
        assert set(found.get_fields()) == {"pred_boxes", "scores", "pred_classes"}
    assert [len(output["instances"]) > 0 for output in outputs] == [False, True, True, False]


def test_tiles_of_several_images_share_a_batch_only_if_they_may():
    items = [{**layout(seed)[0], "tiles": [[0, 0, 200, 200]]} for seed in range(4)]
    for mix_images, sizes in ((True, [3, 1]), (False, [1, 1, 1, 1])):
        model = Oracle()
        list(tiled(model, mix_images=mix_images).stream(items))
        assert [len(shapes) for shapes in model.shapes] == sizes


def test_of_the_tiles_that_an_image_brings_only_these_are_read():
    item, truth = layout(0)
    window = torch.tensor([100, 100, 420, 420])
    (output,) = tiled()([{**item, "tiles": window[None].numpy()}])
    found = output["instances"].pred_boxes.tensor
    inside = (truth[:, :2] >= window[:2]).all(dim=1) & (truth[:, 2:] <= window[2:]).all(dim=1)
    whole = {tuple(box) for box in truth[inside].tolist()}
    assert whole
    assert whole <= set(map(tuple, found.tolist()))
    # A window is no grid: what its edges cut has no copy next door, and stays.
    touched = (truth[:, :2] < window[2:]).all(dim=1) & (truth[:, 2:] > window[:2]).all(dim=1)
    assert len(found) == touched.sum() > inside.sum()


def test_the_input_stays_as_it_is():
    item, _ = layout(0)
    before = item["image"].clone()
    tiled()([item])
    assert list(item) == ["image"]
    assert torch.equal(item["image"], before)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored(training):
    model = Oracle().train(training)
    detector = tiled(model)
    with inference_context(detector), torch.no_grad():
        assert not model.training
        detector([layout(0)[0]])
    assert model.training is training


def test_a_model_is_tiled_only_if_the_config_says_so(tiny_config):
    model = Oracle()
    assert wrap_for_test(tiny_config("TEST.TILE.ENABLED", False), model) is model
    detector = wrap_for_test(tiny_config("TEST.DETECTIONS_PER_IMAGE", 7), model)
    assert isinstance(detector, TiledDetector)
    assert (detector.tile, detector.overlap) == (128, 32)
    assert detector.runner.max_pixels == 4 * 128 * 128
    assert detector.limit.most == 7


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"overlap": 200}, "OVERLAP.*200 and 200"),
        ({"batch_size": 0}, "BATCH_SIZE.*0"),
        ({"seam_margin": -1.0}, "SEAM_MARGIN.*-1"),
        ({"seam_iou": 0.0}, "SEAM_IOU.*0.0"),
    ],
)
def test_bad_values_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        tiled(**changes)
