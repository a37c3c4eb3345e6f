"""What all mergers have in common."""

import pytest
import torch

from smallobj import get_cfg
from smallobj.geometry.boxes import connected_components, overlapping_pairs
from smallobj.merging import MERGER_REGISTRY, NMSMerger, build_merger

NAMES = ["nms", "soft_nms", "nmm", "wbf", "vote", "soft_vote"]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def build(name, *options):
    cfg = get_cfg()
    cfg.merge_from_list(["TEST.MERGER.NAME", name, *options])
    return build_merger(cfg)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def rows(found):
    """A set of (number, box, score), bit for bit."""
    boxes, scores = found.pred_boxes.tensor.tolist(), found.scores.tolist()
    return sorted(zip(found.number.tolist(), boxes, scores, strict=True))


@pytest.mark.parametrize("name", [*NAMES, "soft_nms TEST.MERGER.DECAY linear"])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_parts_that_share_no_area_may_be_merged_apart(
    name, threshold, metric, agnostic, make_scene
):
    merger = build(
        *(*name.split(), "TEST.MERGER.OVERLAP_THRESH", threshold, "TEST.MERGER.METRIC", metric),
        *("TEST.MERGER.CLASS_AGNOSTIC", agnostic),
    )
    for kind in ("crowd", "grid"):
        scene = make_scene(kind, 120)
        scene.pred_boxes.tensor += torch.arange(120)[:, None] % 8 * 100
        labels = connected_components(120, *overlapping_pairs(scene.pred_boxes.tensor))
        parts = [scene[labels == label] for label in labels.unique()]
        assert len(parts) >= 8
        apart = [row for part in parts for row in rows(merger(part))]
        assert sorted(apart) == rows(merger(scene))


def test_nothing_in_nothing_out(name, make_instances):
    merged = build(name)(make_instances([], [], []))
    assert len(merged) == 0
    assert merged.has("pred_classes")
    assert merged.pred_boxes.tensor.shape == (0, 4)


def test_one_box_stays_as_it_is(name, make_instances):
    found = make_instances([[39_000.1, 5.3, 39_020.7, 30.9]], [0.3], [7])
    merged = build(name)(found)
    assert rows(merged) == rows(found)
    assert merged.pred_classes.tolist() == [7]


def test_boxes_without_area_stay_as_they_are(name, make_instances):
    found = make_instances([[5, 5, 5, 9], [5, 5, 5, 9], [0, 0, 9, 9]], [0.9, 0.8, 0.7], [0] * 3)
    assert rows(build(name)(found)) == rows(found)


def test_scores_fall_and_the_input_is_left_alone(name, scene):
    before = rows(scene)
    merged = build(name)(scene)
    assert (merged.scores.diff() <= 0).all()
    assert rows(scene) == before
    assert merged.image_size == scene.image_size


def test_other_fields_are_those_of_the_best_box(name, make_scene):
    scene = make_scene("crowd")
    scene.pred_masks = torch.rand(len(scene), 4, 4) > 0.5
    merged = build(name)(scene)
    assert torch.equal(merged.pred_masks, scene.pred_masks[merged.number])
    assert torch.equal(merged.pred_classes, scene.pred_classes[merged.number])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_scores_keep_their_type(name, dtype, make_scene):
    scene = make_scene("crowd")
    scene.scores = scene.scores.to(dtype)
    assert build(name)(scene).scores.dtype == dtype


@pytest.mark.parametrize("device", DEVICES)
def test_twice_the_same_on_every_device(name, device, scene):
    merger = build(name, "TEST.MERGER.OVERLAP_THRESH", 0.3)
    first, second = merger(scene.to(device)).to("cpu"), merger(scene.to(device)).to("cpu")
    assert rows(first) == rows(second)
    expected = merger(scene)
    assert first.number.tolist() == expected.number.tolist()
    torch.testing.assert_close(first.scores, expected.scores)
    torch.testing.assert_close(first.pred_boxes.tensor, expected.pred_boxes.tensor)


def test_a_crowd_of_pairs_is_merged_piece_by_piece(make_scene, monkeypatch):
    """Pairs that don't fit one piece; the pieces give what the whole gives."""
    import smallobj.merging.overlap as overlap

    scene = make_scene("crowd", 200)
    whole = [rows(build(name)(scene)) for name in NAMES]
    chunks = overlap.overlapping_pair_chunks
    monkeypatch.setattr(
        overlap, "overlapping_pair_chunks", lambda boxes, groups: chunks(boxes, groups, limit=50)
    )
    assert [rows(build(name)(scene)) for name in NAMES] == whole


def test_keys_of_the_config_arrive():
    cfg = get_cfg()
    node = cfg.TEST.MERGER
    node.OVERLAP_THRESH, node.CLASS_AGNOSTIC, node.METRIC = 0.7, True, "ios"
    cfg.MODEL.NWD_CONSTANT = 20.0
    node.DECAY, node.SIGMA, node.SCORE_THRESH, node.WBF_SCORE = "linear", 0.3, 0.2, "max"
    for node.NAME in NAMES:
        merger = build_merger(cfg)
        assert (merger.overlap_threshold, merger.class_agnostic) == (0.7, True)
        assert (merger.metric, merger.nwd_constant) == ("ios", 20.0)
        own = {"decay": "linear", "sigma": 0.3, "score_threshold": 0.2, "wbf_score": "max"}
        for key, value in own.items():
            assert getattr(merger, key, value) == value
    assert (build("soft_nms").decay, build("wbf").wbf_score) == ("gaussian", "mean")


def test_all_are_registered():
    classes = {type(build(name)) for name in NAMES}
    assert classes == {merger for _, merger in MERGER_REGISTRY}
    assert len(classes) == len(NAMES)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("nms", "OVERLAP_THRESH", 1.5),
        ("nmm", "METRIC", "giou"),
        ("soft_nms", "DECAY", "cubic"),
        ("soft_nms", "SIGMA", 0.0),
        ("soft_vote", "SCORE_THRESH", -0.1),
        ("wbf", "WBF_SCORE", "sum"),
    ],
)
def test_a_bad_value_is_told_by_the_key_of_its_own_node(name, option, value):
    cfg = get_cfg()
    for key in ("TEST.MERGER", "TEST.TTA.MERGER"):
        cfg.merge_from_list([f"{key}.NAME", name, f"{key}.{option}", value])
        with pytest.raises(ValueError, match=f"^{key}.{option} must .* got {value!r}"):
            build_merger(cfg, key)


def test_bad_values_are_told():
    with pytest.raises(ValueError, match=r"OVERLAP_THRESH.*1\.5"):
        NMSMerger(overlap_threshold=1.5, class_agnostic=False)
    for name in ("soft_nms", "soft_vote"):
        with pytest.raises(ValueError, match=r"SCORE_THRESH must lie in .*got -0\.1"):
            build(name, "TEST.MERGER.SCORE_THRESH", -0.1)
    with pytest.raises(ValueError, match=r"METRIC must be one of .*got 'giou'"):
        NMSMerger(overlap_threshold=0.5, class_agnostic=False, metric="giou")
    with pytest.raises(ValueError, match=r"NWD_CONSTANT must be positive; got 0"):
        NMSMerger(overlap_threshold=0.5, class_agnostic=False, nwd_constant=0)
