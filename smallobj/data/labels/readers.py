"""The readers of labels by the name of their format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smallobj.data.labels.coco_json.coco import read_coco
from smallobj.data.labels.coco_json.roboflow import read_roboflow, roboflow_splits
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import DatasetError, ProblemLog, shown
from smallobj.data.labels.public_sets.aitod import read_aitod
from smallobj.data.labels.public_sets.challenge import read_challenge
from smallobj.data.labels.public_sets.dota import read_dota
from smallobj.data.labels.public_sets.soda import read_soda
from smallobj.data.labels.public_sets.visdrone import read_visdrone
from smallobj.data.labels.public_sets.voc import read_voc
from smallobj.data.labels.public_sets.xview import read_xview
from smallobj.data.labels.reading import DatasetReading
from smallobj.data.labels.rules import RULES
from smallobj.data.labels.spec import DatasetSpec
from smallobj.data.labels.tables.csv_table import read_csv
from smallobj.data.labels.tools.cvat import read_cvat
from smallobj.data.labels.tools.labelme import read_labelme
from smallobj.data.labels.tools.labelstudio import read_labelstudio
from smallobj.data.labels.yolo_txt.ultralytics import read_ultralytics, ultralytics_splits
from smallobj.data.labels.yolo_txt.yolo import read_yolo

# Names of the datasets in one place, for the formats that have several there.
SPLITS: dict[str, Callable[[str, ProblemLog], list[str]]] = {
    "roboflow": roboflow_splits,
    "ultralytics": ultralytics_splits,
}
READERS: dict[str, Callable[[DatasetSpec, Policy], DatasetReading]] = {
    "aitod": read_aitod,
    "challenge": read_challenge,
    "coco": read_coco,
    "csv": read_csv,
    "cvat": read_cvat,
    "dota": read_dota,
    "labelme": read_labelme,
    "labelstudio": read_labelstudio,
    "roboflow": read_roboflow,
    "soda": read_soda,
    "ultralytics": read_ultralytics,
    "visdrone": read_visdrone,
    "voc": read_voc,
    "xview": read_xview,
    "yolo": read_yolo,
}


def expand(spec: DatasetSpec) -> list[DatasetSpec]:
    """The datasets that a spec stands for: NAME_train, NAME_val, ... where a place holds several.

    Raises:
        DatasetError: the place cannot be read, or has no such split.
    """
    find = SPLITS.get(spec.format)
    if find is None:
        return [spec]
    log = ProblemLog()
    found = find(spec.annotations, log)
    if not log.problems and spec.split and spec.split not in found:
        log.report(spec.annotations, "splits", f"there are {found}", shown(spec.split))
    if log.problems:
        raise DatasetError(log.problems)
    if spec.split or found == [""]:
        return [spec]
    return [replace(spec, name=f"{spec.name}_{split}", split=split) for split in found]


def read_labels(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads a data set: its good records, the problems that are errors, what was fixed or dropped.

    Args:
        spec: where it lies; its format is a key of ``READERS``.
        policy: what is done about broken rules.
    """
    if spec.format not in READERS:
        raise ValueError(f"format {spec.format!r} has no reader; known are {', '.join(READERS)}")
    reading = READERS[spec.format](spec, policy)
    reading.merge_duplicates()
    return reading


__all__ = ["READERS", "RULES", "read_labels"]
