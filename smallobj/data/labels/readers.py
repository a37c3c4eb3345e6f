"""The readers of labels by the name of their format."""

from __future__ import annotations

from collections.abc import Callable

from smallobj.data.labels.challenge import read_challenge
from smallobj.data.labels.coco import read_coco
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import RULES
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.yolo import read_yolo

READERS: dict[str, Callable[[DatasetSpec, Policy], DatasetReading]] = {
    "challenge": read_challenge,
    "coco": read_coco,
    "yolo": read_yolo,
}


def read_labels(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads a data set: its good records, the problems that are errors, what was fixed or dropped.

    Args:
        spec: where it lies; its format is a key of ``READERS``.
        policy: what is done about broken rules.
    """
    reading = READERS[spec.format](spec, policy)
    reading.merge_duplicates()
    return reading


__all__ = ["READERS", "RULES", "read_labels"]
