"""benchmarks.arithmetic: operations counted by hand, rates, work of a detector."""

from __future__ import annotations

import pytest
import torch

from benchmarks import arithmetic
from benchmarks.arithmetic import (
    Convolution,
    Rate,
    StageFlops,
    Work,
    convolution_rate,
    count_stage_flops,
    measure_convolution,
    measure_product,
    measure_rates,
    rates_table,
    watch_work,
)
from smallobj.modeling import build_model

SMALL = Convolution("small", 4, 8, 3, 2, 10, 6)


def test_operations_of_a_convolution_by_hand() -> None:
    # 8 channels of 5 x 3 outputs, each of 4 * 9 multiply-adds
    assert SMALL.flops == 2 * 8 * 15 * 36


@pytest.mark.parametrize("size", [(10, 6), (11, 7)])
@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_operations_are_those_of_torchs_output(size: tuple[int, int], kernel: int) -> None:
    convolution = Convolution("any", 4, 8, kernel, 2, *size)
    layer = torch.nn.Conv2d(4, 8, kernel, 2, kernel // 2)
    outputs = layer(torch.zeros(1, 4, *size)).numel()
    assert convolution.flops == 2 * outputs * 4 * kernel**2


def test_rate_is_operations_over_the_median() -> None:
    assert Rate("a", "float32", 4 * 10**9, (9.0, 1.0, 2.0)).gflops == 2.0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_number_of_measurements_is_that_of_runs(dtype: str) -> None:
    for rate in (
        measure_convolution(SMALL, dtype, "cpu", runs=3, least=0.0),
        measure_product(8, dtype, "cpu", runs=3, least=0.0),
    ):
        assert len(rate.seconds) == 3
        assert min(rate.seconds) > 0
        assert rate.dtype == dtype


def test_the_rate_is_that_of_the_fastest_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Convolution("other", 2, 2, 1, 1, 4, 4)
    monkeypatch.setattr(arithmetic, "REPRESENTATIVE", (SMALL, other))
    rates = [
        Rate("small", "float32", 10**9, (1.0,)),
        Rate("other", "float32", 3 * 10**9, (1.0,)),
        Rate("other", "bfloat16", 7 * 10**9, (1.0,)),
        Rate("matrix product", "float32", 9 * 10**9, (1.0,)),
    ]
    assert convolution_rate(rates, "float32") == 3.0
    assert convolution_rate(rates, "bfloat16") == 7.0


def test_table_has_a_column_for_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "REPRESENTATIVE", (SMALL,))
    monkeypatch.setattr(arithmetic, "_PRODUCT_SIDE", 8)
    rates = measure_rates("cpu", 1, ["float32", "bfloat16"], least=0.0)
    table = rates_table(rates)
    assert [row[0] for row in table.rows] == ["small", "matrix product, 8 x 8"]
    assert all(len(row) == len(table.headers) == 4 for row in table.rows)
    assert table.rows[0][1] == pytest.approx(SMALL.flops / 1e9)


def test_work_is_that_of_the_inputs(tiny_config) -> None:
    model = build_model(tiny_config()).eval()
    item = {"image": torch.zeros(3, 100, 64, dtype=torch.uint8), "height": 100, "width": 64}
    with torch.no_grad(), watch_work(model) as work:
        model([item, item])
        model([item])
    assert work.shapes == [(128, 64)] * 3  # padded to a multiple of 32
    assert work.pixels == 3 * 128 * 64
    assert len(work.regions) == 3
    with torch.no_grad():
        model([item])
    assert len(work.shapes) == 3  # no longer watched


def test_operations_are_proportional_to_pixels_and_proposals() -> None:
    flops = StageFlops(backbone=10.0, proposals=2.0, heads=100.0)
    work = Work([(4, 8), (2, 4)], [3, 0])
    assert flops.of(work) == {"backbone": 400.0, "proposals": 80.0, "heads": 300.0}


def test_each_stage_has_operations_even_if_noise_gives_no_proposals(tiny_config) -> None:
    # Without training every objectness is about 0.5, so a threshold of 0.9 drops all.
    options = ("MODEL.PROPOSAL_GENERATOR.NAME", "SmallObjectRPN", "MODEL.RPN.SCORE_THRESH_TEST")
    model = build_model(tiny_config(*options, "0.9")).eval()
    torch.manual_seed(0)
    flops = count_stage_flops(model, side=64)
    assert min(flops.backbone, flops.proposals, flops.heads) > 0
    assert model.proposal_generator.score_thresh_test == 0.9
    stem = 2 * 64 * 3 * 49 / 4  # a pixel of the 7x7 stem of stride 2
    assert flops.backbone > stem
    # RPN's 3x3 convolution at strides 4, 8, 16, 32, and two 1x1 of 3 anchors
    channels, cells = 32, sum(1 / stride**2 for stride in (4, 8, 16, 32))
    rpn = 2 * cells * (channels * channels * 9 + channels * (3 + 12))
    assert flops.proposals == pytest.approx(rpn, rel=0.02)
