"""Roboflow's COCO export: a folder each for train, valid and test, labels beside the images."""

from __future__ import annotations

import dataclasses
import os

from smallobj.data.labels.coco_json.coco import read_coco
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import ProblemLog
from smallobj.data.labels.reading import MUST_EXIST, DatasetReading
from smallobj.data.labels.spec import DatasetSpec

LABELS = "_annotations.coco.json"
_SOME_LABELS = f"the folder, or folders in it, must hold {LABELS}"


def roboflow_splits(folder: str, log: ProblemLog) -> list[str]:
    """Names of the subfolders with labels, train first; [""] if the labels lie in the folder."""
    if not os.path.isdir(folder):
        log.report(folder, "export", MUST_EXIST, "no such folder")
        return []
    if os.path.isfile(os.path.join(folder, LABELS)):
        return [""]
    names = [
        name
        for name in sorted(os.listdir(folder))
        if os.path.isfile(os.path.join(folder, name, LABELS))
    ]
    if not names:
        log.report(folder, "export", _SOME_LABELS, "none")
    usual = {name: place for place, name in enumerate(("train", "valid", "val", "test"))}
    return sorted(names, key=lambda name: usual.get(name, len(usual)))


def read_roboflow(spec: DatasetSpec, policy: Policy = DEFAULT_POLICY) -> DatasetReading:
    """Reads one split; the root category that no label uses is left out, as in any COCO file."""
    folder = os.path.join(spec.annotations, spec.split)
    labels = os.path.join(folder, LABELS)
    place = dataclasses.replace(spec, format="coco", annotations=labels, images=folder)
    return read_coco(place, policy)
