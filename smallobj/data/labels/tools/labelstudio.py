"""Label Studio's JSON: a list of tasks, of which each is an image; also its flat form, JSON-MIN.

Source: https://labelstud.io/guide/export
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from smallobj.data.labels.image_lookup import PATH_MAPPED, unslashed, without_upload_digits
from smallobj.data.labels.listed_images import UNLABELLED, ListedImages, Listing
from smallobj.data.labels.named_classes import NamedClasses
from smallobj.data.labels.objects import add_object, whole_size
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import shown
from smallobj.data.labels.reading import DatasetReading, read_json
from smallobj.data.labels.rules import DROP, FIX, rule
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.told_size import UNKNOWN_SIZE
from smallobj.data.labels.tools.labelstudio_regions import region_outline, regions_of
from smallobj.image_paths import is_image_name

_FILE_RULE = "the file must be a JSON list of tasks"
_TASK_RULE = rule(
    "labelstudio-task",
    "a task must be an object with one image in its data, and a list of annotations",
    dropped="image",
)
_SKIPPED_RULE = rule(
    "labelstudio-skipped", "a task must not be skipped", DROP, dropped="image of a skipped task"
)
_SEVERAL_RULE = rule(
    "labelstudio-annotations",
    "a task must have one annotation",
    FIX,
    fixed="annotation beside the first passed over",
    dropped="image",
)
_PREDICTIONS_RULE = rule(
    "labelstudio-predictions",
    "predictions are no labels",
    FIX,
    fixed="predictions of a task passed over",
    dropped="image",
)


def read_labelstudio(
    spec: DatasetSpec, policy: Policy = DEFAULT_POLICY, class_names: Sequence[str] = ()
) -> DatasetReading:
    """Labels of the tasks: of each the first annotation that was not cancelled.

    Args:
        spec: the dataset; its folder of images may be "".
        policy: what is done about broken rules.
        class_names: where they are known without a file.
    """
    reading = DatasetReading(policy=policy)
    classes = NamedClasses(spec, reading, class_names)
    content = read_json(spec.annotations, reading)
    if not reading.has_folder(spec.images, "image folder"):
        return reading
    if content is None:
        return reading
    tasks = [content] if isinstance(content, dict) else content
    if not isinstance(tasks, list):
        reading.report(spec.annotations, "whole file", _FILE_RULE, shown(content))
        return reading
    listings = []
    for number, task in enumerate(tasks):
        listing = _listing(task, number, spec, reading)
        if listing is not None:
            listings.append(listing)
    images = ListedImages(spec.images, reading)
    for image, listing in images.add(listings):
        results, where = listing.content
        for region, label, place in regions_of(results, (spec.annotations, where), reading):
            if image.size is None:
                reading.report(*place, UNKNOWN_SIZE, "no original_width and original_height")
                continue
            outline = region_outline(region, image.size, place, reading)
            # A class of which no shape is read is none of objects.
            if outline is not None:
                index = classes.index(label, place)
                add_object(reading, image, place, index, outline)
    images.finish(in_order_of_names=False)
    classes.sort()
    return reading


def _listing(task: Any, number: int, spec: DatasetSpec, reading: DatasetReading) -> Listing | None:
    """What a task says of its image, None after reporting why there is nothing to read."""
    where = f"[{number}]"
    is_flat = isinstance(task, dict) and "data" not in task and "annotations" not in task
    data = task if is_flat else task.get("data") if isinstance(task, dict) else None
    name = _image_of(data)
    if isinstance(task, dict) and "id" in task:
        where += f" (task {shown(task['id'])})"
    place = (spec.annotations, where)
    if name is None or not isinstance(data, dict):
        reading.report(*place, _TASK_RULE, shown(task))
        return None
    found = (_flat_results(task), where) if is_flat else _results(task, place, reading)
    if found is None:
        return None
    sizes = [
        whole_size(one.get("original_width"), one.get("original_height"))
        for one in found[0]
        if isinstance(one, dict)
    ]
    size = next((size for size in sizes if size is not None), None)
    names = _names(name, place, spec, reading)
    return Listing(names, size, place, found, is_relative=True)


def _image_of(data: Any) -> str | None:
    """The image that a task names, under whatever key."""
    if not isinstance(data, dict):
        return None
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    if "image" in texts:
        return texts["image"]
    images = [value for value in texts.values() if is_image_name(_without_query(value))]
    return images[0] if len(images) == 1 else None


def _without_query(name: str) -> str:
    """The name without what signs it for a cloud storage; "?d=" is before a local path."""
    return name if "?d=" in name else name.split("?")[0] if "://" in name else name


def _results(
    task: dict[str, Any], place: tuple[str, str], reading: DatasetReading
) -> tuple[list[Any], str] | None:
    """The results that count and where they stand; None after reporting that none do."""
    annotations = task.get("annotations", task.get("completions"))
    annotations = [] if annotations is None else annotations
    good = isinstance(annotations, list) and all(
        isinstance(one, dict) and isinstance(one.get("result"), list) for one in annotations
    )
    if not good:
        reading.report(*place, _TASK_RULE, shown(annotations))
        return None
    if task.get("predictions"):
        value = f"{len(task['predictions'])} predictions"
        if reading.report(*place, _PREDICTIONS_RULE, value) != FIX:
            return None
    kept = [n for n, one in enumerate(annotations) if not one.get("was_cancelled")]
    if annotations and not kept:
        reading.report(*place, _SKIPPED_RULE, f"{len(annotations)} cancelled annotations")
        return None
    if not kept:
        is_kept = reading.report(*place, UNLABELLED, "no annotation") == FIX
        return ([], place[1]) if is_kept else None
    for other in kept[1:]:
        value = f"annotation {other + 1} of {len(annotations)}"
        if reading.report(*place, _SEVERAL_RULE, value) != FIX:
            return None
    return annotations[kept[0]]["result"], f"{place[1]}.annotations[{kept[0]}].result"


def _flat_results(task: dict[str, Any]) -> list[Any]:
    """The regions of a JSON-MIN task, as its full form has them."""
    results = []
    for value in task.values():
        for one in value if isinstance(value, list) else ():
            kinds = [key for key in one if key.endswith("labels")] if isinstance(one, dict) else []
            if kinds:
                results.append({**one, "type": kinds[0], "value": one})
    return results


def _names(
    name: str, place: tuple[str, str], spec: DatasetSpec, reading: DatasetReading
) -> list[str]:
    """What the image may be called below the folder of images, best first."""
    name = _without_query(name)
    if spec.images:
        return [name]
    plain = unquote(unslashed(name))
    if "upload/" in plain:
        plain = without_upload_digits(os.path.basename(plain))
    if plain != name:
        reading.report(*place, PATH_MAPPED, f"{name!r} for {plain!r}")
    return [plain]
