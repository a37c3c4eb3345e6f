"""Weights: read without running code from the file, and written as plain tensors."""

from smallobj.checkpoint.checkpointer import SafeCheckpointer
from smallobj.checkpoint.reading import (
    BrokenFileError,
    UnsafeFileError,
    read_checkpoint,
    read_class_names,
)
from smallobj.checkpoint.run_checkpoints import LAST_CHECKPOINT
from smallobj.checkpoint.weights import load_weights, save_weights

__all__ = [
    "LAST_CHECKPOINT",
    "BrokenFileError",
    "SafeCheckpointer",
    "UnsafeFileError",
    "load_weights",
    "read_checkpoint",
    "read_class_names",
    "save_weights",
]
