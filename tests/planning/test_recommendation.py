"""A plan for a small dataset: its guarantees, its text and figure, and the config it writes."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from smallobj import load_config
from smallobj.data.datasets import register_dataset
from smallobj.data.survey import Survey
from smallobj.geometry.anchors import measure_anchors
from smallobj.geometry.tiling import plan_tiles
from smallobj.modeling import build_model
from smallobj.planning import recommendation
from smallobj.planning.anchor_advice import AnchorAdvice, advise_anchors, read_anchors
from smallobj.planning.capacity import capacity_notes
from smallobj.planning.config_file import write_plan
from smallobj.planning.description import describe
from smallobj.planning.figure import draw_plan
from smallobj.planning.recommendation import covered_length, recommend, training_tile


def random_survey(images=8, per_image=25, size=(600, 800), longest=90, seed=0):
    """Objects about 3 times as wide as high, and one that is twice as long as any other."""
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(images):
        wide = np.exp(rng.uniform(np.log(12), np.log(longest / 2), per_image))
        high = wide / rng.uniform(2.5, 3.5, per_image)
        low = rng.uniform(0, 1, (per_image, 2)) * (np.array(size[::-1]) - longest)
        boxes.append(np.concatenate([low, low + np.stack([wide, high], axis=1)], axis=1))
    boxes[0][0] = [100, 100, 100 + longest, 100 + longest / 3]
    sizes = np.tile(size, (images, 1))
    return Survey(("made",), sizes, sizes, boxes)


@pytest.fixture(scope="module")
def config():
    path = __file__.rsplit("/tests/", 1)[0] + "/configs/quick/cascade_tiny.yaml"
    return load_config(path, ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.DEVICE", "cpu"])


@pytest.fixture(scope="module")
def model(config):
    torch.manual_seed(0)
    return build_model(config)


@pytest.fixture(scope="module")
def plan(config, model):
    return recommend(config, model, random_survey(), max_tile=256)


def test_every_object_lies_whole_in_a_tile(plan, config):
    margin = config.TEST.TILE.SEAM_MARGIN
    assert plan.covered == 90
    assert plan.choice.overlap == 94 == 90 + 2 * margin
    assert plan.choice.pass_pixels <= 256**2
    tiles = plan_tiles((600, 800), plan.choice.tile, plan.choice.overlap)
    assert plan.costs[0].passes == len(tiles)
    for boxes in plan.survey.boxes:
        inside = (boxes[:, None, :2] >= tiles[:, :2]) & (boxes[:, None, 2:] <= tiles[:, 2:])
        assert inside.all(axis=2).any(axis=1).all()


def test_covering_fewer_objects_is_cheaper(config, model):
    plan = recommend(config, model, random_survey(), max_tile=256, cover=0.99)
    assert plan.covered <= 45
    assert plan.cover.longer == 2
    full = next(row for row in plan.covers if row.share == 1)
    assert full.longer == 0
    assert full.cost.flops > plan.cover.cost.flops
    assert plan.costs[0].flops == pytest.approx(plan.cover.cost.flops)


def test_the_whole_image_when_the_budget_allows(config, model):
    config = config.clone()
    config.INPUT.TILE.SIZE = 416  # else the test tile would be too large for it
    plan = recommend(config, model, random_survey(), max_tile=800)
    assert plan.choice.whole
    planned, _, native, shrunk = plan.costs
    assert planned.flops == native.flops < shrunk.flops, "800 px enlarge images of 600 px"


@pytest.mark.parametrize("longest", [40, 90, 250])
@pytest.mark.parametrize("max_tile", [512, 2000])
def test_test_tiles_are_at_most_twice_the_training_tile(
    config, model, without_anchors, longest, max_tile
):
    survey = random_survey(images=2, size=(1500, 2000), longest=longest)
    plan = recommend(config, model, survey, max_tile=max_tile)
    assert plan.choice.tile <= 2 * plan.training_tile
    assert plan.choice.overlap == longest + 4
    assert plan.limited == (max_tile > 2 * plan.training_tile)
    assert ("the budget allows larger tiles" in describe(plan)) == plan.limited
    assert all(row.choice.tile <= 2 * plan.training_tile for row in plan.covers)


@pytest.fixture
def without_anchors(monkeypatch):
    """No anchors are fitted, which takes seconds."""
    monkeypatch.setattr(recommendation, "advise_anchors", lambda *_: None)


def mixture(counts, size=(2000, 3000), seed=0):
    """Squares, {side: number}, in two images; the class is the position in ``counts``."""
    rng = np.random.default_rng(seed)
    boxes, classes = [[], []], [[], []]
    for index, (side, number) in enumerate(counts.items()):
        for n in range(number):
            x, y = (rng.integers(0, max(length - side, 0) + 1) for length in size[::-1])
            boxes[n % 2].append([x, y, x + side, y + side])
            classes[n % 2].append(index)
    sizes = np.array([size] * 2)
    arrays = [np.array(rows, dtype=float).reshape(-1, 4) for rows in boxes]
    names = tuple(f"class{index}" for index in range(len(counts)))
    return Survey(("mixed",), sizes, sizes, arrays, np.array(classes[0] + classes[1]), names)


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        ({10: 500, 800: 20}, (2000, 3000)),
        ({12: 3, 1990: 1}, (2000, 3000)),
        ({700: 4}, (2000, 3000)),
        ({900: 2}, (900, 900)),
        ({20: 40, 300: 3}, (20000, 30000)),
    ],
)
def test_a_plan_that_does_not_fit_names_options_that_do(
    config, model, without_anchors, counts, size
):
    survey = mixture(counts, size)
    with pytest.raises(ValueError, match="--max-tile") as caught:
        recommend(config, model, survey)
    least = int(re.search(r"--max-tile (\d+)", str(caught.value)).group(1))
    assert recommend(config, model, survey, max_tile=least).cover.longer == 0
    with pytest.raises(ValueError, match="--max-tile"):
        recommend(config, model, survey, max_tile=least - 32)
    share = re.search(r"--cover (\S+),", str(caught.value))
    if min(counts) < 100:
        plan = recommend(config, model, survey, cover=float(share.group(1)))
        assert plan.covered == min(counts)
        text = describe(plan)
        assert f"(class1 {max(n for n in [list(counts.values())[1]])})" in text
        longer = sum(n for side, n in counts.items() if side > plan.choice.tile)
        assert f"{longer} of them are longer than a test tile" in text
    else:
        assert share is None


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        ({8: 1}, (100, 100)),
        ({50: 1}, (50, 50)),
        ({10: 2, 11: 1}, (64, 1000)),
        ({30: 5}, (9000, 9000)),
    ],
)
def test_few_labels_and_odd_images_get_a_plan(config, model, counts, size):
    plan = recommend(config, model, mixture(counts, size), max_tile=256)
    assert plan.choice.tile <= 2 * plan.training_tile
    assert "recommended:" in describe(plan)


def test_settings_that_the_objects_exceed_are_noted(config, model, without_anchors):
    crowd = mixture({6: 500, 600: 2}, (800, 800))
    plan = recommend(config, model, crowd, max_tile=2000)
    (note,) = plan.notes
    assert "up to 251 objects, and MODEL.RPN.POST_NMS_TOPK_TEST is 32: set it to 1004" in note
    assert f"note: {note}" in describe(plan)
    assert recommend(config, model, mixture({20: 10}), max_tile=256).notes == []
    *_, sizes = capacity_notes(config, model, crowd, plan.choice, read_anchors(config, model))
    assert "500 of 502 (99.6%) objects are too small for the smallest, 14 px" in sizes
    assert "2 of 502 (0.398%) are too large for the largest, 112 px" in sizes


def test_shares_outside_0_to_1_are_refused(config, model):
    for cover in (0.0, 1.1):
        with pytest.raises(ValueError, match=rf"lie in \(0, 1\]; got {cover}"):
            recommend(config, model, random_survey(), cover=cover)


def test_fitted_anchors_beat_the_configs_on_wide_objects(plan):
    advice = plan.anchors
    assert advice.worthwhile
    assert advice.fit_after.recall[0.5] > advice.fit_before.recall[0.5] + 0.03
    assert advice.unseen_after.recall[0.5] > advice.unseen_before.recall[0.5] + 0.03
    assert max(max(level) for level in advice.after.ratios) < 1, "all objects are wider than high"


def test_anchors_stay_where_fitting_does_not_help(plan):
    old, new = plan.anchors.fit_before, plan.anchors.fit_after
    anchors = (plan.anchors.before, plan.anchors.after)
    assert AnchorAdvice(*anchors, old, new, None, None).worthwhile
    assert AnchorAdvice(*anchors, old, new, old, new).worthwhile
    assert not AnchorAdvice(*anchors, old, old, old, new).worthwhile
    assert not AnchorAdvice(*anchors, old, new, new, old).worthwhile


def test_anchors_are_read_as_the_model_has_them(config, model):
    anchors = read_anchors(config, model)
    assert anchors.sizes == ((14,), (28,), (56,), (112,))
    assert anchors.ratios == ((0.5, 1, 2),) * 4
    assert anchors.strides == (4, 8, 16, 32)
    assert read_anchors(config, torch.nn.Linear(1, 1)) is None


def test_covered_length_by_hand():
    lengths = np.array([5.0, 1, 2, 4, 3])
    assert [covered_length(lengths, share) for share in (0.2, 0.21, 0.8, 1)] == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("counts", "overlap", "tile"),
    [
        ({5: 10}, 9, 128),
        ({100: 10}, 104, 224),
        ({20: 99, 300: 1}, 304, 320),
        ({20: 99, 319: 1}, 323, 352),  # holds the overlap
        ({1900: 2}, 1904, 2016),  # no longer than the images, 2000 px
    ],
)
def test_training_tile_by_hand(counts, overlap, tile):
    assert training_tile(mixture(counts, (1000, 2000)), overlap, 128) == tile


def test_the_written_config_loads_builds_and_contains_the_plan(plan, config, repository, tmp_path):
    output = tmp_path / "deep" / "plan.yaml"
    write_plan(plan, str(repository / "configs" / "quick" / "cascade_tiny.yaml"), output)
    text = output.read_text()
    assert "made: 8 images, 200 objects" in text
    assert "_BASE_: ../" in text
    cfg = load_config(str(output), ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    tile = cfg.TEST.TILE
    assert (plan.choice.tile, plan.choice.overlap) == (tile.SIZE, tile.OVERLAP)
    assert plan.training_tile == cfg.INPUT.TILE.SIZE
    assert read_anchors(cfg, build_model(cfg)) == plan.anchors.after
    planned = {"SIZES", "ASPECT_RATIOS"}
    for key, value in cfg.MODEL.ANCHOR_GENERATOR.items():
        assert key in planned or value == config.MODEL.ANCHOR_GENERATOR[key]
    assert cfg.SOLVER == config.SOLVER


def test_the_text_states_the_plan(plan):
    text = describe(plan)
    assert "made: 8 images of 800x600, 200 objects" in text
    assert f"overlap {plan.choice.overlap} px" in text
    assert "note: 99.5% of the objects" in text, "one object is twice as long as the others"
    assert f"{plan.anchors.fit_after.recall[0.5]:.3f}" in text
    assert "whole, at most 800 x 1333" in text
    assert "clearly better" not in text


def test_every_part_of_the_figure_is_drawn(plan, tmp_path):
    draw_plan(plan, tmp_path / "plan.png")
    pixels = imread(tmp_path / "plan.png")
    assert min(pixels.shape[:2]) > 800
    # Each quarter has dark pixels.
    for rows in np.array_split(pixels[..., :3], 2):
        for quarter in np.array_split(rows, 2, axis=1):
            assert (quarter < 0.7).any(axis=2).mean() > 0.005


def test_a_config_for_whole_images_gets_anchors_but_no_tiles(
    tiny_config, repository, tiny_dataset, catalog, tmp_path
):
    from smallobj.data.survey import survey_datasets

    path = str(repository / "configs" / "faster_rcnn_whole.yaml")
    cfg = load_config(path, ["MODEL.ROI_HEADS.NUM_CLASSES", "3", "MODEL.DEVICE", "cpu"])
    register_dataset(tiny_dataset.spec("squares_plan", "train"))
    survey = survey_datasets(cfg, ["squares_plan"])
    plan = recommend(cfg, build_model(cfg), survey)
    assert plan.choice is None
    assert plan.covers == []
    assert survey.image_sizes.tolist() == [[800, 1000]] * 6
    # 12 to 39 px become 37 to 122 px, which Detectron2's anchors from 32 px on fit.
    assert plan.anchors.fit_before.recall[0.5] > 0.9
    assert "recommended" not in describe(plan)
    write_plan(plan, path, tmp_path / "plan.yaml")
    draw_plan(plan, tmp_path / "plan.png")
    again = load_config(str(tmp_path / "plan.yaml"))
    assert again.TEST.TILE == cfg.TEST.TILE
    assert measure_anchors(survey.sides, plan.anchors.before) == plan.anchors.fit_before


def test_anchors_of_yolo_are_planned_by_shape(repository):
    path = str(repository / "configs" / "quick" / "yolov3_tiny.yaml")
    cfg = load_config(path, ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    model = build_model(cfg)
    advice = advise_anchors(cfg, model, random_survey(images=4))
    assert advice.before.strides == (8, 16, 32)
    assert advice.before.sides[0][0] == cfg.MODEL.YOLO.ANCHORS[0]
    assert advice.worthwhile
    assert advice.fit_after.shape_mean > advice.fit_before.shape_mean + 0.1
    old, new = advice.fit_before, advice.fit_after
    assert not AnchorAdvice(advice.before, advice.after, new, old, None, None).worthwhile
    # The fit on the grid does not matter: YOLO shifts anchors within their cell.
    placed = dataclasses.replace(old, recall=new.recall, mean=new.mean)
    assert not AnchorAdvice(advice.before, advice.after, old, placed, None, None).worthwhile


def test_a_plan_for_yolo_is_written_and_described(repository, tmp_path):
    path = str(repository / "configs" / "quick" / "yolov3_tiny.yaml")
    cfg = load_config(path, ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    plan = recommend(cfg, build_model(cfg), random_survey(images=4), max_tile=256)
    write_plan(plan, path, tmp_path / "plan.yaml")
    written = load_config(str(tmp_path / "plan.yaml"), ["MODEL.ROI_HEADS.NUM_CLASSES", "3"])
    assert len(written.MODEL.YOLO.ANCHORS) == 9
    assert read_anchors(written, build_model(written)) == plan.anchors.after
    text = describe(plan)
    assert f"fitted: ANCHORS {[list(p) for p in written.MODEL.YOLO.ANCHORS]}" in text
    assert "YOLO takes the best anchor" in text
