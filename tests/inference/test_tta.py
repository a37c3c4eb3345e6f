"""Test-time augmentation around detectors of every kind."""

import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj.inference.detector import wrap_for_test
from smallobj.inference.focus import FocusedDetector
from smallobj.inference.tiled import TiledDetector
from smallobj.inference.tta import TTADetector
from smallobj.inference.views import PRESETS, TURNS, View, make_views, preset_views
from smallobj.merging import NMSMerger, SoftVoteMerger, VoteMerger, WBFMerger
from smallobj.modeling import build_model
from smallobj.scan.scanner import Scanner

OVERLAP = {"overlap_threshold": 0.5, "class_agnostic": False}
MERGERS = [
    NMSMerger(**OVERLAP),
    VoteMerger(**OVERLAP),
    SoftVoteMerger(score_threshold=0.01, **OVERLAP),
    WBFMerger(wbf_score="mean", **OVERLAP),
]


def tiled(model, **changes):
    arguments = {
        "tile": 320,
        "overlap": 150,
        "batch_size": 2,
        "seam_margin": 2.0,
        "merger": NMSMerger(**OVERLAP),
        "max_detections": 100,
    }
    return TiledDetector(model, **{**arguments, **changes})


def augmented(detector, views, merger=None, most=100):
    merger = merger or NMSMerger(**OVERLAP)
    return TTADetector(detector, views=views, merger=merger, max_detections=most)


def assert_found(output, boxes, classes, rows):
    found = output["instances"]
    assert rows(found.pred_boxes.tensor, found.pred_classes) == rows(boxes, classes)
    assert (found.scores.diff() <= 0).all()


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("scale", [0.5, 0.6, 1.0, 1.4, 2.2, (1.0, 0.6)])
def test_each_object_is_found_exactly_once_in_tiles(turn, scale, exact_detector, planted, rows):
    for seed in range(2):
        item, boxes, classes = planted(seed)
        detector = augmented(tiled(exact_detector()), make_views([scale], [turn], []))
        (output,) = detector([item])
        assert_found(output, boxes, classes, rows)
        assert output["instances"].image_size == (400, 600)


@pytest.mark.parametrize("merger", MERGERS, ids=lambda merger: type(merger).__name__)
@pytest.mark.parametrize("where", ["image", "tile", "no tiles"])
def test_many_passes_still_find_each_object_once(merger, where, exact_detector, planted, rows):
    # Tiles begin on even pixels, and have to stay on whole ones.
    scales = [1.0, 0.5, 2.0] if where == "tile" else [1.0, 0.6, 1.6]
    views = make_views(scales, ["horizontal", "vertical", "clockwise"], [])
    model = exact_detector()
    if where == "tile":
        detector = tiled(augmented(model, views, merger))
    else:
        detector = augmented(tiled(model) if where == "image" else model, views, merger)
    for seed in range(3):
        item, boxes, classes = planted(seed)
        (output,) = detector([item])
        assert_found(output, boxes, classes, rows)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_find_each_object_once(preset, exact_detector, planted, rows):
    item, boxes, classes = planted(3)
    (output,) = augmented(tiled(exact_detector()), preset_views(preset))([item])
    assert_found(output, boxes, classes, rows)


def test_boxes_come_in_the_frame_that_is_asked_for(exact_detector, planted, rows):
    item, boxes, classes = planted(1)
    detector = augmented(tiled(exact_detector()), make_views([1.0, 1.2], ["transverse"], []))
    (output,) = detector([{**item, "height": 800, "width": 1800}])
    assert output["instances"].image_size == (800, 1800)
    assert_found(output, boxes * torch.tensor([3, 2, 3, 2]), classes, rows)
    assert output["tiles"].max(axis=0).tolist()[2:] == [1800, 800]


def test_a_rule_counts_in_pixels_of_the_photograph(exact_detector, planted):
    item, boxes, _ = planted(2, count=30)
    sides = (boxes[:, 2:] - boxes[:, :2]).sort(dim=1).values
    assert (sides[:, 0] == 40).any()
    assert (sides[:, 0] < 40).any()
    for scale in (0.5, 1.0, 2.0):
        views = make_views([scale], [], ["min<40"])
        (output,) = augmented(tiled(exact_detector()), views)([item])
        # Twice as large where boxes are asked for, so twice as long.
        frame = {"height": 800, "width": 1200}
        (doubled,) = augmented(tiled(exact_detector()), views)([{**item, **frame}])
        assert len(output["instances"]) == (sides[:, 0] < 40).sum()
        assert len(doubled["instances"]) == (sides[:, 0] < 20).sum() == 0


def test_a_rule_holds_at_its_scale_only(exact_detector, planted, rows):
    item, boxes, classes = planted(2, count=30)
    views = make_views([1.0, 2.0], ["horizontal"], ["max>40", "max<40"])
    (output,) = augmented(tiled(exact_detector()), views)([item])
    exactly = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) == 40
    assert exactly.any()
    assert_found(output, boxes[~exactly], classes[~exactly], rows)


def test_the_cap_keeps_the_best(exact_detector, planted):
    item, boxes, _ = planted(0)
    views = make_views([1.0], ["horizontal"], [])
    every = augmented(tiled(exact_detector()), views)([item])[0]["instances"]
    few = augmented(tiled(exact_detector()), views, most=3)([item])[0]["instances"]
    assert len(every) == len(boxes) > 3
    assert torch.equal(few.scores, every.scores[:3])


@pytest.mark.parametrize("bare", [True, False])
def test_half_empty_and_empty_batches(bare, exact_detector, planted, rows):
    (full, boxes, classes), (empty, none, _) = planted(0), planted(0, count=0)
    assert len(none) == 0
    views = make_views([1.0, 1.5], ["horizontal"], [])
    detector = augmented(exact_detector() if bare else tiled(exact_detector()), views)
    small = planted(5, size=(100, 160), count=3)
    outputs = detector([empty, full, small[0], empty])
    assert [len(o["instances"]) for o in outputs] == [0, len(boxes), len(small[1]), 0]
    assert_found(outputs[1], boxes, classes, rows)
    assert outputs[0]["instances"].pred_boxes.tensor.shape == (0, 4)
    assert [len(o["instances"]) for o in detector([empty, empty])] == [0, 0]
    assert detector([]) == []


def test_tiles_of_one_shape_go_through_the_model_together(exact_detector, planted):
    items = [planted(seed)[0] for seed in range(3)]
    model = exact_detector()
    together = augmented(model, make_views([1.0, 0.5], ["transpose"], []))(items)
    assert model.shapes == [
        [(400, 600)] * 3,
        [(600, 400)] * 3,
        [(200, 300)] * 3,
        [(300, 200)] * 3,
    ]
    alone = [augmented(model, make_views([1.0, 0.5], ["transpose"], []))([i])[0] for i in items]
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one["instances"].pred_boxes.tensor, other["instances"].pred_boxes.tensor)


def test_one_scaled_image_at_a_time(exact_detector, planted):
    """An endless supply of images is taken a batch ahead, never all views at once."""
    taken = []

    def items():
        for seed in range(5):
            taken.append(seed)
            yield planted(seed)[0]

    model = exact_detector()
    detector = augmented(tiled(model, tile=700, batch_size=1), make_views([1.0, 1.5], [], []))
    stream = detector.stream(items())
    next(stream)
    # A batch ends where another shape comes: with the first view of the next image.
    assert taken == [0, 1]
    next(stream)
    assert taken == [0, 1, 2]


def test_the_first_view_tells_what_was_read(exact_detector, planted):
    item, _, _ = planted(0)
    expected = tiled(exact_detector())([item])[0]["tiles"]
    views = make_views([1.0, 2.0], ["horizontal"], [])
    assert (augmented(tiled(exact_detector()), views)([item])[0]["tiles"] == expected).all()


def test_chosen_tiles_are_read_in_every_view(exact_detector, planted, rows):
    item, boxes, classes = planted(4)
    window = [box - torch.tensor([8, 8, -8, -8]) for box in boxes[:3]]
    tiles = torch.stack(window).clamp(min=0)
    tiles[:, 2:] = torch.minimum(tiles[:, 2:], torch.tensor([600.0, 400.0]))
    model = exact_detector()
    views = make_views([1.0, 1.5], ["horizontal", "counterclockwise"], [])
    (output,) = augmented(tiled(model), views)([{**item, "tiles": tiles.numpy()}])
    assert_found(output, boxes[:3], classes[:3], rows)
    assert sum(map(len, model.shapes)) == 3 * len(views)
    model.shapes.clear()
    (output,) = augmented(tiled(model), views)([{**item, "tiles": []}])
    assert len(output["instances"]) == 0
    assert model.shapes == []


def test_the_mode_of_the_detector_is_kept(exact_detector):
    model = exact_detector()
    assert augmented(model.train(), [View()]).training
    assert not augmented(model.eval(), [View()]).training


DENSE = [
    *("MODEL.META_ARCHITECTURE", "RetinaNet"),
    *("MODEL.BACKBONE.NAME", "build_retinanet_resnet_fpn_backbone"),
    *("MODEL.RESNETS.OUT_FEATURES", "['res3', 'res4', 'res5']"),
    *("MODEL.FPN.IN_FEATURES", "['res3', 'res4', 'res5']"),
    *("MODEL.RETINANET.NUM_CLASSES", 3),
    *("MODEL.RETINANET.NUM_CONVS", 1),
    *("MODEL.RETINANET.SCORE_THRESH_TEST", 0.0),
    *("MODEL.RETINANET.TOPK_CANDIDATES_TEST", 50),
    *("MODEL.ANCHOR_GENERATOR.SIZES", "[[16], [32], [64], [128], [256]]"),
]
TWO_STAGES = ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0]
KINDS = {"dense": DENSE, "two stages": TWO_STAGES}


@pytest.fixture(params=KINDS)
def real(request, tiny_config):
    """A detector with random weights, and its config with given options."""

    def config(*options):
        return tiny_config(*KINDS[request.param], *options)

    torch.manual_seed(0)
    return build_model(config()).eval(), config


def photograph(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    return {"image": pixels, "height": size[0], "width": size[1]}


def assert_same(one, other):
    one, other = one["instances"], other["instances"]
    assert one.get_fields().keys() == other.get_fields().keys()
    assert torch.equal(one.pred_boxes.tensor, other.pred_boxes.tensor)
    assert torch.equal(one.scores, other.scores)
    assert torch.equal(one.pred_classes, other.pred_classes)


@pytest.mark.parametrize("tiles", [True, False])
@pytest.mark.parametrize("per_tile", [True, False])
def test_without_any_change_it_is_the_bare_detector(real, tiles, per_tile):
    if per_tile and not tiles:
        pytest.skip("there are no tiles")
    model, config = real
    options = ["TEST.TILE.ENABLED", tiles]
    bare = wrap_for_test(config(*options), model)
    options += ["TEST.TTA.ENABLED", True, "TEST.TTA.FLIPS", "()", "TEST.TTA.PER_TILE", per_tile]
    identity = wrap_for_test(config(*options), model)
    assert type(identity) is not type(bare) or per_tile
    items = [photograph((80, 150)), photograph((60, 90), 1), photograph((60, 90), 2)]
    with torch.no_grad():
        expected = bare(items)
        found = identity(items)
    for one, other in zip(found, expected, strict=True):
        assert len(other["instances"])
        assert_same(one, other)


@pytest.mark.parametrize("tiles", [True, False])
def test_any_detector_can_be_seen_through_views(real, tiles):
    model, config = real
    options = ["TEST.TILE.ENABLED", tiles, "TEST.TTA.ENABLED", True]
    options += ["TEST.TTA.SCALES", "(1.0, 1.5)", "TEST.DETECTIONS_PER_IMAGE", 20]
    detector = wrap_for_test(config(*options), model)
    with torch.no_grad():
        outputs = detector([photograph((80, 150)), photograph((60, 90), 1)])
        alone = detector([photograph((60, 90), 1)])
    for output, size in zip(outputs, [(80, 150), (60, 90)], strict=True):
        found = output["instances"]
        assert 0 < len(found) <= 20
        assert found.image_size == size
        x0, y0, x1, y1 = found.pred_boxes.tensor.unbind(dim=1)
        assert all(((x0 >= 0) & (x0 < x1) & (x1 <= size[1])).tolist())
        assert all(((y0 >= 0) & (y0 < y1) & (y1 <= size[0])).tolist())
        assert (found.scores.diff() <= 0).all()
    torch.testing.assert_close(
        alone[0]["instances"].scores, outputs[1]["instances"].scores, rtol=1e-4, atol=1e-5
    )


def test_a_mirrored_photograph_gives_mirrored_boxes(real):
    """The two views of the one are the two views of the other."""
    model, _ = real
    everything = NMSMerger(overlap_threshold=1.0, class_agnostic=False)
    detector = augmented(model, make_views([1.0], ["horizontal"], []), everything, most=1000)
    item = photograph((64, 96))
    mirrored = {**item, "image": item["image"].flip(2)}
    with torch.no_grad():
        (one,), (other,) = detector([item]), detector([mirrored])
    one, other = one["instances"], other["instances"]
    back = TURNS["horizontal"].boxes_back(other.pred_boxes.tensor, (64, 96))
    assert len(one) == len(other) > 0
    torch.testing.assert_close(one.scores, other.scores, rtol=1e-5, atol=1e-6)
    apart = (one.pred_boxes.tensor[:, None] - back[None]).abs().amax(dim=2)
    assert apart.amin(dim=1).max() < 1e-3


def test_the_config_says_what_is_around_what(tiny_config, exact_detector):
    model = exact_detector()

    def wrapped(*options):
        return wrap_for_test(tiny_config("TEST.TTA.ENABLED", True, *options), model)

    outside = wrapped()
    assert isinstance(outside, TTADetector)
    assert isinstance(outside.detector, TiledDetector)
    assert outside.views == [View(), View(turn=TURNS["horizontal"])]
    assert isinstance(outside.merger, VoteMerger)
    inside = wrapped("TEST.TTA.PER_TILE", True, "TEST.TTA.MERGER.NAME", "nms")
    assert isinstance(inside, TiledDetector)
    assert isinstance(inside.model, TTADetector)
    assert isinstance(inside.model.merger, NMSMerger)
    whole = wrapped("TEST.TILE.ENABLED", False, "TEST.TTA.PRESET", "refinedet320")
    assert whole.detector is model
    assert len(whole.views) == 16
    focused = wrapped("TEST.FOCUS.ENABLED", True)
    assert isinstance(focused, FocusedDetector)
    assert isinstance(focused.detector, TTADetector)
    assert wrap_for_test(tiny_config("TEST.TILE.ENABLED", False), model) is model


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["TEST.TTA.PER_TILE", True, "TEST.TILE.ENABLED", False], "PER_TILE .*TILE.ENABLED True"),
        (["TEST.TTA.SCALES", "(-1,)"], "TEST.TTA.SCALES must hold positive"),
        (["TEST.TTA.MERGER.NAME", "mean"], r"TEST.TTA.MERGER.NAME must be one of .*got 'mean'"),
        (["TEST.TTA.MERGER.OVERLAP_THRESH", 2.0], r"TTA.MERGER.OVERLAP_THRESH must .*got 2"),
        (["TEST.TTA.PRESET", "mine"], "TEST.TTA.PRESET must be"),
        (["MODEL.META_ARCHITECTURE", "FocusNet"], "FocusNet finds none"),
    ],
)
def test_wrong_settings_are_told(options, told, tiny_config):
    with pytest.raises(ValueError, match=told):
        wrap_for_test(tiny_config("TEST.TTA.ENABLED", True, *options), nn.Identity())


class Chosen:
    """Stands in for a predictor around a model."""

    def __init__(self, cfg, model):
        self.cfg = cfg
        self.model = wrap_for_test(cfg, model)
        self.aug, self.input_format = None, "BGR"


def test_a_scan_takes_passes_over_each_tile_only(tiny_config, exact_detector):
    options = ["TEST.TTA.ENABLED", True]
    with pytest.raises(ValueError, match=r"with TEST.TTA.ENABLED it needs TEST.TTA.PER_TILE True"):
        Scanner(Chosen(tiny_config(*options), exact_detector()))
    Scanner(Chosen(tiny_config(*options, "TEST.TTA.PER_TILE", True), exact_detector()))


def test_what_a_view_finds_in_float64_stays_a_box_of_the_model(exact_detector):
    class Halves(nn.Module):
        def forward(self, items):
            found = Instances(tuple(items[0]["image"].shape[1:]))
            found.pred_boxes = Boxes(torch.tensor([[1.5, 2.5, 30.25, 40.75]]))
            found.scores = torch.tensor([0.5])
            found.pred_classes = torch.tensor([2])
            return [{"instances": found}]

    views = make_views([1.0], ["horizontal"], [])[1:]
    (output,) = augmented(Halves(), views)([{"image": torch.zeros(3, 50, 60)}])
    found = output["instances"].pred_boxes.tensor
    assert found.dtype == torch.float32
    assert found.tolist() == [[60 - 30.25, 2.5, 60 - 1.5, 40.75]]


class WithMasks(nn.Module):
    """A detector whose masks are the bright pixels in each box, less a corner of it."""

    def __init__(self, detector):
        super().__init__()
        self.detector = detector
        self.weight = detector.weight

    def forward(self, items):
        outputs = self.detector(items)
        for item, output in zip(items, outputs, strict=True):
            found = output["instances"]
            masks = torch.zeros(len(found), *found.image_size, dtype=torch.bool)
            for mask, box in zip(
                masks, found.pred_boxes.tensor.round().int().tolist(), strict=True
            ):
                x0, y0, x1, y1 = box
                # The bottom right corner shows: only there is the third channel dark.
                mask[y0:y1, x0:x1] = item["image"][2, y0:y1, x0:x1] >= 40
            found.pred_masks = masks
        return outputs


@pytest.mark.parametrize("merger", MERGERS, ids=lambda merger: type(merger).__name__)
@pytest.mark.parametrize("in_tiles", [False, True])
def test_masks_go_along(merger, in_tiles, exact_detector, planted):
    item, boxes, _ = planted(3)
    for x0, y0, x1, y1 in boxes.int().tolist():
        item["image"][2, y1 - (y1 - y0) // 2 : y1, x1 - (x1 - x0) // 2 : x1] = 0
    model = WithMasks(exact_detector())
    views = make_views([1.0, 2.0], ["horizontal", "vertical", "clockwise", "transverse"], [])
    (output,) = augmented(tiled(model) if in_tiles else model, views, merger)([item])
    found = output["instances"]
    assert len(found) == len(boxes)
    expected = (item["image"][0] >= 128) & (item["image"][2] >= 40)
    together = torch.zeros_like(expected)
    for box, mask in zip(found.pred_boxes.tensor.int().tolist(), found.pred_masks, strict=True):
        x0, y0, x1, y1 = box
        own = torch.zeros_like(expected)
        own[y0:y1, x0:x1] = expected[y0:y1, x0:x1]
        assert torch.equal(mask, own)
        together |= mask
    assert torch.equal(together, expected)
