"""Weights: read without ever running code from the file, and written as plain tensors."""

from smallobj.checkpoint.reading import (
    SafeCheckpointer,
    UnsafeFileError,
    load_weights,
    read_checkpoint,
    save_weights,
)

__all__ = [
    "SafeCheckpointer",
    "UnsafeFileError",
    "load_weights",
    "read_checkpoint",
    "save_weights",
]
