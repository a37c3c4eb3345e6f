"""Darknet's weight files: written here layer by layer, and read as Darknet's own program would run.

``Interpreter`` knows the network from the layers of the published yolov3.cfg, not from ours.
"""

import struct

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from smallobj import load_config
from smallobj.checkpoint import SafeCheckpointer, load_weights, read_checkpoint
from smallobj.checkpoint.darknet import read_darknet_weights, read_header
from smallobj.modeling import build_model

TINY = "configs/quick/yolov3_tiny.yaml"
CLASSES = 3


def cfg_layers(stem, blocks, outputs):
    """(kind, ...) for each section of yolov3.cfg, with other widths, depths and outputs."""
    layers = [("conv", stem, 3, 1)]
    ends = []
    for stage, count in enumerate(blocks, start=1):
        width = stem * 2**stage
        layers.append(("conv", width, 3, 2))
        layers += [("conv", width // 2, 1, 1), ("conv", width, 3, 1), ("shortcut", -3)] * count
        ends.append(len(layers) - 1)
    for scale, width in enumerate((stem * 16, stem * 8, stem * 4)):
        if scale:
            layers += [("route", -4), ("conv", width, 1, 1), ("upsample",)]
            layers.append(("route", -1, ends[4 - scale]))
        layers += [("conv", width, 1, 1), ("conv", 2 * width, 3, 1)] * 3
        layers += [("predict", outputs), ("yolo",)]
    return layers


class Interpreter:
    """Random numbers for a list of layers, written as Darknet writes them, and run by hand."""

    def __init__(self, layers, seed=0):
        self.layers = layers
        rng = np.random.default_rng(seed)
        self.numbers = []
        widths = []
        for index, (kind, *rest) in enumerate(layers):
            before = widths[-1] if widths else 3
            if kind in ("conv", "predict"):
                outputs, size = rest[0], rest[1] if kind == "conv" else 1
                parts = [rng.normal(0, 0.2, outputs)]
                if kind == "conv":
                    parts += [rng.uniform(0.5, 1.5, outputs), rng.normal(0, 0.2, outputs)]
                    parts.append(rng.uniform(0.5, 1.5, outputs))
                scale = (2 / (before * size * size)) ** 0.5
                parts.append(rng.normal(0, scale, (outputs, before, size, size)))
                self.numbers.append([part.astype("<f4") for part in parts])
                widths.append(outputs)
            elif kind == "route":
                widths.append(sum(widths[i if i >= 0 else index + i] for i in rest))
            else:
                widths.append(before)

    def write(self, path, layers=None, version=(0, 2, 0), seen=32013312):
        """The first so many layers, or all."""
        count = sum(kind in ("conv", "predict") for kind, *_ in self.layers[:layers])
        with open(path, "wb") as file:
            file.write(struct.pack("<3i", *version))
            file.write(struct.pack("<Q" if version[:2] != (0, 1) else "<i", seen))
            for parts in self.numbers[:count]:
                for part in parts:
                    file.write(part.tobytes())
        return path

    def run(self, image):
        """(1, 3, H, W) RGB from 0 to 1, to the predictions in the order of the cfg."""
        outputs, predictions = [], []
        numbers = iter(self.numbers)
        for index, (kind, *rest) in enumerate(self.layers):
            x = outputs[-1] if outputs else image
            if kind == "conv":
                bias, scale, mean, variance, kernel = map(torch.from_numpy, next(numbers))
                x = F.conv2d(x, kernel, stride=rest[2], padding=rest[1] // 2)
                x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
                x = x * scale[:, None, None] + bias[:, None, None]
                x = torch.where(x > 0, x, 0.1 * x)
            elif kind == "predict":
                bias, kernel = map(torch.from_numpy, next(numbers))
                x = F.conv2d(x, kernel, bias)
                predictions.append(x)
            elif kind == "shortcut":
                x = x + outputs[index + rest[0]]
            elif kind == "route":
                x = torch.cat([outputs[i if i >= 0 else index + i] for i in rest], dim=1)
            elif kind == "upsample":
                x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            outputs.append(x)
        return predictions


@pytest.fixture(scope="module")
def network():
    return Interpreter(cfg_layers(4, (1, 1, 1, 1, 1), 3 * (5 + CLASSES)))


@pytest.fixture
def build(repository):
    def make(*options):
        torch.manual_seed(0)
        words = ["MODEL.ROI_HEADS.NUM_CLASSES", str(CLASSES), *map(str, options)]
        return build_model(load_config(str(repository / TINY), words)).eval()

    return make


def predict(model, image):
    """(3, H, W) uint8 as the model sees it, to the head's outputs, the finest first."""
    with torch.no_grad():
        features = model.backbone(model.preprocess_image([{"image": image}]).tensor)
        return model.head([features[name] for name in model.head_in_features])


def test_the_layers_are_those_of_the_published_cfg():
    layers = cfg_layers(32, (1, 2, 8, 8, 4), 255)
    assert len(layers) == 107
    routes = {index: layer[1:] for index, layer in enumerate(layers) if layer[0] == "route"}
    assert routes == {83: (-4,), 86: (-1, 61), 95: (-4,), 98: (-1, 36)}
    assert [i for i, layer in enumerate(layers) if layer[0] == "yolo"] == [82, 94, 106]


def test_the_published_files_have_the_size_that_is_expected(repository, tmp_path):
    """darknet53.conv.74 and yolov3.weights of COCO: 162,482,580 and 248,007,048 bytes."""
    cfg = load_config(str(repository / "configs" / "yolov3.yaml"))
    cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.DEVICE = 80, "meta"
    with torch.device("meta"):
        model = build_model(cfg)
    (tmp_path / "none.weights").write_bytes(struct.pack("<3iQ", 0, 2, 0, 0))
    with pytest.raises(ValueError, match="holds 0 numbers") as caught:
        read_darknet_weights(model, tmp_path / "none.weights")
    assert f"has {(162_482_580 - 20) // 4}, " in str(caught.value)
    assert f"of 80 classes {(248_007_048 - 20) // 4}" in str(caught.value)


@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_a_whole_detector_predicts_what_darknet_would(network, build, tmp_path, order):
    path = network.write(tmp_path / "yolo.weights")
    model = build("INPUT.FORMAT", order)
    load_weights(model, path)
    generator = torch.Generator().manual_seed(3)
    rgb = torch.randint(0, 256, (3, 64, 96), generator=generator, dtype=torch.uint8)
    expected = network.run(rgb[None] / 255)
    found = predict(model, rgb.flip(0) if order == "BGR" else rgb)
    assert [tuple(f.shape) for f in found] == [(1, 24, 8, 12), (1, 24, 4, 6), (1, 24, 2, 3)]
    for ours, theirs in zip(found, reversed(expected), strict=True):
        assert theirs.abs().max() > 0.5
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_the_backbone_alone(network, build, tmp_path):
    # A convolution, and five stages of three and a shortcut.
    path = network.write(tmp_path / "darknet.conv.weights", layers=1 + 5 * 4)
    model = build()
    before = {k: v.clone() for k, v in model.head.state_dict().items()}
    with pytest.raises(ValueError, match=r"do not fit .* missing: head\."):
        load_weights(build(), path)
    SafeCheckpointer(model).load(str(path))
    stem = torch.from_numpy(network.numbers[0][-1])
    torch.testing.assert_close(model.backbone.stem.weight, stem.flip(1))
    last = model.backbone.stages[4][1].expand
    bias, scale, mean, variance, kernel = map(torch.from_numpy, network.numbers[15])
    for ours, theirs in zip(
        (last.norm.bias, last.norm.weight, last.norm.running_mean, last.norm.running_var),
        (bias, scale, mean, variance),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    assert torch.equal(last.weight, kernel)
    assert all(torch.equal(v, before[k]) for k, v in model.head.state_dict().items())


def test_a_frozen_backbone_takes_them_too(network, build, tmp_path):
    path = network.write(tmp_path / "yolo.weights")
    model = build("MODEL.BACKBONE.FREEZE_AT", 6, "MODEL.DARKNET.NORM", "BN")
    load_weights(model, path)
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    expected = build()
    load_weights(expected, path)
    torch.testing.assert_close(predict(model, image), predict(expected, image))


@pytest.mark.parametrize(
    ("version", "seen", "length"),
    [((0, 1, 0), 77, 16), ((0, 2, 0), 2**40, 20), ((0, 2, 5), 77, 20), ((1, 0, 0), 77, 20)],
)
def test_the_header_of_each_version(network, build, tmp_path, version, seen, length):
    path = network.write(tmp_path / "yolo.weights", version=version, seen=seen)
    header = read_header(path)
    assert (header.version, header.seen, header.length) == (version, seen, length)
    model = build()
    load_weights(model, path)
    stem = torch.from_numpy(network.numbers[0][-1])
    assert torch.equal(model.backbone.stem.weight, stem.flip(1))


def test_weights_survive_our_own_format(network, build, tmp_path):
    model = build()
    load_weights(model, network.write(tmp_path / "yolo.weights"))
    torch.save({"model": model.state_dict()}, tmp_path / "yolo.pth")
    again = build()
    load_weights(again, tmp_path / "yolo.pth")
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(predict(model, image), predict(again, image))


def test_another_number_of_classes_is_told(build, tmp_path):
    other = Interpreter(cfg_layers(4, (1, 1, 1, 1, 1), 3 * (5 + 7)))
    path = other.write(tmp_path / "other.weights")
    with pytest.raises(
        ValueError, match=r"other\.weights: holds (\d+) numbers; .*backbone"
    ) as told:
        load_weights(build(), path)
    assert "whole detector of 3 classes" in str(told.value)
    assert "A detector of 7 classes has as many" in str(told.value)
    count = sum(part.size for parts in other.numbers for part in parts)
    assert f"holds {count} numbers" in str(told.value)


def test_a_file_cut_short_is_told(network, build, tmp_path):
    path = network.write(tmp_path / "yolo.weights")
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(ValueError, match=r"yolo\.weights: holds \d+ numbers") as told:
        load_weights(build(), path)
    assert "as many" not in str(told.value)
    path.write_bytes(whole[:-2])
    with pytest.raises(ValueError, match=r"yolo\.weights: not Darknet weights: \d+ bytes after"):
        load_weights(build(), path)
    for length in (0, 11, 19):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"its {length} bytes are less than a header"):
            load_weights(build(), path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_numbers_are_told(network, build, tmp_path, value):
    path = network.write(tmp_path / "yolo.weights")
    data = bytearray(path.read_bytes())
    data[-4:] = struct.pack("<f", value)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"yolo\.weights: broken: head\..*weight .*not finite"):
        load_weights(build(), path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["MODEL.PIXEL_STD", "[1.0, 1.0, 1.0]"], r"pixels from 0 to 1: .*PIXEL_STD \[255.0"),
        (["MODEL.PIXEL_MEAN", "[9.0, 0.0, 0.0]"], r"PIXEL_MEAN \[0.0, .*got \[9.0"),
    ],
)
def test_models_that_see_other_pixels_are_told(network, build, tmp_path, options, told):
    path = network.write(tmp_path / "yolo.weights")
    with pytest.raises(ValueError, match=told):
        load_weights(build(*options), path)


def test_another_norm_is_told(network, build, tmp_path):
    model = build()
    model.backbone.stem.norm = nn.GroupNorm(2, 4)
    path = network.write(tmp_path / "yolo.weights")
    with pytest.raises(ValueError, match=r"carry BatchNorm; MODEL\.DARKNET\.NORM .*GroupNorm"):
        load_weights(model, path)


def test_other_detectors_are_told(network, tiny_config, tmp_path):
    path = network.write(tmp_path / "yolo.weights")
    model = build_model(tiny_config())
    with pytest.raises(ValueError, match=r"fit MODEL\.META_ARCHITECTURE YOLOv3 .*GeneralizedRCNN"):
        load_weights(model, path)
    with pytest.raises(ValueError, match="have no names; load_weights reads them"):
        read_checkpoint(path)
