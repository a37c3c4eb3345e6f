"""Focused detection: regions around what is hot, and nothing read where nothing is."""

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

from smallobj import load_config
from smallobj.checkpoint import save_weights
from smallobj.images.reduction import reduce_image
from smallobj.inference.focus import (
    FocusedDetector,
    RegionChooser,
    build_focus,
    reduce_tensor,
)
from smallobj.inference.tiled import TiledDetector
from smallobj.merging import NMSMerger
from smallobj.modeling import build_model

SIZE = (400, 600)


class BrightCells(nn.Module):
    """A focus network that finds a cell as hot as its brightest pixel, and all objects large."""

    reduction = 2
    stride = 16

    def forward(self, items):
        maps = [nn.functional.max_pool2d(i["image"][:1].float(), 8, ceil_mode=True) for i in items]
        side = [torch.full_like(heat[0], 100) for heat in maps]
        return [
            {"focus": heat[0] / 255, "side": side, "stride": 16}
            for heat, side in zip(maps, side, strict=True)
        ]


class BrightBoxes(nn.Module):
    """A detector that boxes all bright pixels of a tile together, and counts what it is shown."""

    def __init__(self):
        super().__init__()
        self.read = 0

    def forward(self, items):
        return [{"instances": self.look(item["image"])} for item in items]

    def look(self, image):
        self.read += image.shape[1] * image.shape[2]
        ys, xs = (image[0] > 200).nonzero().unbind(dim=1)
        found = Instances(tuple(image.shape[1:]))
        boxes = [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]] if len(xs) else []
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.full((len(boxes),), 0.9)
        found.pred_classes = torch.zeros(len(boxes), dtype=torch.int64)
        return found


def chooser(network=None, **changes):
    settings = {"threshold": 0.5, "windows": (128,), "margins": (40,), "max_area": 0.6}
    return RegionChooser(network or BrightCells(), **{**settings, **changes})


def focused(**changes):
    tiled = TiledDetector(
        BrightBoxes(),
        tile=256,
        overlap=64,
        batch_size=2,
        seam_margin=2.0,
        merger=NMSMerger(overlap_threshold=0.5, class_agnostic=False),
        max_detections=100,
    )
    return FocusedDetector(chooser(**changes), tiled.eval())


def photograph(*boxes, size=SIZE):
    image = torch.zeros(3, *size, dtype=torch.uint8)
    for x0, y0, x1, y1 in boxes:
        image[:, y0:y1, x0:x1] = 250
    return {"image": image, "height": size[0], "width": size[1]}


def found_boxes(output):
    return sorted(output["instances"].pred_boxes.tensor.tolist())


def test_only_regions_are_read_and_their_objects_found():
    model = focused()
    boxes = [[40, 40, 80, 70], [500, 300, 520, 310]]
    (output,) = model([photograph(*boxes)])
    assert found_boxes(output) == boxes
    assert model.detector.model.read == 2 * 128 * 128
    assert (output["tiles"][:, 2:] - output["tiles"][:, :2] == 128).all()


def test_nothing_hot_reads_nothing_and_finds_nothing():
    model = focused()
    outputs = model([photograph(), photograph([100, 100, 120, 120]), photograph()])
    assert [len(output["instances"]) for output in outputs] == [0, 1, 0]
    assert [len(output["tiles"]) for output in outputs] == [0, 1, 0]
    assert outputs[0]["instances"].image_size == SIZE
    assert model.detector.model.read == 128 * 128


def test_of_a_photograph_full_of_heat_no_more_is_read_than_allowed():
    model = focused()
    model([photograph([0, 0, 600, 400])])
    assert 0.5 < model.detector.model.read / (SIZE[0] * SIZE[1]) <= 0.6


def test_boxes_come_in_the_frame_that_is_asked_for():
    item = {**photograph([40, 40, 80, 70]), "height": 200, "width": 300}
    (output,) = focused()([item])
    assert found_boxes(output) == [[20, 20, 40, 35]]


def test_a_stream_takes_images_one_after_another():
    items = [photograph([40 * i, 40, 40 * i + 20, 60]) for i in range(5)]
    outputs = focused().stream(iter(items))
    for item, output in zip(items, outputs, strict=True):
        assert found_boxes(output) == found_boxes(focused()([item])[0])


def test_a_reduced_copy_from_the_loader_is_used():
    item = photograph([40, 40, 80, 70])
    elsewhere = reduce_tensor(photograph([400, 300, 440, 330])["image"], 2)
    regions = chooser()({**item, "reduced": elsewhere})
    assert regions.tolist() == chooser()(photograph([400, 300, 440, 330])).tolist()


def test_channels_are_swapped_for_a_network_of_the_other_order():
    item = photograph()
    item["image"][2, 100:120, 100:120] = 250  # the network looks at channel 0
    assert len(chooser()(item)) == 0
    assert len(chooser(swap_channels=True)(item)) == 1


def test_the_chooser_never_trains():
    model = focused()
    model.train()
    assert model.detector.training
    assert not any(module.training for module in model.chooser.modules())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threshold": 0.0}, r"HEAT_THRESH must lie in \(0, 1\); got 0"),
        ({"threshold": 1.0}, "HEAT_THRESH"),
        ({"windows": (100,)}, r"multiples of 32; got \[100\]"),
        ({"windows": ()}, "WINDOWS"),
        ({"margins": (-1,)}, "MARGINS"),
        ({"max_area": 0.0}, "MAX_AREA"),
    ],
)
def test_wrong_settings_are_told(change, told):
    with pytest.raises(ValueError, match=told):
        chooser(**change)


@pytest.mark.parametrize("reduction", [1, 2, 4])
def test_tensors_are_reduced_as_arrays_are(reduction):
    image = torch.randint(0, 256, (3, 37, 54), dtype=torch.uint8)
    expected = reduce_image(image.permute(1, 2, 0).contiguous().numpy(), reduction)
    assert np.array_equal(reduce_tensor(image, reduction).permute(1, 2, 0).numpy(), expected)


@pytest.fixture
def network_files(repository, tmp_path, with_statistics):
    """A small focus network with random statistics: its config and weights, as a user has them."""
    torch.manual_seed(0)
    path = repository / "configs" / "quick" / "focus_tiny.yaml"
    exact = ["TEST.PRECISION", "float32"]
    cfg = load_config(str(path), ["MODEL.ROI_HEADS.NUM_CLASSES", "3", *exact])
    network = with_statistics(build_model(cfg))
    nn.init.normal_(network.head.weight, std=0.5)
    nn.init.zeros_(network.head.bias)
    save_weights(network, tmp_path / "focus.safetensors", half=False)
    cfg.MODEL.WEIGHTS = "focus.safetensors"
    (tmp_path / "focus.yaml").write_text(cfg.dump())
    return tmp_path, network.eval()


def test_a_detectors_config_names_the_network(network_files, tiny_config):
    folder, network = network_files
    options = ["TEST.FOCUS.CONFIG", folder / "focus.yaml", "TEST.FOCUS.HEAT_THRESH", "0.3"]
    built = build_focus(tiny_config(*options, "TEST.PRECISION", "float32"))
    # What the detector's config leaves at 0 is the network's own.
    own = load_config(str(folder / "focus.yaml")).TEST.FOCUS
    assert built.threshold == 0.3
    assert (built.margins, built.windows) == (own.MARGINS, own.WINDOWS)
    image = torch.randint(0, 256, (3, 128, 192), dtype=torch.uint8)
    heat, side, stride = built.look({"image": image})
    with torch.no_grad():
        expected = network([{"image": reduce_tensor(image, 2)}])[0]["focus"].numpy()
    assert stride == 16
    assert side.shape == heat.shape
    assert expected.std() > 0.01
    assert heat == pytest.approx(expected, abs=1e-3)


def test_a_detector_of_the_other_channel_order_swaps(network_files, tiny_config):
    folder, _ = network_files
    options = ["TEST.FOCUS.CONFIG", folder / "focus.yaml"]
    assert not build_focus(tiny_config(*options)).swap_channels
    assert build_focus(tiny_config(*options, "INPUT.FORMAT", "RGB")).swap_channels


def test_wrong_files_are_told(network_files, tiny_config, repository, tmp_path):
    folder, _ = network_files
    config = ["TEST.FOCUS.CONFIG", folder / "focus.yaml"]
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        build_focus(tiny_config(*config, "TEST.FOCUS.WEIGHTS", tmp_path / "absent.pth"))
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        build_focus(tiny_config("TEST.FOCUS.CONFIG", tmp_path / "none.yaml"))
    with pytest.raises(ValueError, match="FocusNet; got GeneralizedRCNN"):
        build_focus(tiny_config("TEST.FOCUS.CONFIG", repository / "configs" / "cascade.yaml"))
    with pytest.raises(ValueError, match="names no weights"):
        build_focus(tiny_config("TEST.FOCUS.CONFIG", repository / "configs" / "focus.yaml"))
