"""Detectron2's checkpointer that reads tensors and plain values only."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from detectron2.checkpoint import DetectionCheckpointer

from smallobj.checkpoint.class_rows import (
    check_classes,
    classes_of,
    move_classes,
    names_entry,
    names_of,
)
from smallobj.checkpoint.darknet import DARKNET_SUFFIX, read_darknet_weights
from smallobj.checkpoint.fit import Fit, some_of
from smallobj.checkpoint.reading import (
    BrokenFileError,
    check_weights_path,
    read_checkpoint,
)
from smallobj.checkpoint.run_checkpoints import (
    LAST_CHECKPOINT,
    find_last_checkpoint,
    list_checkpoints,
)
from smallobj.whole_file import whole_path, whole_text

_logger = logging.getLogger(__name__)


class SafeCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, restricted to tensors and plain values.

    Reads .pth and .pt (``torch.load(weights_only=True)``) and .safetensors from local disk, and
    Darknet's .weights for a YOLOv3. Saves the same as Detectron2's checkpointer, so training can
    resume from its own files, and the names of the model's classes. Where a file has such names,
    the rows of tensors that depend on classes go to the model's classes of the same names, and
    classes that the file doesn't know stay as they are.

    Args:
        parts: prefixes of tensor names, such as "backbone". Only tensors with one of these prefixes
            are loaded; () loads all. When ``resume_or_load`` resumes a training, all are loaded.
        others, named: arguments of Detectron2's checkpointer.
    """

    def __init__(self, *others: Any, parts: Sequence[str] = (), **named: Any) -> None:
        super().__init__(*others, **named)
        self.parts = tuple(parts)
        self._file = ""  # the last one read
        # What the model must share with a file that names its classes.
        self._need: Literal["nothing", "classes", "order"] = "nothing"

    def save(self, name: str, **kwargs: Any) -> None:
        """As in Detectron2; a file appears only when it is complete."""
        if not self.save_dir or not self.save_to_disk:
            return
        parts = {key: part.state_dict() for key, part in self.checkpointables.items()}
        path = os.path.join(self.save_dir, f"{name}.pth")
        self.logger.info(f"Saving checkpoint to {path}")
        state = {"model": self.model.state_dict(), **parts, **names_entry(self.model), **kwargs}
        with whole_path(path) as beside:
            torch.save(state, beside)
        self.tag_last_checkpoint(f"{name}.pth")

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Writes the name of the last checkpoint to last_checkpoint."""
        with whole_text(os.path.join(self.save_dir, LAST_CHECKPOINT)) as file:
            file.write(last_filename_basename)

    def has_checkpoint(self) -> bool:
        """Whether the folder has a checkpoint to resume from."""
        return bool(list_checkpoints(self.save_dir))

    def get_checkpoint_file(self) -> str:
        """As :func:`find_last_checkpoint` in the folder."""
        return find_last_checkpoint(self.save_dir)

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Loads the model and the checkpointables; an empty path loads nothing.

        Tensors that do not fit the model are counted and logged; with ``load_weights`` they are an
        error.

        Raises:
            FileNotFoundError: there is no such file.
            UnsafeFileError: the format or the content could run code.
            ValueError: the path is a web address, the file is broken, no tensor has a prefix in
                ``parts``, or none fits the model's backbone.
        """
        if path:
            check_weights_path(path)
        return super().load(path, checkpointables)

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """As in Detectron2; a training that resumes loads all tensors, whatever ``parts`` is.

        A broken checkpoint is left out with a warning, and the next older one resumed.

        Raises:
            ValueError: as ``load``; all checkpoints are broken; or a training resumes with other
                classes, or in another order, which the optimiser's state doesn't have.
        """
        if not (resume and self.get_checkpoint_file()):
            return super().resume_or_load(path, resume=False)
        whole = SafeCheckpointer(self.model, self.save_dir, **self.checkpointables)
        whole._need = "order"
        *files, last = list_checkpoints(self.save_dir)
        for file in files:
            try:
                return whole.load(file)
            except BrokenFileError as error:
                self.logger.warning(f"{error}; trying an older checkpoint")
        return whole.load(last)

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        """Tells in one sentence how the file fits.

        Raises:
            ValueError: no tensor of the backbone comes from the file.
        """
        fit = Fit.of(self.model.state_dict(), incompatible, self.parts)
        if not fit.has_backbone:
            raise ValueError(
                f"{self._file}: none of the model's backbone is in the file by name and shape, so "
                f"training would start from scratch: {fit}{fit.advice()}. For a training from "
                'scratch set MODEL.WEIGHTS ""'
            )
        if not fit.is_complete:
            _logger.warning("%s: %s", self._file, fit)

    def _load_file(self, filename: str) -> dict[str, Any]:
        self._file = filename
        if Path(filename).suffix.lower() == DARKNET_SUFFIX:
            checkpoint = {"model": read_darknet_weights(self.model, filename)}
        else:
            checkpoint = read_checkpoint(filename)
        if self.parts:
            checkpoint["model"] = self._only_parts(checkpoint["model"])
        self._match_classes(checkpoint, filename)
        return checkpoint

    def _match_classes(self, checkpoint: dict[str, Any], filename: str) -> None:
        names, tensors = names_of(checkpoint, filename), checkpoint["model"]
        if self._need != "nothing":
            check_classes(self.model, names, filename, same_order=self._need == "order")
        elif not names:
            self._tell_unchecked(tensors, filename)
        if names:
            move_classes(self.model, tensors, names, filename)

    def _tell_unchecked(self, tensors: dict[str, Any], filename: str) -> None:
        classes, own = classes_of(self.model), self.model.state_dict()
        rows = set(classes.rows or ()) & set(tensors)
        if classes.names and any(tensors[name].shape == own[name].shape for name in rows):
            _logger.warning(
                "%s doesn't name its classes: they are taken to be the model's, and their order "
                "could not be checked",
                filename,
            )

    def _only_parts(self, tensors: dict[str, Any]) -> dict[str, Any]:
        chosen = {name: value for name, value in tensors.items() if name.startswith(self.parts)}
        if not chosen:
            raise ValueError(
                f"MODEL.WEIGHTS_PARTS {list(self.parts)}: no tensor name in the file starts so; "
                f"there are {some_of(sorted({name.split('.')[0] for name in tensors}))}"
            )
        return chosen
