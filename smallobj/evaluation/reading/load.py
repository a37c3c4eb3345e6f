"""Labels and results from files into an EvaluationSet.

Everything is ordered by image id, then as it stands in its file, so that equal scores rank as
pycocotools ranks them. Results may be JSON or any format of :mod:`smallobj.formats`.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Any, NamedTuple

from detectron2.data import DatasetCatalog, MetadataCatalog

from smallobj.data.datasets.checks import load_checked
from smallobj.data.datasets.register import class_names, register_dataset
from smallobj.data.labels.policy import DEFAULT_POLICY, Policy
from smallobj.data.labels.problems import DatasetError
from smallobj.data.labels.readers import read_labels as read_label_files
from smallobj.data.labels.spec import DatasetSpec
from smallobj.evaluation.reading.converted_results import format_of, read_converted
from smallobj.evaluation.reading.ground_truth import labelled_set
from smallobj.evaluation.reading.results_file import read_results
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet
from smallobj.formats.detections.results_options import ResultsOptions

_logger = logging.getLogger(__name__)

_WANTED = (
    "ground truth is a COCO file (.json), the name of a registered dataset, or "
    "NAME=FORMAT:LABELS:IMAGES"
)


class GroundTruth(NamedTuple):
    """A labelled data set.

    Attributes:
        data: its labels, without detections.
        category_ids: class by category id of its COCO results.
    """

    data: EvaluationSet
    category_ids: dict[int, int]


def load_evaluation_set(
    ground_truth: str,
    results: str,
    *,
    images: str = "",
    policy: Policy = DEFAULT_POLICY,
    options: ResultsOptions | None = None,
) -> EvaluationSet:
    """A data set with the detections of a results file.

    Args:
        ground_truth, images, policy: as in :func:`read_labels`.
        results, options: as in :func:`read_detections`.

    Raises:
        ValueError: as those two; a DatasetError or ResultsError lists all problems of a file.
    """
    truth = read_labels(ground_truth, images=images, policy=policy)
    return truth.data.with_detections(read_detections(results, truth, options))


def read_detections(
    path: str, truth: GroundTruth, options: ResultsOptions | None = None
) -> DetectionTable:
    """The detections of a file or folder; the format is detected by ending and content.

    Args:
        path: JSON as ``results_file.read_results`` reads it; or what
            :func:`smallobj.evaluation.reading.converted_results.format_of` knows.
        truth: what they are for.
        options: how the file is to be understood; None decides by what fits.

    Raises:
        ResultsError, DatasetError: all problems of the file.
        ValueError: an unknown format.
    """
    name = format_of(path)
    if name is None:
        return read_results(path, truth.data, truth.category_ids, options)
    return read_converted(name, path, truth.data, options)


def read_labels(
    ground_truth: str,
    *,
    images: str = "",
    policy: Policy = DEFAULT_POLICY,
    needs_labels: bool = True,
) -> GroundTruth:
    """The labels of a data set.

    Args:
        ground_truth: a COCO file (.json), the name of a registered dataset, or a dataset spec
            NAME=FORMAT:LABELS:IMAGES, which registers it.
        images: folder of a COCO file's images; "" takes the sizes from the file.
        policy: what is done about labels that break a rule.
        needs_labels: False takes a data set of which no image is labelled, too.

    Raises:
        ValueError: there is no such dataset, or no image of it is labelled.
        DatasetError: lists what is wrong with the labels.
    """
    # A dataset spec may end with a class file in .json, so "=" decides.
    if ground_truth.endswith(".json") and "=" not in ground_truth:
        return _read_coco_file(ground_truth, images, policy, needs_labels)
    if images:
        raise ValueError(f"a folder of images only goes with a COCO file; got {ground_truth!r}")
    name = ground_truth
    if "=" in ground_truth:
        name = register_dataset(ground_truth).name
    elif name not in DatasetCatalog.list():
        raise ValueError(f"unknown dataset {name!r}; {_WANTED}")
    load_checked([name], policy)
    records = DatasetCatalog.get(name)
    names = class_names(name)
    own = MetadataCatalog.get(name).get("thing_dataset_id_to_contiguous_id")
    # Without ids of its own a dataset's COCO results carry class numbers.
    ids = own or {index: index for index in range(len(names))}
    return _ground_truth(name, records, names, ids, needs_labels)


def _read_coco_file(path: str, images: str, policy: Policy, needs_labels: bool) -> GroundTruth:
    reading = read_label_files(DatasetSpec(os.path.basename(path), "coco", path, images), policy)
    if reading.problems:
        raise DatasetError(reading.problems)
    for line in reading.changes.lines():
        _logger.warning("%s: %s", path, line)
    found = reading.records, reading.class_names, reading.class_ids
    return _ground_truth(path, *found, needs_labels)


def _ground_truth(
    source: str,
    records: list[dict[str, Any]],
    names: list[str],
    ids: dict[int, int],
    needs_labels: bool,
) -> GroundTruth:
    if needs_labels and not any("annotations" in record for record in records):
        raise ValueError(f"{source} has no labels: nothing to evaluate")
    with suppress(TypeError):  # numbers beside names have no order
        records = sorted(records, key=lambda record: record["image_id"])
    return GroundTruth(labelled_set(records, names), ids)
