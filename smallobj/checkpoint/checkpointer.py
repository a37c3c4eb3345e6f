"""Detectron2's checkpointer that reads tensors and plain values only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer

from smallobj.checkpoint.darknet import DARKNET_SUFFIX, read_darknet_weights
from smallobj.checkpoint.reading import check_weights_path, read_checkpoint, some_of


class SafeCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, restricted to tensors and plain values.

    Reads .pth and .pt (``torch.load(weights_only=True)``) and .safetensors from local disk, and
    Darknet's .weights for a YOLOv3. Saves the same as Detectron2's checkpointer, so training can
    resume from its own files.

    Args:
        parts: prefixes of tensor names, such as "backbone". Only tensors with one of these prefixes
            are loaded; () loads all. When ``resume_or_load`` resumes a training, all are loaded.
        others, named: arguments of Detectron2's checkpointer.
    """

    def __init__(self, *others: Any, parts: Sequence[str] = (), **named: Any) -> None:
        super().__init__(*others, **named)
        self.parts = tuple(parts)

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Loads the model and the checkpointables; an empty path loads nothing.

        Keys that do not fit the model are logged; with ``load_weights`` they are an error.

        Raises:
            FileNotFoundError: there is no such file.
            UnsafeFileError: the format or the content could run code.
            ValueError: the path is a web address, the file is broken, or no tensor has a prefix in
                ``parts``.
        """
        if path:
            check_weights_path(path)
        return super().load(path, checkpointables)

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """As in Detectron2; a training that resumes loads all tensors, whatever ``parts`` is."""
        if self.parts and resume and self.has_checkpoint():
            whole = SafeCheckpointer(self.model, self.save_dir, **self.checkpointables)
            return whole.resume_or_load(path, resume=True)
        return super().resume_or_load(path, resume=resume)

    def _load_file(self, filename: str) -> dict[str, Any]:
        if Path(filename).suffix.lower() == DARKNET_SUFFIX:
            checkpoint = {"model": read_darknet_weights(self.model, filename)}
        else:
            checkpoint = read_checkpoint(filename)
        if self.parts:
            checkpoint["model"] = self._only_parts(checkpoint["model"])
        return checkpoint

    def _only_parts(self, tensors: dict[str, Any]) -> dict[str, Any]:
        chosen = {name: value for name, value in tensors.items() if name.startswith(self.parts)}
        if not chosen:
            raise ValueError(
                f"MODEL.WEIGHTS_PARTS {list(self.parts)}: no tensor name in the file starts so; "
                f"there are {some_of(sorted({name.split('.')[0] for name in tensors}))}"
            )
        return chosen
