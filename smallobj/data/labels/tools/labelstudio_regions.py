"""The regions of Label Studio's JSON: shapes in percent of the image's sides, and their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from smallobj.data.labels.objects import IMAGE_TAG, NO_AREA, read_numbers
from smallobj.data.labels.outlines import Outline, ellipse, polygon, turned
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import DROP, FIX, rule

_REGION_RULE = rule(
    "labelstudio-region",
    "a region must be an object with a type and a value: a rectangle has x, y, width and height, a "
    "polygon points, an ellipse x, y, radiusX and radiusY",
    dropped="region",
)
_TYPE_RULE = rule(
    "labelstudio-type", "a region must be a rectangle, polygon or ellipse", dropped="region"
)
_BRUSH_RULE = rule(
    "labelstudio-brush", "brush masks are not read", DROP, dropped="brush mask and its object"
)
_TURNED_RULE = rule(
    "labelstudio-turned",
    "image_rotation must be 0: regions drawn in a turned view may lie elsewhere",
    fixed="region read as one of the image that is not turned",
    dropped="region",
)
_LABELS_RULE = rule(
    "labelstudio-labels",
    "a region must have one label",
    fixed="first label of a region taken",
    dropped="region",
)
_SHAPES = ("rectangle", "polygon", "ellipse", "brush", "keypoint")
# Answers about the image, or about a region that stands in the list, too.
_ANSWERS = ("choices", "taxonomy", "rating", "number", "textarea", "pairwise", "datetime")
_RECTANGLE = ("x", "y", "width", "height")
_ELLIPSE = ("x", "y", "radiusX", "radiusY")


def regions_of(
    results: Sequence[Any], place: tuple[str, str], reading: DatasetReading
) -> Iterator[tuple[dict[str, Any], Any, tuple[str, str]]]:
    """(region, label, place) of the shapes in the results of an annotation.

    Args:
        results: list in the file.
        place: of the list, for problems.
        reading: receives the problems.
    """
    good = [one for one in results if isinstance(one, dict)]
    shaped = {one.get("id") for one in good if _shape(one) and one.get("type") != "labels"}
    # Where shapes and labels are drawn with two tools, they are two results with one id.
    apart = {
        one.get("id"): _value(one).get("labels") for one in good if one.get("type") == "labels"
    }
    for number, one in enumerate(results):
        where = (place[0], f"{place[1]}[{number}]")
        if not isinstance(one, dict) or not isinstance(one.get("type"), str):
            reading.report(*where, _REGION_RULE, shown(one))
            continue
        kind = one["type"]
        if kind == "relation" or (kind in _ANSWERS and one.get("id") in shaped):
            continue
        if kind in _ANSWERS:
            reading.report(*where, IMAGE_TAG, shown(_value(one)))
            continue
        if kind == "labels" and one.get("id") in shaped:
            continue
        labels = _value(one).get(kind) if kind.endswith("labels") else apart.get(one.get("id"))
        label = _label(labels, where, reading) if _shape(one) else None
        if label is not _REFUSED:
            yield one, label, where


_REFUSED = object()


def _label(labels: Any, place: tuple[str, str], reading: DatasetReading) -> Any:
    if not isinstance(labels, list):
        return labels
    if len(labels) > 1 and reading.report(*place, _LABELS_RULE, shown(labels)) != FIX:
        return _REFUSED
    return labels[0] if labels else ""


def _value(region: dict[str, Any]) -> dict[str, Any]:
    value = region.get("value")
    return value if isinstance(value, dict) else {}


def _shape(region: dict[str, Any]) -> str:
    """Which of the shapes a region is; "" if it is none."""
    kind = str(region.get("type", "")).removesuffix("labels")
    value = _value(region)
    if kind:
        return kind if kind in _SHAPES else ""
    # Of the type "labels", the keys tell.
    for name, key in (("ellipse", "radiusX"), ("polygon", "points"), ("rectangle", "height")):
        if key in value:
            return name
    return "brush" if "rle" in value else ""


def region_outline(
    region: dict[str, Any],
    size: tuple[int, int],
    place: tuple[str, str],
    reading: DatasetReading,
) -> Outline | None:
    """What a region covers in pixels; None after reporting why it isn't known.

    Args:
        region: of :func:`regions_of`.
        size: (h, w) of the image.
        place: file and entry that a problem names.
        reading: receives the problems.
    """
    shape = _shape(region)
    if shape == "brush":
        reading.report(*place, _BRUSH_RULE, shown(_value(region).get("format", "rle")))
        return None
    if shape == "keypoint":
        reading.report(*place, NO_AREA, shown(region["type"]))
        return None
    if not shape:
        reading.report(*place, _TYPE_RULE, shown(region["type"]))
        return None
    values = _percents(shape, _value(region))
    if values is None:
        reading.report(*place, _REGION_RULE, shown(region.get("value")))
        return None
    rotation = region.get("image_rotation") or 0
    if rotation != 0 and reading.report(*place, _TURNED_RULE, shown(rotation)) != FIX:
        return None
    degrees = _value(region).get("rotation") or 0
    numbers = read_numbers(reading, place, [*values, degrees])
    if numbers is None:
        return None
    *shares, turn = numbers
    height, width = size
    pixels = [
        share / 100 * (height if number % 2 else width) for number, share in enumerate(shares)
    ]
    if shape == "polygon":
        return polygon(pixels, "polygon")
    x, y, across, along = pixels
    if shape == "ellipse":
        return ellipse((x, y), (across, along), turn, "ellipse")
    if turn % 360:
        # About its first corner, not its centre.
        offsets = [(0.0, 0.0), (across, 0.0), (across, along), (0.0, along)]
        return polygon(turned(offsets, (x, y), turn), f"box turned by {turn:g} degrees")
    return Outline((x, y, x + across, y + along))


def _percents(shape: str, value: dict[str, Any]) -> list[Any] | None:
    """x, y, x, y, ... of a polygon; x, y and width, height or radii of another shape."""
    if shape == "polygon":
        points = value.get("points")
        if not isinstance(points, list) or len(points) < 3:
            return None
        if not all(isinstance(point, list) and len(point) == 2 for point in points):
            return None
        return [number for point in points for number in point]
    keys = _ELLIPSE if shape == "ellipse" else _RECTANGLE
    return [value[key] for key in keys] if all(key in value for key in keys) else None
