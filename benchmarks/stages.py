"""Time of detection by stage: decoding, backbone, proposals, heads, seams and merging."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.arithmetic import (
    StageFlops,
    Work,
    convolution_rate,
    count_focus_flops,
    count_stage_flops,
    measure_rates,
    rates_table,
    watch_work,
)
from benchmarks.clock import seconds_now
from benchmarks.report import Cell, Report, Table, describe_machine
from benchmarks.rivals import ENTRIES, Settings, SmallObjectRival, build_rivals
from smallobj.data.image_file import read_image
from smallobj.modeling.precision import precision_at_test

_GIGA = 1e9
_CONVOLUTIONS, _FOCUS = "backbone, convolutions", "focus"


class StageClock:
    """Seconds by stage. The time of an inner stage is subtracted from that of the outer stage.

    Attributes:
        seconds: by stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the ``with`` block to a stage."""
        self._inner.append(0.0)
        start = seconds_now()
        try:
            yield
        finally:
            whole = seconds_now() - start
            self.seconds[name] += whole - self._inner.pop()
            if self._inner:
                self._inner[-1] += whole

    @contextmanager
    def watch(self, owner: Any, method: str, name: str) -> Iterator[None]:
        """Adds the time of each call of ``owner.method``, if it exists, to a stage."""
        original = getattr(owner, method, None)
        if original is None:
            yield
            return
        is_own = method in vars(owner)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)
        try:
            yield
        finally:
            if is_own:
                setattr(owner, method, original)
            else:
                delattr(owner, method)


@dataclass(frozen=True)
class StageTimes:
    """Times of one pass over some images.

    Attributes:
        seconds: per image, by stage.
        work: inputs and proposals of all images.
        images: number of images.
    """

    seconds: dict[str, float]
    work: Work
    images: int


def time_stages(rival: SmallObjectRival, paths: Sequence[str]) -> StageTimes:
    """Runs images one after another and times each stage; no stages overlap.

    Args:
        rival: its detector must be a GeneralizedRCNN.
        paths: image files. The first is also run once as a warm-up.
    """
    model: Any = rival.detector
    clock = StageClock()
    predictor = rival.predictor
    predictor(read_image(paths[0]))
    with (
        clock.watch(predictor, "_item", "image to tensor"),
        clock.watch(model, "forward", "rest of the detector"),
        clock.watch(model, "preprocess_image", "normalise, pad"),
        clock.watch(model.backbone, "forward", "backbone, rest"),
        _layers(clock, model.backbone),
        clock.watch(model.proposal_generator, "forward", "proposals"),
        clock.watch(model.roi_heads, "forward", "heads"),
        clock.watch(rival.tiled, "merge_tiles", "seams and merging"),
        clock.watch(rival.chooser, "forward", _FOCUS),
        watch_work(model) as work,
    ):
        for path in paths:
            with clock.stage("decode"):
                image = read_image(path)
            with clock.stage("tiles and the rest"):
                predictor(image)
    per_image = {name: seconds / len(paths) for name, seconds in clock.seconds.items()}
    return StageTimes(per_image, work, len(paths))


@contextmanager
def _layers(clock: StageClock, backbone: nn.Module) -> Iterator[None]:
    """Times the backbone's convolutions and normalisation as stages of their own.

    Convolutions include the activation inside Detectron2's layer. Sums, interpolation and changes
    of type stay in the rest of the backbone.
    """
    with ExitStack() as stack:
        for module in backbone.modules():
            if isinstance(module, nn.Conv2d):
                stack.enter_context(clock.watch(module, "forward", _CONVOLUTIONS))
            elif "Norm" in type(module).__name__:
                stack.enter_context(clock.watch(module, "forward", "backbone, normalisation"))
        yield


def stages_table(
    title: str,
    times: StageTimes,
    flops: StageFlops,
    rates: dict[str, float],
    precision: str,
    focus_flops: float = 0.0,
) -> Table:
    """A table with a row for each stage: its time, and the least time for its operations.

    Args:
        title: of the table.
        times: result of :func:`time_stages`.
        flops: of the same detector.
        rates: 10⁹ operations per second of convolutions, by precision.
        precision: of backbone and heads.
        focus_flops: operations per image of the network that chooses regions.
    """
    total = sum(times.seconds.values())
    counted = flops.of(times.work)
    counted[_CONVOLUTIONS] = counted.pop("backbone")
    counted[_FOCUS] = focus_flops * times.images
    rows: list[list[Cell]] = []
    least, work = 0.0, 0.0
    for name, seconds in sorted(times.seconds.items(), key=lambda item: -item[1]):
        row: list[Cell] = [name, seconds, f"{seconds / total:.0%}", None, None, None]
        if name in counted:
            giga = counted[name] / times.images / _GIGA
            limit = giga / rates[precision]
            row[3:] = [giga, giga / seconds, limit]
            least, work = least + limit, work + giga
        rows.append(row)
    rows.append(["all", total, "100%", work, work / total, least])
    headers = ["stage", "s per image", "share", "GFLOP", "GFLOP/s", "s at the limit"]
    work_note = (
        f"{len(times.work.shapes) / times.images:g} inputs of the model per image, "
        f"{times.work.pixels / times.images / 1e6:.2f} million pixels, "
        f"{sum(times.work.regions) / times.images:.0f} proposals"
    )
    limit_note = (
        f"limit: fvcore's count at the rate of the fastest measured convolution in {precision}, "
        f"{rates[precision]:.0f} GFLOP/s"
    )
    if least:
        limit_note += f"; the total takes {total / least:.2f} times as long"
    notes = [work_note, limit_note, "in normal use decoding runs in parallel with the rest"]
    return Table(title, headers, rows, notes)


def benchmark_arithmetic(
    names: Sequence[str], settings: Settings, paths: Sequence[str], runs: int
) -> Report:
    """Rates of the machine, then times by stage of this project's rows.

    Args:
        names: of rows of this project.
        settings: config and weights.
        paths: image files to run.
        runs: number of measurements of each operation.

    Raises:
        ValueError: a row is not this project's.
    """
    cfg = settings.config()
    machine = describe_machine(cfg.MODEL.DEVICE)
    rivals, notes = build_rivals(names, settings)
    own = {name: rival for name, rival in rivals.items() if isinstance(rival, SmallObjectRival)}
    if len(own) < len(rivals):
        others = [name for name in rivals if name not in own]
        raise ValueError(f"stages are timed for this project's rows only; got {others}")
    dtypes = dict.fromkeys(["float32", "bfloat16", _name(precision_at_test(cfg))])
    rates = measure_rates(cfg.MODEL.DEVICE, runs, dtypes)
    fastest = {dtype: convolution_rate(rates, dtype) for dtype in dtypes}
    tables = [rates_table(rates)]
    raw: dict[str, Any] = {"rates": [dataclasses.asdict(rate) for rate in rates]}
    for name, rival in own.items():
        times = time_stages(rival, paths)
        flops = count_stage_flops(rival.detector)
        precision = _name(precision_at_test(rival.predictor.cfg))
        focus = count_focus_flops(rival.chooser, paths[0])
        title = f"{ENTRIES[name].title}, {len(paths)} images"
        tables.append(stages_table(title, times, flops, fastest, precision, focus))
        raw[name] = dataclasses.asdict(times)
    tables[-1].notes += notes
    return Report("arithmetic", {"rows": list(names), "runs": runs}, machine, tables, raw)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
