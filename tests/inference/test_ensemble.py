"""Several detectors as one: what each is shown, what comes of their boxes, and who may join."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj import load_config
from smallobj.checkpoint import load_weights, save_weights
from smallobj.data.build import WholeImageMapper, resize_at_test
from smallobj.inference import SmallObjectPredictor
from smallobj.inference.detector import load_detector, wrap_for_test
from smallobj.inference.ensemble import EnsembleDetector, InputView
from smallobj.inference.fingerprint import detector_fingerprint
from smallobj.inference.tiled import TiledDetector
from smallobj.inference.tta import TTADetector
from smallobj.inference.views import make_views
from smallobj.merging import ModelMerger, NMSMerger, VoteMerger
from smallobj.merging.models import ModelWBFMerger
from smallobj.modeling import build_model
from smallobj.scan.scanner import Scanner

OVERLAP = {"overlap_threshold": 0.5, "class_agnostic": False}
EVERYTHING = ["TEST.ENSEMBLE.MERGER.NAME", "nms", "TEST.ENSEMBLE.MERGER.OVERLAP_THRESH", 1.0]
NAMES = ["MODEL.CLASS_NAMES", "['red', 'green', 'blue']"]


def together(*members, merger=None, most=100):
    weights = [1.0] * len(members)
    merger = merger or ModelWBFMerger(weights=weights, wbf_score="mean", **OVERLAP)
    # Every pixel, in the order of channels that it comes in.
    views = [InputView(None)] * len(members)
    return EnsembleDetector(members, views, ModelMerger(merger, weights), most)


def tiled(model, tile=320):
    return TiledDetector(
        model,
        tile=tile,
        overlap=150,
        batch_size=2,
        seam_margin=2.0,
        merger=NMSMerger(**OVERLAP),
        max_detections=100,
    )


@pytest.fixture
def members(tiny_config, tmp_path):
    """Writes a config with its own options and random weights; returns "CONFIG:WEIGHTS"."""

    def make(name, *options, seed=0):
        cfg = tiny_config(*NAMES, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, *options)
        cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (), ()
        torch.manual_seed(seed)
        weights = tmp_path / f"{name}.safetensors"
        save_weights(build_model(cfg), weights)
        (tmp_path / f"{name}.yaml").write_text(cfg.dump())
        return f"{tmp_path / name}.yaml:{weights}"

    return make


@pytest.fixture
def predict(tiny_config):
    """The predictor of a member, with others beside it."""

    def make(member, *others, options=()):
        config_file, weights = member.split(":")
        words = ["MODEL.WEIGHTS", weights, "TEST.ENSEMBLE.MEMBERS", repr(list(others))]
        cfg = load_config(config_file, [*words, *map(str, options)])
        return SmallObjectPredictor(cfg)

    return make


def photo(size=(90, 140), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def boxes_of(output):
    found = output["instances"]
    table = torch.cat([found.pred_boxes.tensor, found.pred_classes[:, None].float()], dim=1)
    return {tuple(row) for row in table.tolist()}


def test_a_detector_with_itself_is_that_detector(exact_detector, planted):
    alone = tiled(exact_detector())
    for seed in range(3):
        item, boxes, _ = planted(seed)
        (expected,) = alone([item])
        (output,) = together(alone, tiled(exact_detector()))([item])
        one, other = output["instances"], expected["instances"]
        assert len(one) == len(boxes)
        assert torch.equal(one.pred_boxes.tensor, other.pred_boxes.tensor)
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-7)
        assert (output["tiles"] == expected["tiles"]).all()


def test_an_ensemble_of_passes_over_tiles(exact_detector, planted, rows):
    views = make_views([1.0, 1.4], ["horizontal", "transpose"], [])
    inner = TTADetector(
        tiled(exact_detector()), views=views, merger=VoteMerger(**OVERLAP), max_detections=100
    )
    detector = together(inner, tiled(exact_detector(), 400), exact_detector())
    item, boxes, classes = planted(1)
    empty = planted(0, count=0)[0]
    outputs = detector([item, empty, {**item, "height": 800, "width": 1200}])
    for output, factor in ((outputs[0], 1), (outputs[2], 2)):
        found = output["instances"]
        assert rows(found.pred_boxes.tensor, found.pred_classes) == rows(boxes * factor, classes)
    assert len(outputs[1]["instances"]) == 0
    assert detector([]) == []


def test_passes_over_an_ensemble(exact_detector, planted, rows):
    """The other way round, which nobody needs, works too."""
    ensemble = together(tiled(exact_detector()), exact_detector())
    detector = TTADetector(
        ensemble,
        views=make_views([1.0, 0.6], ["clockwise"], []),
        merger=NMSMerger(**OVERLAP),
        max_detections=100,
    )
    item, boxes, classes = planted(2)
    (output,) = detector([item])
    found = output["instances"]
    assert rows(found.pred_boxes.tensor, found.pred_classes) == rows(boxes, classes)


class Blind(nn.Module):
    """Finds nothing."""

    def forward(self, items):
        found = Instances(tuple(items[0]["image"].shape[1:]))
        found.pred_boxes = Boxes(torch.zeros(0, 4))
        found.scores = torch.zeros(0)
        found.pred_classes = torch.zeros(0, dtype=torch.int64)
        return [{"instances": found}]


def test_what_one_of_two_sees_counts_half(exact_detector, planted):
    item, boxes, _ = planted(0)
    (alone,) = exact_detector()([item])
    (output,) = together(exact_detector(), Blind())([item])
    assert len(output["instances"]) == len(boxes)
    torch.testing.assert_close(output["instances"].scores, alone["instances"].scores / 2)
    (few,) = together(exact_detector(), Blind(), most=2)([item])
    assert torch.equal(few["instances"].scores, output["instances"].scores[:2])


def test_each_member_works_by_its_own_config(members, predict):
    """Tiles, whole images that are resized, another order of channels, passes: as each alone."""
    names = [
        members("tiles", "INPUT.FORMAT", "RGB", "TEST.TILE.SIZE", 96),
        members("whole", "TEST.TILE.ENABLED", False, "INPUT.MIN_SIZE_TEST", 64, seed=1),
        members("tta", "TEST.TTA.ENABLED", True, "TEST.DETECTIONS_PER_IMAGE", 7, seed=2),
    ]
    predictors = [predict(name) for name in names]
    alone = [predictor(photo()) for predictor in predictors]
    assert all(len(output["instances"]) for output in alone)
    options = [*EVERYTHING, "TEST.DETECTIONS_PER_IMAGE", 1000]
    for first in (0, 1):
        # Whichever of them is the config's own; its cap is that of all.
        own, *others = names[first:] + names[:first]
        expected = [boxes_of(one) for one in alone]
        predictor = predict(own, *others, options=options)
        with torch.no_grad():
            item = predictor.model.views[0](predictor._item(photo()))
            (uncapped,) = predictor.model.members[0]([item])
        expected[first] = boxes_of(uncapped)
        assert boxes_of(predictor(photo())) == set.union(*expected)


def test_a_stream_and_the_loader_of_evaluation_give_what_single_photographs_give(
    members, predict, tmp_path
):
    whole = members("whole", "TEST.TILE.ENABLED", False, "INPUT.MIN_SIZE_TEST", 64)
    predictor = predict(whole, members("tiles", seed=1))
    paths = []
    for seed in range(3):
        paths.append(str(tmp_path / f"{seed}.png"))
        cv2.imwrite(paths[-1], photo((80, 100 + seed % 2), seed))
    mapper = WholeImageMapper(predictor.cfg)
    for path, found in zip(paths, predictor.stream(paths), strict=True):
        expected = predictor(cv2.imread(path))["instances"]
        assert len(expected)
        for one in (
            found.instances,
            predictor.model([mapper({"file_name": path})])[0]["instances"],
        ):
            assert one.image_size == found.image.shape[:2]
            torch.testing.assert_close(one.pred_boxes.tensor, expected.pred_boxes.tensor)
            torch.testing.assert_close(one.scores, expected.scores)


def test_members_keep_testing_while_the_own_model_trains(tiny_config, members):
    cfg = tiny_config(*NAMES, "TEST.ENSEMBLE.MEMBERS", repr([members("other")]))
    model = build_model(cfg).train()
    ensemble = wrap_for_test(cfg, model)
    assert model.training
    assert not ensemble.members[1].training
    ensemble.eval()
    assert not model.training
    ensemble.train()
    assert model.training
    assert not any(module.training for module in ensemble.members[1].modules())


def test_images_are_taken_as_they_are_needed(exact_detector, planted):
    taken = []

    def items():
        for seed in range(6):
            taken.append(seed)
            yield planted(seed)[0]

    stream = together(exact_detector(), exact_detector()).stream(items())
    next(stream)
    assert taken == [0]


def test_weights_come_from_the_config(tiny_config, members):
    words = ["TEST.ENSEMBLE.MEMBERS", repr([members("other")])]
    cfg = tiny_config(*NAMES, *words, "TEST.ENSEMBLE.WEIGHTS", "(3, 1)")
    ensemble = wrap_for_test(cfg, build_model(cfg))
    assert ensemble.merger.factors == [3.0, 1.0]
    cfg = tiny_config(*NAMES, *words, "TEST.ENSEMBLE.WEIGHTS", "(3,)")
    with pytest.raises(ValueError, match=r"WEIGHTS must be .* each of 2 models.*got 1"):
        wrap_for_test(cfg, build_model(cfg))


def test_no_member_s_own_threshold_hides_what_is_asked_for(tiny_config, members):
    floor = "MODEL.ROI_HEADS.SCORE_THRESH_TEST"
    own = members("own", floor, 0.6).split(":")
    cfg = load_config(own[0], ["TEST.ENSEMBLE.MEMBERS", repr([members("other", floor, 0.8)])])
    cfg.MODEL.WEIGHTS = own[1]

    def floors(*threshold):
        ensemble = load_detector(cfg, *threshold)
        models = [module for module in ensemble.modules() if hasattr(module, "roi_heads")]
        return [m.roi_heads.box_predictor[-1].test_score_thresh for m in models]

    assert floors() == [0.6, 0.8]
    assert floors(0.3) == [0.3, 0.3]
    assert floors(0.7) == [0.6, 0.7]


def test_classes_in_another_order_are_matched_by_name(members, predict, caplog):
    """The same detector twice, the second time with its classes numbered in another way."""
    order = ["blue", "red", "green"]
    first = members("first")
    cfg = load_config(first.split(":")[0], ["MODEL.CLASS_NAMES", repr(order)])
    model = build_model(cfg)
    load_weights(model, first.split(":")[1])
    second = first.replace("first", "second")
    save_weights(model, second.split(":")[1])
    with open(second.split(":")[0], "w") as file:
        file.write(cfg.dump())
    found = predict(first)(photo())["instances"]
    turned = predict(second)(photo())["instances"]
    assert turned.pred_classes.tolist() == [(k + 1) % 3 for k in found.pred_classes.tolist()]
    assert len(found.pred_classes.unique()) > 1
    caplog.clear()
    # Each finds what the other finds, so nothing is added and no score changes.
    both = predict(first, second)(photo())["instances"]
    assert "first.safetensors" not in caplog.text
    assert "second.safetensors in TEST.ENSEMBLE.MEMBERS: its classes" in caplog.text
    torch.testing.assert_close(both.scores, found.scores, rtol=0, atol=1e-5)
    assert both.pred_classes.tolist() == found.pred_classes.tolist()


def test_members_that_find_other_classes_are_told(tiny_config, members):
    member = members("other")

    def wrap(*options):
        cfg = tiny_config("TEST.ENSEMBLE.MEMBERS", repr([member]), *options)
        wrap_for_test(cfg, nn.Identity())

    names = ("MODEL.CLASS_NAMES", "['red', 'Green', 'blue', 'grey']")
    with pytest.raises(ValueError, match="must find the same classes") as error:
        wrap(*names, "MODEL.ROI_HEADS.NUM_CLASSES", 4)
    text = str(error.value)
    assert f"only in this config: 'Green', 'grey'; only in {member}: 'green'" in text
    assert "'Green' and 'green' differ only by case" in text
    with pytest.raises(ValueError, match=rf"this config has 4 and {member} has 3"):
        wrap("MODEL.ROI_HEADS.NUM_CLASSES", 4)


def test_who_cannot_be_a_member_is_told(tiny_config, members, tmp_path):
    nested = members("nested", "TEST.ENSEMBLE.MEMBERS", "['a.yaml']")
    plain, _ = members("plain").split(":")
    cases = [
        ([3], ValueError, "MEMBERS must hold strings .*got 3"),
        ([nested], ValueError, "nested.yaml in TEST.ENSEMBLE.MEMBERS is an ensemble itself"),
        (["none.yaml:none.pth"], FileNotFoundError, "none.yaml: there is no such config"),
        ([f"{plain}:none.pth"], FileNotFoundError, "none.pth: there is no such file"),
        ([plain], ValueError, "names no weights"),
    ]
    for names, kind, told in cases:
        cfg = tiny_config(*NAMES, "TEST.ENSEMBLE.MEMBERS", repr(names))
        with pytest.raises(kind, match=told):
            wrap_for_test(cfg, nn.Identity())


def test_members_that_read_files_in_another_way_are_told(tiny_config, members, caplog):
    def wrap(name, *options):
        names = repr([members(name, *options)])
        wrap_for_test(tiny_config(*NAMES, "TEST.ENSEMBLE.MEMBERS", names), nn.Identity())

    with pytest.raises(ValueError, match=r"same INPUT.BANDS; this config has \(\), .*\(3, 2, 1\)"):
        wrap("bands", "INPUT.BANDS", "(3, 2, 1)")
    wrap("full", "INPUT.BIT_DEPTH.MODE", "full")
    assert "full.safetensors has another INPUT.BIT_DEPTH" in caplog.text


def test_a_scan_refuses(exact_detector):
    class Predictor:
        model = together(exact_detector(), exact_detector())

    with pytest.raises(ValueError, match=r"a scan runs one detector.*tools/ensemble.py"):
        Scanner(Predictor())


def test_a_changed_member_makes_another_run(tiny_config, exact_detector):
    cfg = tiny_config()

    def fingerprint(*options):
        ensemble = together(exact_detector(), exact_detector())
        ensemble.configs = [tiny_config(*options)]
        return detector_fingerprint(cfg, ensemble, 1)

    assert fingerprint() == fingerprint("MODEL.WEIGHTS", "elsewhere.pth")
    changed = fingerprint("TEST.TILE.OVERLAP", 31)
    assert changed["members"] != fingerprint()["members"]
    assert changed["config"] == fingerprint()["config"]
    assert "members" not in detector_fingerprint(cfg, exact_detector(), 1)


def test_reading_leaves_resizing_to_the_members(tiny_config, tmp_path):
    path = str(tmp_path / "photo.png")
    cv2.imwrite(path, photo((120, 160)))
    options = ["INPUT.MIN_SIZE_TEST", 60]
    alone = WholeImageMapper(tiny_config(*options))({"file_name": path})
    assert tuple(alone["image"].shape) == (3, 60, 80)
    cfg = tiny_config(*options, "TEST.ENSEMBLE.MEMBERS", "['a.yaml']")
    shared = WholeImageMapper(cfg)({"file_name": path})
    assert tuple(shared["image"].shape) == (3, 120, 160)
    shown = InputView(resize_at_test(cfg))(shared)
    assert torch.equal(shown["image"], alone["image"])
    assert (shown["height"], shown["width"]) == (120, 160)
    turned = InputView(None, swap_channels=True)(shared)
    assert torch.equal(turned["image"], shared["image"].flip(0))
