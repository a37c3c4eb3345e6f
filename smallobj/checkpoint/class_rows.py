"""Class names in weight files, and tensors whose rows belong to classes, moved by these names."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from smallobj.class_names import (
    NamedClasses,
    counted,
    differing_classes,
    listed,
    names_alike,
    positions,
    same_classes,
)

# Key of the names in a checkpoint, and in the metadata of a .safetensors (there as JSON).
CLASS_NAMES_KEY = "class_names"
_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ClassRows:
    """How the first axis of a tensor is divided: in each group ``before``, K times ``each``, after.

    A group is an anchor's rows, or there is only one. YOLO's prediction, say, has for each prior
    five rows before the classes' own.
    """

    before: int = 0
    each: int = 1
    after: int = 0

    def per_group(self, classes: int) -> int:
        return self.before + classes * self.each + self.after

    def moved(
        self, source: torch.Tensor, target: torch.Tensor, index: Sequence[int], classes: int
    ) -> torch.Tensor | None:
        """The target with the rows of the classes that the source has, and those of no class.

        Args:
            source: tensor of a file, with ``classes`` classes.
            target: the model's tensor, which is left as it is.
            index: for each of the model's K classes its number in the source, -1 where it has none.
            classes: K of the source.

        Returns:
            A tensor of the target's shape; None if the source isn't divided in the same way.
        """
        groups, rest = divmod(len(target), self.per_group(len(index)))
        if rest or len(source) != groups * self.per_group(classes):
            return None
        if source.shape[1:] != target.shape[1:]:
            return None
        old = source.to(target).view(groups, self.per_group(classes), *target.shape[1:])
        new = target.clone().view(groups, self.per_group(len(index)), *target.shape[1:])
        new[:, : self.before] = old[:, : self.before]
        new[:, new.shape[1] - self.after :] = old[:, old.shape[1] - self.after :]
        for here, there in enumerate(index):
            if there >= 0:
                to, start = (self.before + k * self.each for k in (here, there))
                new[:, to : to + self.each] = old[:, start : start + self.each]
        return new.view_as(target)


@dataclasses.dataclass(frozen=True)
class ModelClasses:
    """What a model's classes are called, and where they lie in its tensors.

    Attributes:
        names: K names by class number; none where they aren't known.
        rows: division of each tensor that depends on classes, by its name in the state dict; None
            where it isn't known which tensors do.
    """

    names: tuple[str, ...] = ()
    rows: Mapping[str, ClassRows] | None = None


def classes_of(model: nn.Module | None) -> ModelClasses:
    """The classes of a model that ``build_model`` made; of another model nothing is known."""
    found = getattr(model, "classes", None)
    return found if isinstance(found, ModelClasses) else ModelClasses()


def names_entry(model: nn.Module) -> dict[str, list[str]]:
    """The entry of a checkpoint that names the model's classes; empty where they aren't known."""
    names = classes_of(model).names
    return {CLASS_NAMES_KEY: list(names)} if names else {}


def names_of(content: Mapping[str, Any], path: str) -> list[str]:
    """Class names in a checkpoint's content; [] where it has none, or none that can be used.

    Args:
        content: of the file; in a .safetensors' metadata the names are JSON.
        path: the file, for messages.
    """
    names = content.get(CLASS_NAMES_KEY)
    if isinstance(names, str):
        with contextlib.suppress(ValueError):
            names = json.loads(names)
    if names is None:
        return []
    good = isinstance(names, list | tuple) and all(isinstance(n, str) and n for n in names)
    if not good or len(set(names)) < len(names):
        _logger.warning(
            "%s: its %s are no list of distinct texts, and are not used", path, CLASS_NAMES_KEY
        )
        return []
    return list(names)


def move_classes(
    model: nn.Module, tensors: dict[str, torch.Tensor], names: Sequence[str], path: str
) -> None:
    """Moves the rows of a file's classes to where the model has the classes of these names.

    Rows of classes that the file doesn't know stay as the model has them. One sentence is logged.

    Args:
        model: as ``build_model`` makes it.
        tensors: of the file, by name; changed in place.
        names: the file's classes.
        path: the file, for messages.
    """
    here = classes_of(model)
    if not here.names or list(here.names) == list(names):
        return
    if here.rows is None:
        _logger.warning(
            "%s has other classes than the model, or in another order, and which tensors of a %s "
            "belong to classes is not known: they are taken as they are",
            *(path, type(model).__name__),
        )
        return
    own, index = model.state_dict(), positions(here.names, names)
    moved, unlike = [], []
    for name in sorted(set(here.rows) & set(tensors) & set(own)):
        new = here.rows[name].moved(tensors[name], own[name], index, len(names))
        if new is not None:
            tensors[name] = new
            moved.append(name)
        elif tensors[name].shape == own[name].shape:
            del tensors[name]  # equally long, but divided in another way
            unlike.append(name)
    if moved or unlike:
        _tell(path, here.names, names, unlike)


def _tell(path: str, names: Sequence[str], others: Sequence[str], unlike: Sequence[str]) -> None:
    new = [name for name in names if name not in set(others)]
    unused = [name for name in others if name not in set(names)]
    text = f"{path}: taken by name: {counted(len(names) - len(new))}"
    if new or unused:
        text += f"; new: {listed(new)}; not used: {listed(unused)}"
        alike = names_alike(new, unused)
        text += f" ({'; '.join(alike)})" if alike else ""
    else:
        text += ", which the file has in another order"
    if unlike:
        text += f"; left as they were, being divided in another way: {', '.join(unlike)}"
    _logger.info(text)


def check_classes(model: nn.Module, names: Sequence[str], path: str, same_order: bool) -> None:
    """Checks that a file's classes are the model's.

    Args:
        model: as ``build_model`` makes it; one without names fits any file.
        names: the file's classes; none fit any model.
        path: the file.
        same_order: the order counts, too.

    Raises:
        ValueError: the classes differ; the message lists how.
    """
    here = classes_of(model)
    if not names or not here.names or list(here.names) == list(names):
        return
    if not same_classes(here.names, names):
        difference = differing_classes(
            NamedClasses(list(here.names), "the model"), NamedClasses(list(names), path)
        )
        raise ValueError(f"{path}: these weights are of a model with other classes; {difference}")
    if same_order or here.rows is None:
        raise ValueError(
            f"{path}: the classes of these weights stand in another order than the model's; set "
            f"MODEL.CLASS_NAMES {list(names)}"
        )
