"""The ``annotations`` of a COCO file: boxes, classes, masks, crowds."""

from __future__ import annotations

from typing import Any

from smallobj.data.labels.coco_json.coco_images import CocoImage
from smallobj.data.labels.coco_json.ids import Ids
from smallobj.data.labels.objects import to_number
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import FIX, KNOWN_CLASS, is_number, rule, to_float
from smallobj.data.labels.segmentations import mask_box, read_segmentation, scaled
from smallobj.data.labels.spec import DatasetSpec

_ANNOTATION_RULE = rule(
    "coco-annotation",
    "an annotation must be an object with image_id and category_id",
    dropped="box",
)
_KNOWN_IMAGE = rule("label-without-entry", "image_id must be the id of an image", dropped="box")
_ID_TWICE = rule(
    "annotation-id-twice",
    "an annotation's id may occur once",
    FIX,
    fixed="label kept, its id is not used",
    dropped="box",
)
_BOX_RULE = rule("coco-bbox", "bbox must be a list of four numbers, x, y, w, h", dropped="box")
_BOX_TEXT = rule(
    "coco-bbox-text",
    "bbox must hold numbers, not texts",
    FIX,
    fixed="bbox read from texts",
    dropped="box",
)
_NO_BOX = rule(
    "coco-bbox-missing",
    "a label must have a bbox",
    FIX,
    fixed="box taken from the mask",
    dropped="box",
)
_CROWD_NULL = rule(
    "crowd-null", "iscrowd must not be null", FIX, fixed="iscrowd read as 0", dropped="box"
)
_CROWD_RULE = rule("crowd-flag", "iscrowd must be 0 or 1", fixed="iscrowd read as 0", dropped="box")


def read_annotations(
    entries: list[Any],
    images: dict[int | str, CocoImage],
    ids: tuple[Ids, Ids],
    spec: DatasetSpec,
    reading: DatasetReading,
) -> None:
    """Adds the good annotations to the records of their images.

    Args:
        entries: the list ``annotations``.
        images: by id.
        ids: of the images and of the categories.
        spec: the data set.
        reading: receives problems; has the classes.
    """
    image_ids, category_ids = ids
    seen: set[Any] = set()
    for number, entry in enumerate(entries):
        where = f"annotations[{number}]"
        image_id = image_ids.of(entry.get("image_id")) if isinstance(entry, dict) else None
        category_id = category_ids.of(entry.get("category_id")) if image_id is not None else None
        if image_id is None or category_id is None:
            reading.report(spec.annotations, where, _ANNOTATION_RULE, shown(entry))
            continue
        identity = entry.get("id")
        if isinstance(identity, int | str):
            where += f" (id {identity})"
            if identity in seen:
                twice = f"id {shown(identity)} again"
                if reading.report(spec.annotations, where, _ID_TWICE, twice) != FIX:
                    continue
            seen.add(identity)
        if image_id not in images:
            reading.report(spec.annotations, where, _KNOWN_IMAGE, shown(image_id))
            continue
        image = images[image_id]
        annotation = _read_annotation(entry, category_id, where, image, spec, reading)
        if annotation is not None and image.record is not None:
            image.record["annotations"].append(annotation)


def _read_annotation(
    entry: dict[str, Any],
    category_id: Any,
    where: str,
    image: CocoImage,
    spec: DatasetSpec,
    reading: DatasetReading,
) -> dict[str, Any] | None:
    # No early return where a box is bad: all rules that it breaks are reported.
    crowd = _crowd(entry, where, spec, reading)
    record = image.record
    size = (record["height"], record["width"]) if record is not None else None
    segmentation = entry.get("segmentation")
    mask, is_bad = None, False
    # An image that cannot be read has been reported already.
    if size is not None and segmentation is not None:
        mask, broken = read_segmentation(scaled(segmentation, image.scale), size)
        is_bad = broken is not None and reading.report(spec.annotations, where, *broken) != FIX
    box = _box(entry, mask, image, where, spec, reading)
    index = reading.class_ids.get(category_id)
    if index is None and reading.class_ids:
        value = f"{shown(category_id)}; known are {shown(sorted(reading.class_ids))}"
        reading.report(spec.annotations, where, KNOWN_CLASS, value)
    good = reading.box(spec.annotations, where, box, size) if box is not None else None
    if index is None or good is None or is_bad or crowd is None:
        return None
    annotation = reading.make_annotation(good, index, crowd)
    if mask:
        annotation["segmentation"] = mask
    area: Any = entry.get("area")
    # The area of the box that was clipped is another one; that of a mask stays.
    if is_number(area) and 0 <= to_float(area) < float("inf") and (mask or good == box):
        across, down = image.scale
        annotation["area"] = to_float(area) * across * down  # COCO's size ranges use it
    return annotation


def _crowd(entry: dict[str, Any], where: str, spec: DatasetSpec, reading: DatasetReading) -> Any:
    """0 or 1; None if the label is left out."""
    crowd = entry.get("iscrowd", 0)
    if crowd in (0, 1):
        return int(crowd)
    broken = _CROWD_NULL if crowd is None else _CROWD_RULE
    return 0 if reading.report(spec.annotations, where, broken, shown(crowd)) == FIX else None


def _box(
    entry: dict[str, Any],
    mask: Any,
    image: CocoImage,
    where: str,
    spec: DatasetSpec,
    reading: DatasetReading,
) -> list[float] | None:
    """(x, y, w, h) in pixels of the image; None if the label is left out."""
    box = entry.get("bbox")
    if not box and mask:
        fixed = reading.report(spec.annotations, where, _NO_BOX, shown(box)) == FIX
        return mask_box(mask) if fixed else None
    if not (isinstance(box, list) and len(box) == 4):
        reading.report(spec.annotations, where, _BOX_RULE, shown(box))
        return None
    if any(isinstance(value, str) for value in box):
        texts = box
        box = [to_number(value) if isinstance(value, str) else value for value in box]
        if None in box:
            reading.report(spec.annotations, where, _BOX_RULE, shown(texts))
            return None
        if reading.report(spec.annotations, where, _BOX_TEXT, shown(texts)) != FIX:
            return None
    if not all(map(is_number, box)):
        reading.report(spec.annotations, where, _BOX_RULE, shown(box))
        return None
    across, down = image.scale
    x, y, w, h = map(to_float, box)
    return [x * across, y * down, w * across, h * down]
