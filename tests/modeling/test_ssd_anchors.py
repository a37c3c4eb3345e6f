"""SSD's default boxes: the papers' numbers, torchvision's coordinates, other sizes of images."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_anchor_generator
from detectron2.structures import Boxes, pairwise_iou
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from smallobj import get_cfg, load_config
from smallobj.modeling.ssd_anchors import SSDAnchorGenerator

GRIDS = {300: [38, 19, 10, 5, 3, 1], 512: [64, 32, 16, 8, 4, 2, 1]}
COUNTS = {300: 8732, 512: 24564}


def maps(sides):
    return [
        torch.zeros(1, 1, *(side if isinstance(side, tuple) else (side,) * 2)) for side in sides
    ]


def generator_of(cfg):
    shapes = [ShapeSpec(channels=1, stride=1)] * len(cfg.MODEL.SSD.IN_FEATURES)
    cfg.MODEL.ANCHOR_GENERATOR.NAME = "SSDAnchorGenerator"
    return build_anchor_generator(cfg, shapes)


def shipped(repository, side):
    return load_config(str(repository / "configs" / f"ssd{side}.yaml"))


@pytest.mark.parametrize("side", [300, 512])
def test_there_are_as_many_boxes_as_in_the_paper(repository, side):
    generator = generator_of(shipped(repository, side))
    anchors = generator(maps(GRIDS[side]))
    assert sum(len(boxes) for boxes in anchors) == COUNTS[side]
    expected = [4, 6, 6, 6, 4, 4] if side == 300 else [4, 6, 6, 6, 6, 4, 4]
    assert generator.num_anchors == expected


@pytest.mark.parametrize("side", [300, 512])
def test_boxes_are_those_of_torchvision(repository, side):
    cfg = get_cfg() if side == 300 else shipped(repository, side)
    node = cfg.MODEL.SSD
    # torchvision knows no spread steps: at the size they were made for these are the whole side
    # over the number of cells.
    steps = [step or side / cells for step, cells in zip(node.STEPS, GRIDS[side], strict=True)]
    ratios = [[int(ratio) for ratio in ratios] for ratios in node.ASPECT_RATIOS]
    oracle = DefaultBoxGenerator(ratios, scales=list(node.SCALES), steps=steps)
    features = maps(GRIDS[side])
    theirs = oracle(ImageList(torch.zeros(1, 3, side, side), [(side, side)]), features)[0]
    ours = torch.cat([boxes.tensor for boxes in generator_of(cfg)(features)])
    torch.testing.assert_close(ours / side, theirs / side, rtol=1e-5, atol=1e-6)


def test_defaults_are_those_of_torchvisions_ssd300():
    node = get_cfg().MODEL.SSD
    assert node.SCALES == [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
    assert [round(scale * node.INPUT_SIZE) for scale in node.SCALES][::6] == [21, 315]
    assert generator_of(get_cfg())(maps(GRIDS[300]))[5].tensor.shape == (4, 4)


def test_shapes_worked_by_hand():
    generator = SSDAnchorGenerator(
        input_size=100, scales=[0.1, 0.4], aspect_ratios=[[4.0]], steps=[50]
    )
    (boxes,) = generator(maps([(1, 2)]))
    # Around (25, 25): 10 x 10, 20 x 20 = sqrt(10 * 40), 20 x 5, 5 x 20; then around (75, 25).
    first = torch.tensor(
        [[20, 20, 30, 30], [15, 15, 35, 35], [15, 22.5, 35, 27.5], [22.5, 15, 27.5, 35]]
    )
    torch.testing.assert_close(boxes.tensor, torch.cat([first, first + torch.tensor([50, 0] * 2)]))


def test_a_larger_image_has_more_boxes_of_the_same_pixels():
    generator = generator_of(get_cfg())
    small = generator(maps(GRIDS[300]))
    # 600 x 900 px: what VGG-16 and the extra layers make of it.
    sizes = [(75, 113), (38, 57), (19, 29), (10, 15), (8, 13), (6, 11)]
    large = generator(maps(sizes))
    for few, many, (rows, columns) in zip(small, large, sizes, strict=True):
        count = len(many) // (rows * columns)
        sides = (few.tensor[:count, 2:] - few.tensor[:count, :2]).repeat(rows * columns, 1)
        torch.testing.assert_close(
            many.tensor[:, 2:] - many.tensor[:, :2], sides, atol=1e-4, rtol=0
        )
    torch.testing.assert_close(large[0].tensor[:4], small[0].tensor[:4])
    # Maps whose border is cut off still cover the image evenly, (i + 0.5) / |f_k|, to the first
    # map's cell: only that tells the generator how large the image is.
    centres = large[4].get_centers().reshape(8, 13, 4, 2)[:, :, 0]
    for found, cells, side in [(centres[0, :, 0], 13, 900), (centres[:, 0, 1], 8, 600)]:
        even = (torch.arange(cells) + 0.5) / cells * side
        torch.testing.assert_close(found, even, atol=8, rtol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scales": [0.1, 0.2]}, "SCALES has one more; got 2, 2 and 2"),
        ({"aspect_ratios": [[2.0]]}, "got 2, 1 and 3"),
        ({"scales": [0.1, 0.2, 0.0]}, "are positive"),
        ({"aspect_ratios": [[2.0], [-1.0]]}, "are positive"),
        ({"steps": [0, 8]}, "first of STEPS"),
        ({"input_size": 0}, "INPUT_SIZE"),
    ],
)
def test_wrong_settings_are_refused(options, words):
    right = {"input_size": 64, "scales": [0.1, 0.2, 0.3], "steps": [8, 16]}
    with pytest.raises(ValueError, match=words):
        SSDAnchorGenerator(**{**right, "aspect_ratios": [[2.0], [2.0]], **options})


def test_a_number_of_maps_other_than_of_steps_is_refused():
    cfg = get_cfg()
    cfg.MODEL.SSD.STEPS = [8, 16]
    with pytest.raises(ValueError, match="got 2 for 6"):
        generator_of(cfg)


def test_in_the_organisers_baseline_every_match_is_forced(repository):
    """99 px of 2800 x 2100, squashed to 300 x 300, fit none of its boxes to an IoU of 0.35."""
    cfg = load_config(str(repository / "configs" / "ssd300_r50_whole.yaml"))
    anchors = Boxes.cat(generator_of(cfg)(maps(GRIDS[300])))
    size = torch.tensor([99 * 300 / 2800, 99 * 300 / 2100])
    centres = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 280 + 10
    # One that lies just right.
    centres[0] = anchors.tensor[0, :2] + 10.5 + 80
    objects = Boxes(torch.cat([centres - size / 2, centres + size / 2], dim=1))
    assert 0.33 < pairwise_iou(objects, anchors).max() < 0.35


def test_the_organisers_baseline_has_their_numbers(repository):
    cfg = load_config(str(repository / "configs" / "ssd300_r50_whole.yaml"))
    assert [round(scale * 300) for scale in cfg.MODEL.SSD.SCALES][::6] == [21, 315]
    assert tuple(cfg.INPUT.SQUASH) == (300, 300)
    assert (cfg.SOLVER.OPTIMIZER, cfg.SOLVER.BASE_LR) == ("Adam", 0.001)
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SEED) == (8, 123)
    assert cfg.MODEL.SSD.NMS_THRESH_TEST == 0.5
    assert round(30 * 17173 / 8, -2) == cfg.SOLVER.MAX_ITER
