"""The contract of every detector, tested on all of configs/quick/*_tiny.yaml.

On the CPU, and on a GPU if there is one. Weights are random, without training. Score thresholds are
0 and the predicting layers have larger weights than at the start of training, so that there are
detections to compare.
"""

from pathlib import Path

import smallobj  # isort: skip  (first: makes Detectron2 import)

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.structures import pairwise_iou
from detectron2.utils.events import EventStorage
from torch import nn

from smallobj import load_config
from smallobj.inference.cuts import take_cuts
from smallobj.inference.tiled import TiledDetector
from smallobj.modeling import build_model

FOLDER = Path(smallobj.__file__).parent.parent / "configs" / "quick"
# Not a detector: it chooses the regions to detect in.
NOT_DETECTORS = ("focus_tiny.yaml",)
CONFIGS = [p for p in sorted(FOLDER.glob("*_tiny.yaml")) if p.name not in NOT_DETECTORS]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
SUBJECTS = [(path, device) for path in CONFIGS for device in DEVICES]
SCORE_TOLERANCE, BOX_TOLERANCE = 1e-4, 0.02  # of a probability; px


@pytest.fixture(autouse=True, scope="module")
def exact_convolutions():
    """Switches off TF32, which GPUs use for float32 and which has only ten bits of mantissa."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def thresholds(node, prefix=""):
    """Every key SCORE_THRESH_TEST that a config has."""
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from thresholds(value, f"{prefix}{key}.")
        elif key == "SCORE_THRESH_TEST":
            yield prefix + key


def read(path, device, *options, threshold=0.0):
    base = ["MODEL.DEVICE", device, "MODEL.ROI_HEADS.NUM_CLASSES", "3"]
    cfg = load_config(str(path), base)
    for key in thresholds(cfg):
        base += [key, str(float(threshold))]
    return load_config(str(path), [*base, *map(str, options)])


def build_loud(path, device):
    """(cfg, model) with the same weights on every device."""
    cfg = read(path, device)
    torch.manual_seed(0)
    model = build_model(cfg)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.std() < 0.02:
            drawn = torch.randn(module.weight.shape, generator=generator)
            with torch.no_grad():
                module.weight.copy_(drawn * 0.1)
    return cfg, model


@pytest.fixture(scope="module", params=SUBJECTS, ids=[f"{p.stem}-{d}" for p, d in SUBJECTS])
def detector(request):
    """((path, device), cfg, model) of a config, built once; tests must not change the weights."""
    return request.param, *build_loud(*request.param)


@pytest.fixture
def tiles(draw_tile, suit):
    def make(cfg, counts, seed=5):
        rng = np.random.default_rng(seed)
        return suit(cfg, [draw_tile(count, rng, cfg.INPUT.TILE.SIZE) for count in counts])

    return make


def bare(item):
    return {key: value for key, value in item.items() if key != "instances"}


def detect(model, items):
    model.eval()
    with torch.no_grad():
        return [output["instances"].to("cpu") for output in model([bare(item) for item in items])]


def assert_same(alone, together):
    """Each detection has a counterpart; the order among equal scores isn't guaranteed."""
    assert len(alone) == len(together)
    boxes, others = alone.pred_boxes.tensor, together.pred_boxes.tensor
    near = (boxes[:, None] - others[None]).abs().amax(dim=-1) <= BOX_TOLERANCE
    near &= (alone.scores[:, None] - together.scores[None]).abs() <= SCORE_TOLERANCE
    near &= alone.pred_classes[:, None] == together.pred_classes[None]
    assert near.any(dim=1).all()
    assert near.any(dim=0).all()


def test_there_are_detectors():
    assert "cascade_tiny.yaml" in [path.name for path in CONFIGS]


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (4, 2)], ids=["empty", "half", "full"])
def test_training_gives_every_parameter_a_finite_gradient(detector, counts, tiles):
    _, cfg, model = detector
    model.train()
    model.zero_grad(set_to_none=True)
    torch.manual_seed(3)
    with EventStorage():
        losses = model(tiles(cfg, counts))
    assert losses
    assert all(torch.isfinite(loss) for loss in losses.values()), losses
    sum(losses.values()).backward()
    # One without a gradient would stop training on several GPUs.
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert not [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    if sum(counts):
        assert sum(float(gradient.abs().sum()) for gradient in gradients.values()) > 0


def test_detections_are_inside_the_image_sorted_and_limited(detector, tiles):
    _, cfg, model = detector
    items = [{**item, "height": 200, "width": 300} for item in tiles(cfg, (0, 5, 2))]
    outputs = detect(model, items)
    assert sum(len(found) for found in outputs) > 0, "nothing to compare"
    for found in outputs:
        assert found.image_size == (200, 300)
        assert len(found) <= cfg.TEST.DETECTIONS_PER_IMAGE
        boxes = found.pred_boxes.tensor
        assert torch.isfinite(boxes).all()
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([300.0, 200, 300, 200])).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (found.scores[1:] <= found.scores[:-1]).all()
        assert ((found.scores >= 0) & (found.scores <= 1)).all()
        assert ((found.pred_classes >= 0) & (found.pred_classes < 3)).all()


def test_fewer_detections_are_the_best_of_more(detector, tiles):
    subject, cfg, model = detector
    items = tiles(cfg, (5, 3))
    many = detect(model, items)
    assert min(len(found) for found in many) > 3, "nothing to compare"
    fewer = read(*subject, "TEST.DETECTIONS_PER_IMAGE", 3)
    limited = build_model(fewer)
    limited.load_state_dict(model.state_dict())
    for all_of_them, best in zip(many, detect(limited, items), strict=True):
        assert len(best) == 3
        torch.testing.assert_close(best.scores, all_of_them.scores[:3])
    (cut,) = (cut for cut in take_cuts(limited) if cut.detections)
    assert (cut.what, cut.most, cut.inputs) == ("images", 3, len(many))
    # Some that were cut lay beyond the limit of the other model, too.
    assert cut.detections >= sum(len(found) - 3 for found in many)
    assert cut.highest == pytest.approx(max(float(found.scores[3]) for found in many))


def test_empty_detections_are_valid(detector, tiles):
    subject, _, _ = detector
    cfg = read(*subject, threshold=0.9999)
    model = build_model(cfg)
    items = tiles(cfg, (0, 0))
    for found in [*detect(model, items), *detect(TiledDetector(cfg, model), items)]:
        assert found.pred_boxes.tensor.shape == (0, 4)
        assert found.scores.shape == found.pred_classes.shape == (0,)
        assert found.pred_classes.dtype == torch.int64


def test_an_image_has_the_same_boxes_alone_and_in_a_batch(detector, tiles):
    """Only for images of one size. Otherwise images are padded to a common size, and the mean in
    GroupNorm, for example, includes the padding. ``TiledDetector`` never mixes sizes, see below.
    """
    _, cfg, model = detector
    items = tiles(cfg, (4, 0, 6))
    together = detect(model, items)
    assert sum(len(found) for found in together) > 0, "nothing to compare"
    for item, found in zip(items, together, strict=True):
        assert_same(detect(model, [item])[0], found)


def test_tiled_images_of_several_sizes_dont_change_one_another(detector, tiles):
    subject, cfg, model = detector
    side = cfg.INPUT.TILE.SIZE
    tiled = TiledDetector(read(*subject, "TEST.TILE.SIZE", side, "TEST.TILE.OVERLAP", 32), model)
    rows = tiles(cfg, (4, 0, 6, 2))
    wide = torch.cat([rows[0]["image"], rows[1]["image"][:, :, :72]], dim=2)
    images = [wide, rows[2]["image"], torch.cat([wide, wide.flip(1)], dim=1), rows[3]["image"]]
    items = [{"image": x, "height": x.shape[1], "width": x.shape[2]} for x in images]
    together = detect(tiled, items)
    assert sum(len(found) for found in together) > 0, "nothing to compare"
    for item, found in zip(items, together, strict=True):
        assert found.image_size == (item["height"], item["width"])
        assert len(found) <= cfg.TEST.DETECTIONS_PER_IMAGE
        boxes = found.pred_boxes.tensor
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([item["width"], item["height"]] * 2)).all()
        assert_same(detect(tiled, [item])[0], found)


def test_it_merges_its_own_boxes(detector, tiles):
    """No two boxes of one class overlap by more than the usual NMS thresholds."""
    _, cfg, model = detector
    for found in detect(model, tiles(cfg, (5, 3))):
        for category in range(3):
            boxes = found.pred_boxes[found.pred_classes == category]
            ious = pairwise_iou(boxes, boxes).fill_diagonal_(0)
            assert not len(boxes) or ious.max() < 0.9


@pytest.mark.skipif("cuda" not in DEVICES, reason="needs a GPU")
@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_a_gpu_finds_what_the_processor_finds(path, tiles):
    (cfg, model), (_, twin) = build_loud(path, "cpu"), build_loud(path, "cuda")
    twin.load_state_dict(model.state_dict())
    items = tiles(cfg, (4, 0, 6))
    # The best alone: rounding decides which of many like boxes the lists end with.
    limit = 20
    for ours, theirs in zip(detect(model, items), detect(twin, items), strict=True):
        assert len(ours) == len(theirs)
        torch.testing.assert_close(ours.scores[:limit], theirs.scores[:limit], atol=1e-3, rtol=0)
