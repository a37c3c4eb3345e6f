import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as warp

from smallobj.images.raster import Raster
from smallobj.results.result_files import ImageResult
from smallobj.scan.geojson import corners, crs_name, require_georeferenced, write_geojson

NAMES = ["SD카드", "nut"]
UTM = CRS.from_epsg(32652)
TRANSFORMS = {
    "north up": Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000),
    "south up": Affine(2, 0, 10, 0, 2, 20),
    "turned": Affine.translation(500_000, 4e6) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5),
    "turned upside down": Affine.rotation(-160) @ Affine.scale(3, -2),
    "sheared": Affine.translation(5, 6) @ Affine.shear(20, 5) @ Affine.scale(0.1, -0.1),
    "mirrored": Affine(-1, 0, 100, 0, -1, 50),
}


def detections(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.3, len(boxes)).round(4).astype(np.float32)
    return ImageResult("a.tif", 1, 100, 200, boxes, scores, np.arange(len(boxes)) % 2)


def area(ring):
    """Signed: positive where the ring runs anticlockwise."""
    x, y = np.array(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def written(tmp_path, image, crs=UTM, transform=TRANSFORMS["north up"]):
    path = tmp_path / "a.geojson"
    write_geojson(str(path), image, NAMES, crs, transform)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_corners_are_where_the_transform_puts_them(name, tmp_path):
    transform = TRANSFORMS[name]
    image = detections([[10, 20, 30.25, 50], [0, 0, 200, 100], [199, 99, 200, 100]])
    features = written(tmp_path, image, transform=transform)["features"]
    for box, feature in zip(image.boxes.tolist(), features, strict=True):
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        x0, y0, x1, y1 = box
        expected = {tuple(transform @ (x, y)) for x in (x0, x1) for y in (y0, y1)}
        pixel = abs(transform.determinant) ** 0.5
        for corner in ring[:-1]:
            nearest = min(expected, key=lambda point: abs(np.subtract(point, corner)).sum())
            assert np.abs(np.subtract(nearest, corner)).max() <= pixel / 100
            expected.remove(nearest)
        inside = (x1 - x0) * (y1 - y0) * abs(transform.determinant)
        assert area(ring) == pytest.approx(inside, rel=0.05)


def test_pixels_of_a_large_image_do_not_lose_their_place():
    transform = Affine(0.1, 0, 500_000.05, 0, -0.1, 4_000_000.05)
    (ring,) = corners(np.array([[39_999.5, 39_998, 40_000, 39_999.25]], np.float32), transform)
    np.testing.assert_allclose(ring.min(axis=0), [503_999.998 + 0.002, 3_996_000.125], atol=1e-6)
    np.testing.assert_allclose(ring.max(axis=0), [504_000.05, 3_996_000.25], atol=1e-6)


def test_what_a_feature_says(tmp_path):
    content = written(tmp_path, detections([[10, 20, 30, 50], [1, 2, 3, 4]]))
    assert content["type"] == "FeatureCollection"
    assert "SD카드" in content["classes"]
    first, second = content["features"]
    assert first["type"] == "Feature"
    assert first["properties"] == {"class": "SD카드", "class_id": 0, "score": 0.9}
    assert second["properties"]["class"] == "nut"
    assert first["geometry"]["type"] == "Polygon"
    assert first["geometry"]["coordinates"][0][0] == [500_005.0, 3_999_990.0]


def test_nothing_found(tmp_path):
    assert written(tmp_path, detections([]))["features"] == []


def test_degrees_keep_their_digits(tmp_path):
    transform = Affine(1e-6, 0, 127.0, 0, -1e-6, 37.5)
    content = written(tmp_path, detections([[10, 20, 30, 50]]), CRS.from_epsg(4326), transform)
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:OGC:1.3:CRS84"
    (ring,) = content["features"][0]["geometry"]["coordinates"]
    assert ring[0] == [pytest.approx(127.00001, abs=1e-9), pytest.approx(37.49998, abs=1e-9)]


@pytest.mark.parametrize(
    "crs", ["EPSG:32652", "EPSG:5186", "EPSG:3857", "EPSG:4326", "+proj=laea +lat_0=10 +lon_0=20"]
)
def test_a_reader_of_the_name_finds_the_file_s_system(crs, tmp_path):
    """The name of a GeoTIFF's system, read back, puts a point at the same place on Earth."""
    path = str(tmp_path / "a.tif")
    transform = Affine(1, 0, 20, 0, -1, 30)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=8,
        height=8,
        count=1,
        dtype="uint8",
        crs=crs,
        transform=transform,
    ) as file:
        file.write(np.zeros((1, 8, 8), np.uint8))
    with Raster(path) as raster:
        require_georeferenced(raster)
        read = CRS.from_user_input(crs_name(raster.crs))
    # A code's own axis order is not GeoJSON's; rasterio, as other readers, takes x, y.
    here = warp(CRS.from_string(crs), CRS.from_epsg(4326), [20], [30])
    there = warp(read, CRS.from_epsg(4326), [20], [30])
    np.testing.assert_allclose(there, here, atol=1e-9)


def test_a_file_without_a_place_is_refused(tmp_path):
    path = str(tmp_path / "a.tif")
    options = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    for more, told in [({}, "coordinate reference system"), ({"crs": UTM}, "affine transform")]:
        with rasterio.open(path, "w", **options, **more) as file:
            file.write(np.zeros((1, 8, 8), np.uint8))
        with Raster(path) as raster, pytest.raises(ValueError, match=f"it has no {told}"):
            require_georeferenced(raster)
