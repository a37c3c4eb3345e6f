"""The classes of a config, which those of its weights and its datasets must agree with, by name."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from detectron2.config import CfgNode

from smallobj.class_names import (
    NamedClasses,
    counted,
    differing_classes,
    listed,
    same_classes,
)
from smallobj.data.datasets.class_order import show_classes
from smallobj.data.datasets.register import own_class_names, read_dataset, registered_spec

_KEY = "MODEL.CLASS_NAMES"
COMMON_KEY = "TEST.COMMON_CLASSES_ONLY"
_logger = logging.getLogger(__name__)


def resolve_num_classes(
    cfg: CfgNode, names: Sequence[str] | None = None, weights: NamedClasses | None = None
) -> CfgNode:
    """Sets the config's classes, and shows the classes of the datasets in the same order.

    The order is that of the weights where they name their classes, else of MODEL.CLASS_NAMES, else
    of the first dataset. MODEL.*.NUM_CLASSES and MODEL.CLASS_NAMES are set. The config is changed
    in place and returned; where no classes are known, nothing changes.

    Args:
        cfg: the config; the datasets in DATASETS.TRAIN and TEST must have the same classes, in any
            order. With TEST.COMMON_CLASSES_ONLY those that aren't trained on may have others, too.
        names: datasets to use instead.
        weights: classes of the weights that are evaluated, or whose training is resumed.

    Raises:
        ValueError: the classes of weights, config and datasets differ, of which the message lists
            the names; or the number of classes in the config is another one.
    """
    if names is None:
        names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    model = _model_classes(cfg, names, weights)
    if not model.names:
        return cfg
    for name in names:
        _agree(cfg, name, model, _way_on(cfg, weights))
    was_frozen = cfg.is_frozen()
    cfg.defrost()
    try:
        _set_numbers(cfg, model)
        cfg.MODEL.CLASS_NAMES = list(model.names)
    finally:
        if was_frozen:
            cfg.freeze()
    return cfg


def adopt_class_names(cfg: CfgNode, weights: NamedClasses) -> None:
    """Sets MODEL.CLASS_NAMES to the names in weights, if they have any.

    Raises:
        ValueError: the config names other classes.
    """
    if weights.names:
        cfg.MODEL.CLASS_NAMES = list(_model_classes(cfg, (), weights).names)


def _model_classes(
    cfg: CfgNode, names: Sequence[str], weights: NamedClasses | None
) -> NamedClasses:
    configured = NamedClasses(list(cfg.MODEL.CLASS_NAMES), _KEY)
    if weights is not None and weights.names:
        if configured.names and not same_classes(configured.names, weights.names):
            raise ValueError(
                f"{_KEY} in the config names other classes than {weights.source}: "
                f"{differing_classes(configured, weights)}. Give the config of these weights, or "
                f"empty {_KEY}"
            )
        if configured.names and configured.names != weights.names:
            text = "%s names its classes in another order than the config's %s; its own counts"
            _logger.warning(text, weights.source, _KEY)
        return weights
    if configured.names or not names:
        return configured
    return _of_dataset(names[0])


def _agree(cfg: CfgNode, name: str, model: NamedClasses, way_on: str) -> None:
    """Shows a dataset's classes as the model has them, or refuses them."""
    data = _of_dataset(name)
    is_tested = name not in cfg.DATASETS.TRAIN
    if not data.names:
        text = "%s doesn't name its classes: they are taken to be those of %s, in their order"
        _logger.warning(text, data.described, model.described)
    elif same_classes(model.names, data.names):
        if model.names != data.names:
            text = "%s lists its classes in another order than %s: they are matched by name"
            _logger.warning(text, data.described, model.described)
        show_classes(name, model.names)
    elif _has_only_occurring(name) and set(data.names) <= set(model.names):
        text = "%s doesn't list its classes; those in its labels are matched with %s by name"
        _logger.warning(text, data.described, model.described)
        show_classes(name, model.names)
    elif is_tested and cfg.MODEL.META_ARCHITECTURE == "FocusNet":
        pass  # it finds objects of any class
    elif is_tested and cfg.TEST.COMMON_CLASSES_ONLY:
        show_classes(name, _common(model, data))
    else:
        if is_tested:
            way_on = f"To evaluate the classes that both have, set {COMMON_KEY} True"
        raise ValueError(
            f"{data.described} has other classes than {model.described}: "
            f"{differing_classes(model, data)}. {way_on}"
        )


def _common(model: NamedClasses, data: NamedClasses) -> list[str]:
    common = [name for name in model.names if name in set(data.names)]
    if not common:
        raise ValueError(
            f"{COMMON_KEY} needs a class that both {model.source} and {data.source} have; "
            + differing_classes(model, data)
        )
    _logger.warning(
        "%s: evaluated on %s that both have; %s",
        *(data.described, counted(len(common)), differing_classes(model, data)),
    )
    return common


def _way_on(cfg: CfgNode, weights: NamedClasses | None) -> str:
    """What to do where a dataset that is trained on has other classes."""
    if weights is not None and weights.names:
        return (
            "A training goes on with its own classes; for others start a new one from its weights"
        )
    if cfg.MODEL.CLASS_NAMES:
        return f"To train on the dataset's classes, empty {_KEY}"
    return "Datasets used together must have the same classes"


def _set_numbers(cfg: CfgNode, model: NamedClasses) -> None:
    count = len(model.names)
    for key in ("ROI_HEADS", "RETINANET"):
        number = cfg.MODEL[key].NUM_CLASSES
        if number not in (0, count):
            raise ValueError(
                f"the number of classes differs: MODEL.{key}.NUM_CLASSES in the config is "
                f"{number}, {model.described} has {count} ({listed(model.names)}). "
                f"Leave MODEL.{key}.NUM_CLASSES at 0 to take it from the data."
            )
        cfg.MODEL[key].NUM_CLASSES = count


def _of_dataset(name: str) -> NamedClasses:
    spec = registered_spec(name)
    file = (spec.classes or spec.annotations) if spec else ""
    return NamedClasses(own_class_names(name), f"dataset {name}", file)


def _has_only_occurring(name: str) -> bool:
    """Whether a dataset's classes are those that its labels name, for lack of a list."""
    return registered_spec(name) is not None and read_dataset(name).only_occurring
