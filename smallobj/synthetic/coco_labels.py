"""Labels of a synthetic dataset as COCO JSON, with masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from smallobj.geometry.masks import coco_annotation, crop_rle
from smallobj.synthetic.scene import Label, Mask


def coco_content(
    shown: Iterable[tuple[str, Sequence[Label], Sequence[Mask]]],
    names: Sequence[str],
    size: tuple[int, int],
) -> dict[str, Any]:
    """COCO JSON with run-length masks. Category ids are class ids; other ids start at 1.

    Args:
        shown: file name, labels and masks of each image, in the form of ``Photograph``.
        names: class names; the index is the class id.
        size: (height, width) of all images, px.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for file, labels, masks in shown:
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": file, "width": size[1], "height": size[0]})
        for (category, x, y, _width, _height), mask in zip(labels, masks, strict=True):
            rle = crop_rle(mask, int(x), int(y), size)
            annotations.append(coco_annotation(len(annotations) + 1, image_id, category, rle))
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}
