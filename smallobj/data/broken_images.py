"""Images that can't be read during a training: left out and counted, up to a limit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from smallobj.checks import check_not_negative
from smallobj.data.image_file import read_image
from smallobj.images.broken import BrokenImageError

_KEY = "DATALOADER.MAX_BROKEN_IMAGES"
_logger = logging.getLogger(__name__)


class BrokenImages:
    """Which images of a training can't be read; the processes of a loader share it."""

    def __init__(self, records: Sequence[dict[str, Any]], limit: int) -> None:
        """
        Args:
            records: dataset dicts.
            limit: DATALOADER.MAX_BROKEN_IMAGES.

        Raises:
            ValueError: the limit is negative.
        """
        check_not_negative(_KEY, limit)
        self.limit = limit
        self._records = records
        # In memory that worker processes share, whether they are forked or spawned.
        self._flags = torch.zeros(len(records), dtype=torch.uint8).share_memory_()

    def add(self, index: int, error: Exception) -> None:
        """Counts an image, and logs it the first time.

        Raises:
            ValueError: there are more than the limit, or no image is left.
        """
        if not self._flags[index]:
            self._flags[index] = 1
            _logger.warning("left out of the training: %s", error)
        if self.are_too_many():
            raise ValueError(self.summary())

    def are_too_many(self) -> bool:
        """Whether the training must stop."""
        count = int(self._flags.count_nonzero())
        return count > self.limit or count == len(self._records)

    def paths(self) -> list[str]:
        """Files that couldn't be read so far."""
        indices = self._flags.nonzero()[:, 0].tolist()
        return [self._records[index]["file_name"] for index in indices]

    def summary(self) -> str:
        """How many can't be read, and why each of them; "" if there are none."""
        paths = self.paths()
        if not paths:
            return ""
        first = f"{len(paths)} of {len(self._records)} training images can't be read"
        if self.are_too_many():
            first += f" ({_KEY} is {self.limit}; tools/check.py --pixels finds all of them)"
        return "\n  ".join([first, *map(_reason, paths)])


def _reason(path: str) -> str:
    try:
        read_image(path)
    except (OSError, ValueError) as error:
        return str(error)
    return f"{path}: not readable when it was tried"


class ReadableImages(Dataset):
    """Mapped images; another one, chosen at random, takes the place of one that can't be read."""

    def __init__(
        self,
        records: Sequence[dict[str, Any]],
        mapper: Callable[[dict[str, Any]], Any],
        broken: BrokenImages,
    ) -> None:
        """
        Args:
            records: dataset dicts.
            mapper: may return None, and then its record is passed over, too.
            broken: receives those that can't be read.
        """
        self._records = records
        self._mapper = mapper
        self._broken = broken

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Any:
        """
        Raises:
            ValueError: as :meth:`BrokenImages.add`.
        """
        # A generator of its own, since the others' numbers must not depend on what is broken.
        rng = np.random.default_rng(index)
        while True:
            try:
                mapped = self._mapper(self._records[index])
                if mapped is not None:
                    return mapped
            except (BrokenImageError, OSError) as error:
                self._broken.add(index, error)
            index = int(rng.integers(len(self)))


class WatchedLoader:
    """A loader of training batches whose images may be broken.

    Attributes:
        broken: those that couldn't be read.
    """

    def __init__(self, loader: Iterable[Any], broken: BrokenImages) -> None:
        self._loader = loader
        self.broken = broken

    def __iter__(self) -> Iterator[Any]:
        # Begun here and not at the first batch, so that the loader's seed is drawn now.
        return self._watched(iter(self._loader))

    def _watched(self, batches: Iterator[Any]) -> Iterator[Any]:
        """
        Raises:
            ValueError: too many images can't be read.
        """
        try:
            yield from batches
        except ValueError:
            # The error of a worker process carries its traceback; this one is the sentence alone.
            if not self.broken.are_too_many():
                raise
            raise ValueError(self.broken.summary()) from None


def read_or_blank(
    record: dict[str, Any], read: Callable[[], np.ndarray], reduction: int = 1
) -> tuple[np.ndarray, dict[str, str]]:
    """An image for testing, which one that can't be read doesn't stop.

    Args:
        record: dataset dict.
        read: reads its image.
        reduction: the factor by which ``read`` reduces the sides.

    Returns:
        (H, W, 3) uint8; and {}, or for an image that can't be read a black one of its size and
        {"broken": the reason}.
    """
    try:
        return read(), {}
    except (BrokenImageError, OSError) as error:
        size = [-(-(record.get(key) or 64) // reduction) for key in ("height", "width")]
        return np.zeros((*size, 3), np.uint8), {"broken": str(error)}
