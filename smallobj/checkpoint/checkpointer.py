"""Detectron2's checkpointer that reads tensors and plain values only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer

from smallobj.checkpoint.darknet import DARKNET_SUFFIX, read_darknet_weights
from smallobj.checkpoint.reading import check_weights_path, read_checkpoint, some_of


class SafeCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer that reads tensors and plain values only.

    Reads .pth and .pt (``torch.load(weights_only=True)``) and .safetensors from local disk, and for
    a YOLOv3 Darknet's .weights. Saves what Detectron2 saves, so that training resumes from its own
    files.

    Args:
        parts: beginnings of tensors' names ("backbone"). Tensors with other names are left in the
            file, but not where ``resume_or_load`` goes on with a training; () takes all.
        others: as Detectron2's.
    """

    def __init__(self, *others: Any, parts: Sequence[str] = (), **named: Any) -> None:
        super().__init__(*others, **named)
        self.parts = tuple(parts)

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Loads the model and the checkpointables; an empty path loads nothing.

        Keys that do not fit the model are logged; ``load_weights`` makes them an error.

        Raises:
            FileNotFoundError: there is no such file.
            UnsafeFileError: a format or a content that could run code.
            ValueError: a web address, a file that is broken, or one without any of ``parts``.
        """
        if path:
            check_weights_path(path)
        return super().load(path, checkpointables)

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """As Detectron2's; what a training goes on with is taken whole."""
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
                f"MODEL.WEIGHTS_PARTS {list(self.parts)}: no tensor in the file begins so; "
                f"there are {some_of(sorted({name.split('.')[0] for name in tensors}))}"
            )
        return chosen
