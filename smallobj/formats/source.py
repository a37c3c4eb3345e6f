"""Where labels or detections are read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.spec import DatasetSpec
from smallobj.formats.detections.results_options import ResultsOptions


@dataclasses.dataclass(frozen=True)
class Source:
    """Where labels or detections are read from.

    Attributes:
        path: the file, or the folder of label files.
        images: folder of the images; "" where it isn't needed. It gives the sizes, and images
            without boxes where the format leaves them out.
        classes: file with the class names; "" where they come from the format or the boxes.
        coco_images: COCO annotation file that says what the ids in COCO results mean.
        class_names: the class names themselves, where they are known without a file.
        policy: what is done about broken rules.
        split: which of several data sets in one place, such as "train".
        columns: what the columns of a table hold, such as "file=NAME,x1=NAME".
        results: how COCO results are to be understood.
    """

    path: str
    images: str = ""
    classes: str = ""
    coco_images: str = ""
    class_names: Sequence[str] = ()
    policy: Policy = DEFAULT_POLICY
    split: str = ""
    columns: str = ""
    results: ResultsOptions = dataclasses.field(default_factory=ResultsOptions)

    def dataset(self, name: str) -> DatasetSpec:
        """The same as a data set of the format ``name``."""
        path = self.path
        if self.columns:
            path += "?" + self.columns.replace(",", "&")
        return DatasetSpec("", name, path, self.images, self.classes, self.split)
