"""Image and category ids of COCO results."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from smallobj.image_paths import path_parts


class CocoIds:
    """Image and category ids of COCO results: those of an annotation file, or else numbers from 1.

    Without a file, an image's id is its position among the inputs, from 1, and a category's id is
    the class index plus 1, since COCO's ids start at 1.

    >>> CocoIds().image_ids(["a.jpg", "b.jpg"])
    [1, 2]
    """

    def __init__(self, annotation_file: str | None = None) -> None:
        """
        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is not COCO JSON.
        """
        self.file = annotation_file
        self._images: list[tuple[tuple[str, ...], int]] = []
        self._categories: dict[str, int] = {}
        if annotation_file is None:
            return
        if not os.path.isfile(annotation_file):
            raise FileNotFoundError(f"{annotation_file}: no such COCO annotation file")
        try:
            with open(annotation_file, encoding="utf-8") as stream:
                content = json.load(stream)
            images = [
                (path_parts(str(entry["file_name"])), entry["id"]) for entry in content["images"]
            ]
            self._categories = {entry["name"]: entry["id"] for entry in content["categories"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{annotation_file}: must be COCO JSON with images (id, file_name) and categories "
                f"(id, name); got {type(error).__name__}: {error}"
            ) from error
        # Longest path first, so that a/1.jpg is preferred over 1.jpg.
        self._images = sorted(images, key=lambda image: -len(image[0]))

    def image_ids(self, paths: Sequence[str]) -> list[int]:
        """Ids of images by their paths.

        Raises:
            ValueError: an image is not in the annotation file.
        """
        if self.file is None:
            return list(range(1, len(paths) + 1))
        by_name: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for image in self._images:
            by_name.setdefault(image[0][-1], []).append(image)
        ids = []
        for path in paths:
            parts = path_parts(os.path.abspath(path))
            candidates = by_name.get(parts[-1], [])
            match = next((i for name, i in candidates if parts[-len(name) :] == name), None)
            if match is None:
                raise ValueError(f"{path}: {self.file} lists no image of this name")
            ids.append(match)
        return ids

    def category_ids(self, class_names: Sequence[str]) -> list[int]:
        """Ids of categories by class names.

        Raises:
            ValueError: a class is not in the annotation file.
        """
        if self.file is None:
            return list(range(1, len(class_names) + 1))
        missing = [name for name in class_names if name not in self._categories]
        if missing:
            raise ValueError(
                f"{self.file} has no category for the model's {', '.join(missing)}; "
                f"it has {', '.join(self._categories)}"
            )
        return [self._categories[name] for name in class_names]
