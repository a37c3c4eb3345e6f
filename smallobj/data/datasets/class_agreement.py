"""The classes of a config, which those of its datasets must agree with."""

from __future__ import annotations

from collections.abc import Sequence

from detectron2.config import CfgNode

from smallobj.data.datasets.register import class_names, registered_spec


def resolve_num_classes(cfg: CfgNode, names: Sequence[str] | None = None) -> CfgNode:
    """Sets a MODEL.*.NUM_CLASSES of 0 and an empty MODEL.CLASS_NAMES from the data.

    The config is changed in place and returned. Without datasets, the class names in the config are
    used instead; if there are none either, nothing changes.

    Args:
        cfg: the config; the datasets in DATASETS.TRAIN and TEST must have the same classes.
        names: datasets to use instead.

    Raises:
        ValueError: the number or the names of the classes in the config differ from those of the
            data, or the datasets differ from each other.
    """
    if names is None:
        names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    if names:
        classes = _common_class_names(names)
        source = _described(names[0])
    else:
        classes = list(cfg.MODEL.CLASS_NAMES)
        source = "MODEL.CLASS_NAMES"
    if not classes:
        return cfg
    configured = list(cfg.MODEL.CLASS_NAMES)
    if configured and configured != classes:
        raise ValueError(
            "the config's MODEL.CLASS_NAMES differs from the data: "
            + _first_difference("MODEL.CLASS_NAMES", configured, source, classes)
        )
    was_frozen = cfg.is_frozen()
    cfg.defrost()
    try:
        for key in ("ROI_HEADS", "RETINANET"):
            number = cfg.MODEL[key].NUM_CLASSES
            if number not in (0, len(classes)):
                raise ValueError(
                    f"the number of classes differs: MODEL.{key}.NUM_CLASSES in the config is "
                    f"{number}, {source} has {len(classes)} ({', '.join(classes)}). "
                    f"Leave MODEL.{key}.NUM_CLASSES at 0 to take it from the data."
                )
            cfg.MODEL[key].NUM_CLASSES = len(classes)
        cfg.MODEL.CLASS_NAMES = classes
    finally:
        if was_frozen:
            cfg.freeze()
    return cfg


def _described(name: str) -> str:
    spec = registered_spec(name)
    return f"dataset {name} ({spec.classes or spec.annotations})" if spec else f"dataset {name}"


def _common_class_names(names: Sequence[str]) -> list[str]:
    first = class_names(names[0])
    for name in names[1:]:
        other = class_names(name)
        if other != first:
            raise ValueError(
                "datasets used together must have the same classes in the same order: "
                + _first_difference(names[0], first, name, other)
            )
    return first


def _first_difference(place: str, names: list[str], other_place: str, others: list[str]) -> str:
    for index, (name, other) in enumerate(zip(names, others, strict=False)):
        if name != other:
            return f"class {index} is {name!r} in {place} and {other!r} in {other_place}"
    return f"{place} has {len(names)} classes, {other_place} has {len(others)}"
