"""The page: renders one HTML file from one dict of JSON values, and from nothing else.

Keys of the dict. Undefined numbers are None, never NaN. Shares and APs are in [0, 1]; a column or
row with unit "percent" is shown in percent. Sections without data are left out of the page.

    title                str
    facts                [[name, text], ...], under the title; optional
    classes              K class names
    class_colours        K colours "#rrggbb", those of the demo's pictures; optional
    headline             [{"name", "value", "unit": "percent" | "", "low"?, "high"?, "note"?}, ...];
                         optional, as are all sections below
    headline_note        str
    interval             head of the column of intervals; default "95 % interval"
    curves               [{"name", "recall": [...], "precision": [...], "score": [...], "ap"}, ...];
                         the first is of all classes, the others can be shown beside it
    curves_note          str
    size_bins            {"note"?, "columns": [{"name", "unit", "bar": bool, "fit": bool}, ...],
                         "rows": [{"name", "values": [...], "note"?}, ...]}; bars are relative to
                         100 % for percent, or to the column's largest value with fit or no unit
    seams, per_class, errors   the same shape
    confusion            {"note"?, "names": K + 1, the last is background, "counts": (K + 1, K + 1)
                         ints, rows by class of label, columns by class of detection}
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
                         "name", "wrong": bool, "note"?}; "kind" columns are indices into these
    shown_score          with images: least score of the detections shown initially
    galleries            with images: [{"name", "note"?, "total", "items": [{"image", "class",
                         "kind", "label" or "detection": row, "text", "frame": [x0, y0, x1, y1],
                         "crop"?: data URI}, ...]}, ...]
    photographs          {image index as text: data URI}, reduced copies for the zoomable view
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
        report: described in the docstring of this module.

    Raises:
        ValueError: a value is not valid JSON (such as NaN), or an image is not a data URI.
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
    """Marks text to be inserted without escaping: our own, or already escaped."""
    # jinja2 inserts objects with __html__ unescaped, so markupsafe is not imported here.
    return _Raw(text)


class _Raw(str):
    def __html__(self) -> str:
        return str(self)


def _json(content: Mapping[str, Any]) -> str:
    """JSON for a script element: without "<", which could end it, or lone surrogates."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _photographs(photographs: Mapping[str, str]) -> str:
    """One element for each image, so that the page decodes an image only when it is viewed."""
    elements = []
    for image, uri in photographs.items():
        if not uri.startswith(_IMAGE_START) or not uri.isascii() or set("<>\"'&") & set(uri):
            raise ValueError(f"photograph {image} must be an image's data URI, got {uri[:40]!r}")
        elements.append(f'<script type="text/plain" id="photo-{int(image)}">{uri}</script>')
    return "\n".join(elements)
