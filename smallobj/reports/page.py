"""The page: one HTML file from one dict that JSON could hold, and from nothing else.

The dict ("report data"). Numbers may be None where they aren't defined, never NaN. Shares and APs
are in [0, 1]; a column or row with unit "percent" is shown in percent. What is optional and
absent is left out of the page.

    title                str
    facts                [[name, text], ...], under the title; optional
    classes              K names
    headline             [{"name", "value", "unit": "percent" | "", "low"?, "high"?, "note"?}, ...];
                         optional, as are all sections below
    headline_note        str
    interval             head of the column of intervals, "95 % interval" if left out
    curves               [{"name", "recall": [...], "precision": [...], "score": [...], "ap"}, ...];
                         the first is that of all classes, the others can be shown beside it
    curves_note          str
    size_bins            {"note"?, "columns": [{"name", "unit", "bar": bool, "fit": bool}, ...],
                         "rows": [{"name", "values": [...], "note"?}, ...]}; bars are relative to
                         100 % for percent, to the column's largest value with fit or without a unit
    seams, per_class, errors   the same shape
    confusion            {"note"?, "names": K + 1, the last for background, "counts": (K + 1, K + 1)
                         ints, a row for a label's class, a column for a detection's}
    misses               {"note"?, "fppi": [...], "miss_rate": [...], "range": [low, high]}
    calibration          {"note"?, "rows": [{"confidence", "precision", "count"}, ...]}
    training             [{"name", "x": iterations, "y": values}, ...]
    training_note        str
    images               {"names": I texts, "sizes": I pairs [h, w],
                         "labels": {"count", "class", "box", "kind"},
                         "detections": {"count", "class", "box", "kind", "score"}}; each column is
                         {"type": "u1" | "u2" | "u4" | "f4", "data": base64, little endian}; count
                         is (I,), rows are ordered by image, boxes are (N, 4) XYXY in pixels
    kinds                with images: {"label": [...], "detection": [...]}, each a list of {"key",
                         "name", "wrong": bool, "note"?}; "kind" columns count in these lists
    shown_score          with images: score from which on detections are shown at first
    galleries            with images: [{"name", "note"?, "total", "items": [{"image", "class",
                         "kind", "label" or "detection": row, "text", "frame": [x0, y0, x1, y1],
                         "crop"?: data URI}, ...]}, ...]
    photographs          {image number as text: data URI}, reduced copies for the zoomable view
    photographs_note     str
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

_SCRIPTS = ("dom", "boxes", "charts", "tables", "galleries", "viewer", "sections")
_IMAGE_START = "data:image/"


def render(report: Mapping[str, Any]) -> str:
    """The whole page as text; it needs no other file and no network.

    Args:
        report: as the docstring of this module says.

    Raises:
        ValueError: something that JSON can't hold (NaN too), or a picture that is no data URI.
    """
    rest = {name: part for name, part in report.items() if name != "photographs"}
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        _asset("page.html")
    )
    return template.render(
        title=report["title"],
        style=_trusted(_asset("style.css")),
        script=_trusted("\n".join(_script(name) for name in _SCRIPTS)),
        data=_trusted(_json(rest)),
        photographs=_trusted(_photographs(report.get("photographs", {}))),
    )


def write_page(report: Mapping[str, Any], path: Path) -> int:
    """Writes the page; returns its size in bytes."""
    content = render(report).encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return len(content)


def _asset(name: str) -> str:
    return resources.files("smallobj.reports").joinpath("assets", name).read_text("utf-8")


def _script(name: str) -> str:
    return '"use strict";\n' + _asset(f"{name}.js") if name == _SCRIPTS[0] else _asset(f"{name}.js")


def _trusted(text: str) -> Any:
    """Text that goes into the page as it is: our own, or escaped already."""
    # jinja2 passes on whatever has __html__, without importing markupsafe here.
    return _Raw(text)


class _Raw(str):
    def __html__(self) -> str:
        return str(self)


def _json(content: Mapping[str, Any]) -> str:
    """JSON that can stand in a script element: no "<" that could end it, no half characters."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _photographs(photographs: Mapping[str, str]) -> str:
    """An element each, so that the page reads a picture only when it's looked at."""
    made = []
    for image, uri in photographs.items():
        if not uri.startswith(_IMAGE_START) or not uri.isascii() or set("<>\"'&") & set(uri):
            raise ValueError(f"photograph {image} must be an image's data URI, got {uri[:40]!r}")
        made.append(f'<script type="text/plain" id="photo-{int(image)}">{uri}</script>')
    return "\n".join(made)
