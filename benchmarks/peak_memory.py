"""Peak memory of detection above the loaded model, of each rival in a separate process."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import wait_for_gpu
from benchmarks.report import Cell, Report, Table, describe_machine
from benchmarks.rival_packages import RivalUnavailable
from benchmarks.rivals import ENTRIES, Settings, build_rival, set_threads
from smallobj.costs.separate_process import run_apart

_MEBI = 1 << 20
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Peak:
    """Memory of one process, in bytes.

    Attributes:
        loaded: resident memory with the model loaded.
        above: peak resident memory afterwards, above ``loaded``.
        gpu_above: peak allocated GPU memory, above that of the model; None without a GPU.
    """

    loaded: int
    above: int
    gpu_above: int | None = None


def measure_peak(job: Callable[[], Any], device: str = "cpu") -> Peak:
    """Runs ``job`` in this process and measures its peak memory. Linux only.

    Memory that earlier jobs have left for reuse counts as ``loaded``.

    Args:
        job: function to run.
        device: device of the job.

    Raises:
        ValueError: this system has no /proc with the memory of a process.
    """
    if not _CLEAR.exists():
        raise ValueError("peak memory is read from /proc, which only Linux has")
    is_cuda = device.startswith("cuda")
    on_gpu = 0
    if is_cuda:
        wait_for_gpu()
        torch.cuda.reset_peak_memory_stats()
        on_gpu = torch.cuda.memory_allocated()
    _CLEAR.write_text("5", encoding="ascii")  # resets the peak
    loaded = _resident("VmRSS")
    job()
    # The kernel counts some pages late, so the peak can be a page too low.
    above = max(_resident("VmHWM") - loaded, 0)
    return Peak(loaded, above, torch.cuda.max_memory_allocated() - on_gpu if is_cuda else None)


def _resident(field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def peak_of_rival(name: str, settings: Settings, paths: Sequence[str], threads: int) -> Peak | str:
    """Peak of a rival on image files, in this process; or a sentence why it cannot run."""
    set_threads(threads)
    try:
        rival = build_rival(name, settings)
    except RivalUnavailable as error:
        return f"{name}: left out, {error}"

    def job() -> None:
        for _ in rival.detect_files(paths):
            pass

    return measure_peak(job, str(next(rival.detector.parameters()).device))


def benchmark_memory(
    names: Sequence[str], settings: Settings, paths: Sequence[str], threads: int
) -> Report:
    """A report with a row for each rival: memory with the model loaded, and the peak above it.

    Args:
        names: of rivals.
        settings: common to all rivals.
        paths: image files that each rival processes.
        threads: number of threads of each rival.

    Raises:
        ValueError: a rival is unknown, or the system is not Linux.
    """
    machine = describe_machine(settings.config().MODEL.DEVICE)
    rows: list[list[Cell]] = []
    notes, raw = [], {}
    for name in names:
        peak = run_apart(peak_of_rival, name, settings, paths, threads)
        if isinstance(peak, str):
            notes.append(peak)
            continue
        raw[name] = dataclasses.asdict(peak)
        gpu = None if peak.gpu_above is None else peak.gpu_above / _MEBI
        rows.append([ENTRIES[name].title, peak.loaded / _MEBI, peak.above / _MEBI, gpu])
    headers = ["", "MiB, model loaded", "MiB above it", "MiB above it, GPU"]
    title = f"Peak memory over {len(paths)} images, each row in a separate process"
    arguments = {**dataclasses.asdict(settings), "rows": list(names)}
    return Report("memory", arguments, machine, [Table(title, headers, rows, notes)], raw)
