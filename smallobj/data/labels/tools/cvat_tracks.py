"""The tracks of CVAT's XML "for video": boxes by frame, and the image of each frame."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element

from smallobj.data.labels.image_list import list_images
from smallobj.data.labels.listed_images import Listing, slashed
from smallobj.data.labels.objects import to_number, whole_size
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, IMAGE_EXISTS, rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tools.cvat_shapes import CORNERS

_FRAME_RULE = rule(
    "track-frame", "a shape of a track must have the whole number of its frame", dropped="shape"
)
_BETWEEN_RULE = rule(
    "track-interpolated",
    "a track must give its box in each frame",
    FIX,
    fixed="box put between two others of its track",
    dropped="box",
)
_GAP_RULE = rule(
    "track-gap",
    "the shapes of a track must be given in each frame; only boxes are put between two others",
    fixed="gap of a track left without labels",
)
_OPEN_RULE = rule(
    "track-open",
    "a track must end with the last frame or with a shape that is outside",
    FIX,
    fixed="track taken to end with its last shape",
)
_NAMED_RULE = rule(
    "frame-named",
    "without a folder of images, frames have no names",
    FIX,
    fixed="frame called frame_ and its number, .PNG",
)
_ORDER_RULE = rule(
    "frame-by-order",
    "images must be called frame_ and the number of their frame",
    FIX,
    fixed="frame found by its place in the folder of images",
)
_FIRST_RULE = rule(
    "frame-first",
    "it must be clear whether the image numbered 1 is frame 0 or frame 1: number images from 0",
    fixed="frame found by the number in its image's name",
)
_NUMBER_RULE = "there must be an image for each frame: images called otherwise are counted"
_FOLDER_RULE = "images of several tasks must lie in folders called like the tasks"
_FRAME_NAME = re.compile(r"(?:.*/)?frame[_-]?0*(\d{1,9})\.\w+", re.IGNORECASE)
_WITH_AREA = ("box", "polygon", "ellipse", "mask", "cuboid")
# About nine hours of video.
_MOST_FRAMES = 10**6


@dataclasses.dataclass(frozen=True)
class Key:
    """A shape of a track as the file gives it; ``is_outside`` ends the track for a while."""

    frame: int
    element: Element
    label: str
    line: int
    is_outside: bool


def read_track(
    track: Element, lines: dict[Element, int], path: str, reading: DatasetReading
) -> list[Key]:
    """The shapes of a track by frame.

    Args:
        track: the element.
        lines: of all elements in the file.
        path: the file.
        reading: receives the problems.
    """
    keys = []
    for element in track:
        if element.tag == "attribute":
            continue
        frame = to_number(element.get("frame"))
        if frame is None or not 0 <= frame < 10**9 or frame % 1:
            value = shown(element.get("frame"))
            reading.report(path, f"line {lines[element]}", _FRAME_RULE, value)
            continue
        is_outside = element.get("outside", "0").lower() in ("1", "true")
        label = element.get("label") or track.get("label") or ""
        keys.append(Key(int(frame), element, label, lines[element], is_outside))
    return sorted(keys, key=lambda key: key.frame)


def frame_listings(
    root: Element,
    tracks: Mapping[str, Sequence[Sequence[Key]]],
    spec: DatasetSpec,
    reading: DatasetReading,
) -> list[Listing]:
    """The frames as images, each with the keys of its shapes.

    Args:
        root: of the file.
        tracks: as :func:`read_track` gives them, by the id of their task, "" where there is one.
        spec: the dataset.
        reading: receives the problems.
    """
    listings = []
    for task, keys in tracks.items():
        meta = _meta(root, task)
        below = "" if len(tracks) == 1 else _task_folder(meta, task, spec, reading)
        if below is None:
            continue
        used = sorted({key.frame for track in keys for key in track if not key.is_outside})
        names = _frame_names(meta, below, used, spec, reading)
        if names is None:
            continue
        shapes: dict[int, list[Key]] = defaultdict(list)
        frames = sorted(names)
        for track in keys:
            for key in _in_all_frames(track, frames, spec.annotations, reading):
                shapes[key.frame].append(key)
        size = whole_size(
            meta.findtext("original_size/width"), meta.findtext("original_size/height")
        )
        for frame in sorted(names.keys() | shapes.keys()):
            place = (spec.annotations, f"frame {frame}")
            if frame in names:
                listings.append(Listing([names[frame]], size, place, shapes.get(frame, [])))
            else:
                reading.report(*place, IMAGE_EXISTS, f"none of {len(names)} images is this frame")
    return listings


def _meta(root: Element, task: str) -> Element:
    """What the file says of a task: its size, its first frame."""
    for found in (*root.iterfind("meta/project/tasks/task"), *root.iterfind("meta/task")):
        if not task or found.findtext("id") == task:
            return found
    found_job = root.find("meta/job")
    return Element("task") if found_job is None else found_job


def _task_folder(
    meta: Element, task: str, spec: DatasetSpec, reading: DatasetReading
) -> str | None:
    names = [name for name in (meta.findtext("name"), task) if name and ".." not in name]
    for name in names:
        if not spec.images or os.path.isdir(os.path.join(spec.images, name)):
            return name
    reading.report(spec.annotations, f"task {task}", _FOLDER_RULE, f"no folder {shown(names)}")
    return None


def _whole(text: str | None) -> int | None:
    number = to_number(text)
    return int(number) if number is not None and 0 <= number < 10**9 and not number % 1 else None


def _frame_names(
    meta: Element, below: str, used: list[int], spec: DatasetSpec, reading: DatasetReading
) -> dict[int, str] | None:
    """Names below the folder of images by frame; None after reporting that they are unclear."""
    count, start = _whole(meta.findtext("size")), _whole(meta.findtext("start_frame")) or 0
    found_step = re.fullmatch(r"step=(\d{1,6})", (meta.findtext("frame_filter") or "").strip())
    step = max(int(found_step[1]), 1) if found_step else 1
    if not spec.images:
        is_known = count is not None and count <= _MOST_FRAMES
        frames = range(start, start + (count or 0) * step, step) if is_known else used
        for frame in used:
            reading.report(spec.annotations, f"frame {frame}", _NAMED_RULE, f"frame {frame}")
        return {frame: os.path.join(below, f"frame_{frame:06d}.PNG") for frame in frames}
    images = [
        slashed(os.path.join(below, name)) for name in list_images(os.path.join(spec.images, below))
    ]
    matches = [_FRAME_NAME.fullmatch(name) for name in images]
    numbers = [int(match[1]) for match in matches if match]
    if len(set(numbers)) == len(images) and numbers:
        named = dict(zip(numbers, images, strict=True))
        if min(named) != start + 1 or (count is not None and count != len(images)):
            return named
        if count is None:
            value = f"images from {shown(named[min(named)])}"
            action = reading.report(spec.images, "names of images", _FIRST_RULE, value)
            return named if action == FIX else None
    last = used[-1] if used else start
    if len(images) != count if count is not None else (last - start) // step >= len(images):
        value = f"{len(images)} images for {count if count is not None else 'at least'} frames, "
        reading.report(spec.images, "names of images", _NUMBER_RULE, f"{value}the last is {last}")
        return None
    named = {start + place * step: name for place, name in enumerate(images)}
    for frame in used:
        if frame in named:
            value = f"frame {frame} is {shown(named[frame])}"
            reading.report(spec.annotations, f"frame {frame}", _ORDER_RULE, value)
    return named


def _in_all_frames(
    track: Sequence[Key], frames: Sequence[int], path: str, reading: DatasetReading
) -> Iterator[Key]:
    """The shapes of a track in each frame between the first and the last that the file gives.

    Args:
        track: shapes by frame.
        frames: all frames of which there is an image, ascending.
        path: the file.
        reading: receives the problems.
    """
    for key, after in itertools.zip_longest(track, track[1:]):
        if key.is_outside or key.element.tag not in _WITH_AREA:
            if not key.is_outside:
                yield key  # to be reported as a shape without an area
            continue
        yield key
        place = (path, f"line {key.line}")
        # Places in the list of frames, not parts of it: tracks of a long film have many keys.
        first = bisect.bisect_right(frames, key.frame)
        if after is None:
            if first < len(frames):
                value = f"frame {key.frame} of {frames[-1]}"
                reading.report(*place, _OPEN_RULE, value)
            continue
        last = bisect.bisect_left(frames, after.frame)
        if first >= last:
            continue
        value = f"frames {key.frame} and {after.frame}"
        if key.element.tag != "box" or after.element.tag != "box":
            reading.report(*place, _GAP_RULE, value)
            continue
        for frame in frames[first:last]:
            if reading.report(*place, _BETWEEN_RULE, f"frame {frame} between {value}") == FIX:
                share = (frame - key.frame) / (after.frame - key.frame)
                element = _between(key.element, after.element, share)
                yield dataclasses.replace(key, frame=frame, element=element)


def _between(first: Element, second: Element, share: float) -> Element:
    """A box between two others; turned by the shorter way, as CVAT does."""
    found = Element("box", dict(first.attrib))
    found.extend(first)
    for name in (*CORNERS, "rotation"):
        start, end = to_number(first.get(name, "0")), to_number(second.get(name, "0"))
        if start is None or end is None:
            continue  # the box that has no number is reported
        change = end - start
        if name == "rotation":
            change = (change + 180) % 360 - 180
        found.set(name, repr(start + share * change))
    return found
