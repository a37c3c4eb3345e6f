"""What a user may say about a file of results that does not tell it by itself."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class ResultsOptions:
    """How a file of results is to be understood.

    Attributes:
        image_ids: what ``image_id`` of COCO results is: "id", an id of the labels; "name", the name
            of an image file; "" decides by what fits.
        category_ids: what ``category_id`` of COCO results is: "id", an id of the labels; "0" or
            "1", a number of the class, from there on; "" decides by what fits.
        classes: file with the class names of YOLO results; "" takes classes.txt beside them, else
            the data set's classes in their order.
        drop_unknown_images: leave out results of images that the data set does not have.
    """

    image_ids: str = ""
    category_ids: str = ""
    classes: str = ""
    drop_unknown_images: bool = False

    @property
    def rules(self) -> list[str]:
        """What is done about results that break a rule, as ``Policy.of`` takes it."""
        return ["result-of-unknown-image=drop"] if self.drop_unknown_images else []

    @classmethod
    def of(cls, args: argparse.Namespace) -> ResultsOptions:
        """Reads the options from parsed arguments; a command may do without ``--classes``."""
        classes = getattr(args, "classes", "")
        return cls(args.image_ids, args.category_ids, classes, args.drop_unknown_images)
