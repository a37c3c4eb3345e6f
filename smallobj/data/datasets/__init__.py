"""Datasets in three formats: reading, checking and registering them for Detectron2."""

from smallobj.data.datasets.checks import (
    DatasetCounts,
    check_datasets,
    load_checked,
)
from smallobj.data.datasets.class_agreement import adopt_class_names, resolve_num_classes
from smallobj.data.datasets.frequencies import class_frequencies, resolve_class_frequencies
from smallobj.data.datasets.register import (
    class_names,
    register_builtin,
    register_dataset,
    register_datasets,
    register_from_config,
    registered_spec,
    unregister_dataset,
)
from smallobj.data.labels.problems import DatasetError, Problem, count_by_rule, ways_on
from smallobj.data.labels.spec import DatasetSpec, datasets_root, parse_spec

__all__ = [
    "DatasetCounts",
    "DatasetError",
    "DatasetSpec",
    "Problem",
    "adopt_class_names",
    "check_datasets",
    "class_frequencies",
    "class_names",
    "count_by_rule",
    "datasets_root",
    "load_checked",
    "parse_spec",
    "register_builtin",
    "register_dataset",
    "register_datasets",
    "register_from_config",
    "registered_spec",
    "resolve_class_frequencies",
    "resolve_num_classes",
    "unregister_dataset",
    "ways_on",
]
