"""Counts of operations: by hand, and against PyTorch's counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from smallobj.costs.flops import analyse_flops, count_flops, padded
from smallobj.modeling import build_model


class OneConvolution(nn.Module):
    """3 to 5 channels, 3 x 3, stride 1, with Detectron2's interface."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, items):
        return [{"scores": self.convolution(item["image"].float()[None])} for item in items]


def test_one_convolution_by_hand():
    assert count_flops(OneConvolution(), 8, 6) == 2 * (3 * 5 * 9) * 8 * 6


class OneAttention(nn.Module):
    """Every pixel attends to every pixel, over 3 channels."""

    def forward(self, items):
        tokens = [item["image"].float().flatten(1).t()[None] for item in items]
        attend = nn.functional.scaled_dot_product_attention
        return [{"scores": attend(token, token, token[..., :2])} for token in tokens]


def test_one_attention_by_hand():
    # Q K^T: 48 x 48 dot products over 3 channels. The 2 channels of the result are sums over 48.
    assert count_flops(OneAttention(), 8, 6) == 2 * (48 * 48 * 3 + 48 * 48 * 2)


def pytorch_count(model, height, width):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model([{"image": image, "height": height, "width": width}])
    return counter.get_total_flops()


@pytest.fixture(scope="module", name="make")
def cached_models():
    models = {}

    def make(cfg):
        key = cfg.dump()
        if key not in models:
            torch.manual_seed(0)
            models[key] = build_model(cfg).eval()
        return models[key]

    return make


def test_a_cascade_as_pytorch_counts_it(tiny_config, make):
    model = make(tiny_config())
    counted = analyse_flops(model, 128, 160)
    expected = pytorch_count(model, 128, 160)
    # PyTorch counts only convolutions and matrix products; normalisation adds a little.
    assert expected <= counted.total <= 1.05 * expected
    assert counted.total == counted.dense + counted.per_region
    assert counted.per_region > 0.01 * counted.total


def test_the_count_at_another_size_is_that_of_a_run(tiny_config, make):
    model = make(tiny_config())
    small, large = analyse_flops(model, 64, 64), analyse_flops(model, 160, 224)
    assert small.at(160, 224) - small.per_region == pytest.approx(large.dense, rel=1e-6)


def test_padding_is_counted(tiny_config, make):
    model = make(tiny_config())
    counted = analyse_flops(model, 100, 33)
    assert (counted.height, counted.width) == (128, 64)
    assert counted.dense == analyse_flops(model, 128, 64).dense


def test_half_precision_has_the_same_count(tiny_config, make):
    half = make(tiny_config("MODEL.BACKBONE.PRECISION", "bfloat16"))
    assert analyse_flops(half, 64, 64).dense == analyse_flops(make(tiny_config()), 64, 64).dense


def test_the_mode_is_kept(tiny_config):
    model = build_model(tiny_config())
    for training in (True, False):
        model.train(training)
        count_flops(model, 64, 64)
        assert model.training is training


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="got 0 x 5"):
        count_flops(OneConvolution(), 0, 5)
    with pytest.raises(ValueError, match="must be 8 x 8; got 4 x 4"):
        count_flops(OneConvolution(), 8, 8, torch.zeros(3, 4, 4))


def test_padded_sides():
    assert [padded(length, 32) for length in (1, 32, 33)] == [32, 32, 64]
