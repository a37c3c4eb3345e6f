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
        parts: beginnings of tensors' names ("backbone"). Where ``resume_or_load`` begins anew,
            tensors with other names are left in the file; () takes all.
        others: as Detectron2's.
    """

    def __init__(self, *others: Any, parts: Sequence[str] = (), **named: Any) -> None:
        super().__init__(*others, **named)
        self.parts = tuple(parts)
        self._wanted: tuple[str, ...] = ()

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
        # Nothing but the model: this is a beginning, not a training that goes on.
        self._wanted = self.parts if checkpointables == [] else ()
        return super().load(path, checkpointables)

    def _load_model(self, checkpoint: Any) -> Any:
        if self._wanted:
            tensors = checkpoint["model"]
            chosen = {k: v for k, v in tensors.items() if k.startswith(self._wanted)}
            if not chosen:
                raise ValueError(
                    f"MODEL.WEIGHTS_PARTS {list(self._wanted)}: no tensor in the file begins so; "
                    f"there are {some_of(sorted({name.split('.')[0] for name in tensors}))}"
                )
            checkpoint = {**checkpoint, "model": chosen}
        return super()._load_model(checkpoint)

    def _load_file(self, filename: str) -> dict[str, Any]:
        if Path(filename).suffix.lower() == DARKNET_SUFFIX:
            return {"model": read_darknet_weights(self.model, filename)}
        return read_checkpoint(filename)
