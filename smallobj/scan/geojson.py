"""Detections in a georeferenced image as GeoJSON, for maps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from smallobj.images.raster import Raster
from smallobj.results.result_files import ImageResult
from smallobj.whole_file import whole_text

_CRS84 = "urn:ogc:def:crs:OGC:1.3:CRS84"
# Boxes are no more precise than about a hundredth of a pixel.
_STEPS_PER_PIXEL = 100


def require_georeferenced(raster: Raster) -> None:
    """Checks that a raster is georeferenced.

    Raises:
        ValueError: the file has no coordinate reference system or no affine transform.
    """
    if not raster.is_georeferenced:
        missing = "coordinate reference system" if raster.crs is None else "affine transform"
        raise ValueError(
            f"{raster.path}: --geojson needs a georeferenced file; it has no {missing}"
        )


def write_geojson(
    path: str,
    image: ImageResult,
    class_names: Sequence[str],
    crs: CRS,
    transform: Affine,
) -> None:
    """Writes a FeatureCollection with a polygon for each box, in the raster's coordinate system.

    RFC 7946 only allows longitude and latitude (WGS 84). For other systems the older member "crs"
    names the system; GDAL, QGIS and GeoPandas read it. Rings are anticlockwise (RFC 7946, section
    3.1.6); coordinates are rounded to about a hundredth of a pixel.

    Args:
        path: the file to write; an existing one is replaced once the new one is complete.
        image: boxes in pixels.
        class_names: names by class index.
        crs, transform: coordinate reference system and affine transform of the raster.
    """
    head = {"type": "name", "properties": {"name": crs_name(crs)}}
    with whole_text(path) as text:
        names = json.dumps(list(class_names), ensure_ascii=False)
        text.write('{"type": "FeatureCollection", "crs": ' + json.dumps(head))
        # A member of our own, which RFC 7946, section 6.1, allows: classes without a feature.
        text.write(f', "classes": {names}')
        text.write(', "features": [')
        for number, feature in enumerate(_features(image, class_names, transform)):
            text.write((",\n" if number else "\n") + json.dumps(feature, ensure_ascii=False))
        text.write("\n]}\n")


def crs_name(crs: CRS) -> str:
    """The name of a system for GeoJSON's member "crs": its EPSG code, or its WKT if it has none.

    The EPSG codes of geographic systems imply latitude first, but GeoJSON's positions are x, y.
    All readers use x, y regardless; for WGS 84 there is a name with this order, CRS84.
    """
    code = crs.to_epsg(confidence_threshold=100)
    if code == 4326:
        return _CRS84
    return f"urn:ogc:def:crs:EPSG::{code}" if code else crs.to_wkt()


def corners(boxes: np.ndarray, transform: Affine) -> np.ndarray:
    """Outlines of boxes in a raster's coordinate system.

    Args:
        boxes: (N, 4) XYXY in pixels.
        transform: maps (x, y) of pixel corners to coordinates; may turn, shear and mirror.

    Returns:
        (N, 4, 2) float64, anticlockwise as seen with x to the right and y upwards.
    """
    # float32 would round coordinates in metres to half a metre.
    wide = boxes.astype(np.float64)
    # Anticlockwise as seen with y downwards; on a map, which mirrors y, it looks the same.
    x, y = wide[:, [0, 0, 2, 2]], wide[:, [1, 3, 3, 1]]
    if transform.determinant > 0:  # y is not mirrored
        x, y = x[:, ::-1], y[:, ::-1]
    mapped = (
        transform.a * x + transform.b * y + transform.c,
        transform.d * x + transform.e * y + transform.f,
    )
    return np.stack(mapped, axis=-1)


def _features(
    image: ImageResult, class_names: Sequence[str], transform: Affine
) -> Iterator[dict[str, Any]]:
    pixel = math.sqrt(abs(transform.determinant))
    decimals = math.ceil(math.log10(_STEPS_PER_PIXEL / pixel)) if pixel else 0
    # In blocks, as millions of polygons as Python numbers would take gigabytes.
    for start in range(0, len(image.boxes), 4096):
        block = slice(start, start + 4096)
        rings = corners(image.boxes[block], transform).round(decimals)
        rings = np.concatenate([rings, rings[:, :1]], axis=1)
        scores, classes = image.scores[block].tolist(), image.classes[block].tolist()
        for ring, score, index in zip(rings.tolist(), scores, classes, strict=True):
            yield {
                "type": "Feature",
                "properties": {
                    "class": class_names[index],
                    "class_id": index,
                    "score": round(score, 4),
                },
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
