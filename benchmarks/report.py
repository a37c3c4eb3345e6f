"""Reports of benchmarks: tables and the measured times, as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

Cell = str | float | int | None
_CPU_FILE = "/proc/cpuinfo"


@dataclasses.dataclass
class Table:
    """A table.

    Attributes:
        title: what was measured.
        headers: of the columns.
        rows: lists of cells; None for a missing value.
        notes: sentences below the table.
    """

    title: str
    headers: list[str]
    rows: list[list[Cell]]
    notes: list[str] = dataclasses.field(default_factory=list)

    def text(self) -> str:
        """The table as plain text; numbers have three significant digits."""
        return "\n".join([self.title, "", self._body("simple"), *self._notes_text()])

    def markdown(self) -> str:
        """The table as Markdown."""
        notes = ["", *self._notes_text()] if self.notes else []
        return "\n".join([f"**{self.title}**", "", self._body("github"), *notes])

    def _body(self, style: str) -> str:
        rows = [[_cell(value) for value in row] for row in self.rows]
        # tabulate accepts no alignments for a table without cells.
        align = ["left", *["right"] * (len(self.headers) - 1)] if rows else None
        return tabulate(rows, self.headers, style, colalign=align, disable_numparse=True)

    def _notes_text(self) -> list[str]:
        return [f"- {note}" for note in self.notes]


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


@dataclasses.dataclass
class Report:
    """Results of one command of tools/benchmark.py.

    Attributes:
        command: name of the command.
        settings: its arguments.
        machine: result of :func:`describe_machine`.
        tables: to print.
        raw: seconds of every run, by name.
    """

    command: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    tables: list[Table]
    raw: dict[str, Any]

    def text(self) -> str:
        """The machine and the tables as plain text."""
        return "\n\n".join([self._machine_text(), *[table.text() for table in self.tables]])

    def markdown(self) -> str:
        """The machine and the tables as Markdown."""
        tables = [table.markdown() for table in self.tables]
        return "\n\n".join([self._machine_text(), *tables]) + "\n"

    def _machine_text(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self.machine.items())

    def write(self, path: str) -> None:
        """Writes the report as JSON."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str) -> Report:
        """Reads a report written by :meth:`write`.

        Raises:
            ValueError: the file is not a report.
        """
        try:
            fields = json.loads(Path(path).read_text(encoding="utf-8"))
            tables = [Table(**table) for table in fields.pop("tables")]
            return cls(**fields, tables=tables)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a report of tools/benchmark.py ({error})") from error


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """What times depend on: processor, threads, PyTorch version, load, and the GPU if used."""
    machine: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load at the start": round(os.getloadavg()[0], 2),
    }
    if device.startswith("cuda"):
        machine["gpu"] = torch.cuda.get_device_name(device)
    return machine


def _processor() -> str:
    """The kernel's name of the processor, with its instruction sets for bfloat16."""
    if not os.path.isfile(_CPU_FILE):
        return platform.processor() or platform.machine()
    lines = Path(_CPU_FILE).read_text(encoding="utf-8").splitlines()
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    fields = {key.strip(): value.strip() for key, value in pairs}
    flags = fields.get("flags", "").split()
    extras = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    return " ".join([fields.get("model name", platform.machine()), *(f"+{e}" for e in extras)])


def seconds_of(timings: Sequence[Any]) -> dict[str, list[float]]:
    """The seconds of all runs by name, for ``Report.raw``."""
    return {timing.name: list(timing.seconds) for timing in timings}
