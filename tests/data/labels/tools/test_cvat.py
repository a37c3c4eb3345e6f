"""CVAT's XML for images and for video: every shape, tracks, tasks and frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as mask_utils

from smallobj.data.labels.policy import Policy
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tools.cvat import read_cvat

LABELS = "<labels><label><name>nut</name></label><label><name>bolt</name></label></labels>"
META = f"<meta><task>{{}}{LABELS}</task></meta>"


def make_image(path: Path, width: int = 100, height: int = 80) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("L", (width, height)).save(path)


class Export:
    def __init__(self, root: Path) -> None:
        self.path, self.images = root / "annotations.xml", root / "images"
        self.images.mkdir()

    def write(self, body: str, meta: str = META.format("")) -> None:
        self.path.write_text(f"<annotations><version>1.1</version>{meta}\n{body}</annotations>")

    def read(self, *rules: str, images: bool = True) -> DatasetReading:
        folder = str(self.images) if images else ""
        return read_cvat(DatasetSpec("d", "cvat", str(self.path), folder), Policy.of(rules))


@pytest.fixture
def export(tmp_path):
    return Export(tmp_path)


def image(inner: str, name: str = "a.jpg", **more: str) -> str:
    rest = "".join(f' {key}="{value}"' for key, value in more.items())
    return f'<image id="0" name="{name}" width="100" height="80"{rest}>{inner}</image>'


def box(label: str = "bolt", **more: object) -> str:
    values = {"xtl": 20, "ytl": 10, "xbr": 40, "ybr": 20, **more}
    rest = " ".join(f'{key}="{value}"' for key, value in values.items())
    return f'<box label="{label}" source="manual" occluded="0" z_order="0" {rest}></box>'


def changes(reading: DatasetReading) -> dict[str, int]:
    return {rule.name: count for (rule, _), count in reading.changes.counts.items()}


@pytest.mark.parametrize(
    ("text", "corners", "polygon"),
    [
        (box(), [20, 10, 20, 10], None),
        (box(rotation="360.0"), [20, 10, 20, 10], None),
        (box(rotation="90.0"), [25, 5, 10, 20], [35, 5, 35, 25, 25, 25, 25, 5]),
        (
            box(rotation="30.0"),
            [30 - 11.160254, 15 - 9.330127, 22.320508, 18.660254],
            [23.839746, 5.669873, 41.160254, 15.669873, 36.160254, 24.330127, 18.839746, 14.330127],
        ),
        (
            '<polygon label="bolt" points="10.0,60.5;24.0,60.0;11.0,74.0" z_order="0"/>',
            [10, 60, 14, 14],
            [10, 60.5, 24, 60, 11, 74],
        ),
    ],
)
def test_boxes_and_polygons(export, text, corners, polygon):
    make_image(export.images / "a.jpg")
    export.write(image(text))
    reading = export.read()
    assert reading.problems == []
    assert reading.class_names == ["nut", "bolt"]
    (annotation,) = reading.records[0]["annotations"]
    assert annotation["category_id"] == 1
    np.testing.assert_allclose(annotation["bbox"], corners, atol=1e-6)
    if polygon is None:
        assert "segmentation" not in annotation
    else:
        np.testing.assert_allclose(annotation["segmentation"], [polygon], atol=1e-6)
    assert changes(reading) == ({"shape-enclosed": 1} if polygon else {})


def test_an_ellipse(export):
    export.write(
        image(
            '<ellipse label="nut" cx="50" cy="40" rx="20" ry="10"/>'
            '<ellipse label="nut" cx="50" cy="40" rx="20" ry="10" rotation="90"/>'
            '<ellipse label="nut" cx="50" cy="40" rx="20" ry="10" rotation="45"/>'
        )
    )
    found = export.read(images=False).records[0]["annotations"]
    half = (250**0.5, 250**0.5)
    for annotation, (w, h) in zip(found, ((20, 10), (10, 20), half), strict=True):
        np.testing.assert_allclose(annotation["bbox"], [50 - w, 40 - h, 2 * w, 2 * h])
        points = np.reshape(annotation["segmentation"], (-1, 2))
        assert len(points) == 72
        assert abs(points - (50, 40)).max() <= max(w, h) + 1e-9


def test_a_mask_is_rows_of_its_crop(export):
    export.write(
        image('<mask label="nut" rle="1, 2, 1, 3" left="10" top="20" width="4" height="2"/>')
    )
    # Counts that end early are refused, of 7 pixels instead of 8.
    assert "must add up" in str(export.read(images=False).problems[0])
    export.write(
        image('<mask label="nut" rle="1, 2, 1, 3, 1" left="10" top="20" width="4" height="2"/>')
    )
    (annotation,) = export.read(images=False).records[0]["annotations"]
    full = np.zeros((80, 100), np.uint8)
    full[20, 11:13] = full[21, 10:13] = 1
    np.testing.assert_array_equal(mask_utils.decode(annotation["segmentation"]), full)
    assert annotation["bbox"] == [10, 20, 3, 2]


@pytest.mark.parametrize("rle", ["8000", "-1, 9", "1.5, 6.5", "x", "1e300"])
def test_masks_of_hostile_counts_are_refused(export, rle):
    export.write(
        image(f'<mask label="nut" rle="{rle}" left="99" top="0" width="8" height="1000"/>')
    )
    assert len(export.read(images=False).problems) == 1


def test_shapes_without_area_tags_and_cuboids(export):
    cuboid = {"xtl1": 5, "ytl1": 5, "xbl1": 5, "ybl1": 30, "xtr1": 25, "ytr1": 5, "xbr1": 25}
    cuboid |= {"ybr1": 30, "xtl2": 10, "ytl2": 2, "xbl2": 10, "ybl2": 20, "xtr2": 30, "ytr2": 2}
    cuboid |= {"xbr2": 30, "ybr2": 20}
    places = " ".join(f'{key}="{value}"' for key, value in cuboid.items())
    without = '<points label="nut" points="1,2"/><polyline label="nut" points="1,2;3,4"/>'
    without += '<skeleton label="nut"><points label="1" points="1,2"/></skeleton>'
    export.write(image(f'<tag label="rainy"/><cuboid label="nut" {places}/>{without}'))
    reading = export.read(images=False)
    assert {str(problem.rule) for problem in reading.problems} == {
        "a shape must have an area: points and lines have none"
    }
    reading = export.read("shape-without-area=drop", images=False)
    (annotation,) = reading.records[0]["annotations"]
    assert annotation["bbox"] == [5, 2, 25, 28]
    assert changes(reading) == {"image-tag": 1, "shape-without-area": 3, "shape-enclosed": 1}


def test_labels_of_whole_images_and_points_of_skeletons_are_no_classes(export):
    labels = "<label><name>rainy</name><type>tag</type></label>"
    labels += "<label><name>1</name><type>points</type><parent>body</parent></label>"
    labels += "<label><name>body</name><type>skeleton</type></label>"
    export.write(image(""), f"<meta><project><labels>{labels}</labels></project></meta>")
    assert export.read(images=False).class_names == ["body"]


def test_names_of_images(export):
    make_image(export.images / "x/a.jpg")
    make_image(export.images / "b.jpg")
    export.write(image(box(), "x\\a.jpg") + image(box(), "share/b.jpg"))
    reading = export.read()
    assert reading.problems == []
    names = [
        Path(one["file_name"]).relative_to(export.images).as_posix() for one in reading.records
    ]
    assert names == ["x/a.jpg", "b.jpg"]
    assert changes(reading) == {"path-mapped": 1}
    export.write(image(box(), "gone.jpg"))
    assert "the image file must exist" in str(export.read().problems[0])
    assert export.read("image-missing=drop").problems == []


def test_tasks_of_a_project_whose_images_have_one_name(export):
    make_image(export.images / "train/a.jpg")
    make_image(export.images / "second/a.jpg")
    tasks = "<task><id>4</id><name>first</name></task><task><id>5</id><name>second</name></task>"
    meta = f"<meta><project><tasks>{tasks}</tasks>{LABELS}</project></meta>"
    one = image(box(), subset="train", task_id="4")
    export.write(one + image(box(xtl=1), task_id="5"), meta)
    reading = export.read()
    assert reading.problems == []
    found = {Path(one["file_name"]).parent.name: one["annotations"] for one in reading.records}
    assert found["train"][0]["bbox"][0] == 20
    assert found["second"][0]["bbox"][0] == 1
    assert [one["file_name"] for one in export.read(images=False).records] == [
        "train/a.jpg",
        "second/a.jpg",
    ]


def track(*boxes: str, **more: str) -> str:
    rest = "".join(f' {key}="{value}"' for key, value in more.items())
    return f'<track id="0" label="bolt"{rest}>{"".join(boxes)}</track>'


def key(frame: int, outside: int = 0, **more: object) -> str:
    return box(frame=frame, keyframe=1, outside=outside, **more).replace(' label="bolt"', "")


def by_frame(reading: DatasetReading) -> dict[str, list[list[float]]]:
    return {
        Path(record["file_name"]).name: [one["bbox"] for one in record["annotations"]]
        for record in reading.records
        if record["annotations"]
    }


def test_a_track_of_all_frames(export):
    for frame in range(4):
        make_image(export.images / f"frame_{frame:06d}.jpg")
    export.write(track(key(0), key(1, xtl=21), key(2, outside=1)))
    reading = export.read()
    assert reading.problems == []
    assert len(reading.records) == 4  # frames without the object are images without labels
    assert by_frame(reading) == {
        "frame_000000.jpg": [[20, 10, 20, 10]],
        "frame_000001.jpg": [[21, 10, 19, 10]],
    }
    assert changes(reading) == {}


def test_boxes_between_keyframes(export):
    for frame in range(8):
        make_image(export.images / f"frame_{frame:06d}.png")
    export.write(track(key(1), key(5, xtl=28, ybr=40), key(6, outside=1), key(7)))
    reading = export.read()
    assert by_frame(reading) == {
        "frame_000001.png": [[20, 10, 20, 10]],
        "frame_000002.png": [[22, 10, 18, 15]],
        "frame_000003.png": [[24, 10, 16, 20]],
        "frame_000004.png": [[26, 10, 14, 25]],
        "frame_000005.png": [[28, 10, 12, 30]],
        "frame_000007.png": [[20, 10, 20, 10]],
    }
    assert changes(reading) == {"track-interpolated": 3}
    assert len(export.read("track-interpolated=error").problems) == 3
    export.write(track(key(1)))
    assert changes(export.read()) == {"track-open": 1}


def test_turns_between_keyframes_take_the_shorter_way(export):
    for frame in range(3):
        make_image(export.images / f"frame_{frame:06d}.png")
    export.write(track(key(0, rotation=350), key(2, rotation=10)))
    reading = export.read()
    (annotation,) = reading.records[1]["annotations"]
    assert annotation["bbox"] == [20, 10, 20, 10]


def test_polygons_of_a_track_are_not_put_between_others(export):
    for frame in range(3):
        make_image(export.images / f"frame_{frame:06d}.png")
    shape = '<polygon frame="{}" outside="0" points="10,60;24,60;11,74"/>'
    export.write(track(shape.format(0), shape.format(2)))
    assert "only boxes are put between" in str(export.read().problems[0])
    assert len(by_frame(export.read("track-gap=fix"))) == 2


def test_frames_without_their_numbers_are_counted(export):
    for name in ("10.jpg", "9.jpg", "8.jpg"):
        make_image(export.images / name)
    export.write(track(key(2), key(3, outside=1)))
    reading = export.read()
    assert by_frame(reading) == {"10.jpg": [[20, 10, 20, 10]]}
    assert changes(reading) == {"frame-by-order": 1}
    meta = META.format(
        "<size>3</size><start_frame>10</start_frame><frame_filter>step=5</frame_filter>"
    )
    export.write(track(key(15), key(20, outside=1)), meta)
    assert by_frame(export.read()) == {"9.jpg": [[20, 10, 20, 10]]}
    export.write(track(key(2)), META.format("<size>4</size>"))
    assert "must be an image for each frame" in str(export.read().problems[0])


def test_frames_numbered_from_one(export):
    """As ffmpeg writes them: the first image is frame 0."""
    for frame in (1, 2, 3):
        make_image(export.images / f"frame_{frame:04d}.jpg")
    export.write(track(key(1), key(2, outside=1)), META.format("<size>3</size>"))
    assert list(by_frame(export.read())) == ["frame_0002.jpg"]
    export.write(track(key(1), key(2, outside=1)))
    assert "is frame 0 or frame 1" in str(export.read().problems[0])
    assert list(by_frame(export.read("frame-first=fix"))) == ["frame_0001.jpg"]


def test_a_frame_without_an_image(export):
    make_image(export.images / "frame_000000.jpg")
    export.write(track(key(0), key(1)))
    assert "the image file must exist" in str(export.read().problems[0])


def test_tracks_without_a_folder_of_images(export):
    size = "<original_size><width>640</width><height>480</height></original_size>"
    export.write(track(key(0), key(1, outside=1)), META.format(f"<size>2</size>{size}"))
    reading = export.read(images=False)
    assert [(one["file_name"], one["height"], one["width"]) for one in reading.records] == [
        ("frame_000000.PNG", 480, 640),
        ("frame_000001.PNG", 480, 640),
    ]
    assert changes(reading) == {"frame-named": 1}


def test_frames_of_several_tasks(export):
    for name in ("first/frame_000000.jpg", "5/frame_000000.jpg"):
        make_image(export.images / name)
    tasks = "<task><id>4</id><name>first</name></task><task><id>5</id><name>second</name></task>"
    meta = f"<meta><project><tasks>{tasks}</tasks>{LABELS}</project></meta>"
    export.write(track(key(0), task_id="4") + track(key(0, xtl=1), task_id="5"), meta)
    reading = export.read()
    found = {Path(one["file_name"]).parent.name: one["annotations"] for one in reading.records}
    assert {name: boxes[0]["bbox"][0] for name, boxes in found.items()} == {"first": 20, "5": 1}
    export.write(track(key(0), task_id="4") + track(key(0), task_id="6"), meta)
    assert "folders called like the tasks" in str(export.read().problems[0])
