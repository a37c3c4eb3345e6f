"""A log of a scan's finished rows, from which an interrupted scan can be resumed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from smallobj.inference.fingerprint import Fingerprint

_BOX = np.dtype(
    [("box", "<f4", 4), ("score", "<f4"), ("class", "<i8"), ("tile", "<i8", 4), ("cut", "?")]
)


class ScanLog(AbstractContextManager["ScanLog"]):
    """A file with a line for each finished row of tiles; a context manager that closes it.

    Each line holds the detections in the row's tiles before merging, bit by bit, and a checksum. A
    line that a killed process left incomplete is ignored, and so are the lines after it.

    Attributes:
        path: the file.
        finished: number of rows in it.
    """

    def __init__(self, path: str, fingerprint: Fingerprint, resume: bool) -> None:
        """
        Args:
            path: the file; created if it doesn't exist.
            fingerprint: what the results of this scan depend on.
            resume: continue after the rows in the file.

        Raises:
            ValueError: the file holds rows of another scan, or any rows while ``resume`` is false.
            OSError: the file can't be written.
        """
        self.path = path
        self.finished = 0
        end = 0
        if os.path.isfile(path):
            end = self._check(fingerprint, resume)
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self._stream = open(path, "r+b" if end else "wb")  # noqa: SIM115  (open as long as the run)
        self._stream.truncate(end)
        self._stream.seek(end)
        self._end = end
        if not end:
            self._write(fingerprint)

    def _check(self, fingerprint: Fingerprint, resume: bool) -> int:
        """Counts the rows; returns the offset of the next line, 0 if the file holds no rows."""
        with open(self.path, "rb") as stream:
            lines = _whole_lines(stream)
            first = next(lines, None)
            if first is None:
                return 0
            ends = [end for _, end in lines]
        if not ends:
            return 0
        if not resume:
            raise ValueError(
                f"{self.path} holds {len(ends)} finished rows of an interrupted scan; go on with "
                "--resume, or delete it to start again"
            )
        before, _ = first
        changed = [
            key for key in fingerprint if before.get(key) != json.loads(_dump(fingerprint[key]))
        ]
        if changed:
            raise ValueError(
                f"--resume goes on with the same scan only, and since {self.path} was begun these "
                f"have changed: {', '.join(changed)}; delete it to start again"
            )
        self.finished = len(ends)
        return ends[-1]

    def rows(self, image_size: tuple[int, int]) -> Iterator[Instances]:
        """The detections of each finished row, as given to :meth:`append`."""
        with open(self.path, "rb") as stream:
            for number, (content, _) in enumerate(_whole_lines(stream)):
                if number:
                    yield _instances(content, image_size)

    def append(self, found: Instances) -> None:
        """Writes a row's detections and waits until they are on disk.

        Args:
            found: as :meth:`TiledDetector.to_image_frame` returns it, on the CPU.
        """
        table = np.empty(len(found), dtype=_BOX)
        table["box"] = found.pred_boxes.tensor.numpy()
        table["score"] = found.scores.numpy()
        table["class"] = found.pred_classes.numpy()
        table["tile"] = found.tile.numpy()
        table["cut"] = found.cut.numpy()
        packed = base64.b64encode(zlib.compress(table.tobytes(), 1)).decode()
        self._write({"row": self.finished, "count": len(found), "boxes": packed})
        self.finished += 1

    def _write(self, content: dict[str, Any]) -> None:
        text = _dump(content).encode()
        self._stream.write(b"%08x %s\n" % (zlib.crc32(text), text))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Closes the file and keeps it."""
        self._stream.close()

    def remove(self) -> None:
        """Deletes the file, once the results are written."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.path)

    def __exit__(self, *_: object) -> None:
        self.close()


def _dump(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def _whole_lines(stream: Any) -> Iterator[tuple[dict[str, Any], int]]:
    """The content of each line and its end offset, up to the first incomplete line."""
    end = 0
    for number, line in enumerate(stream):
        end += len(line)
        checksum, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            return
        content = json.loads(text)
        if number and content["row"] != number - 1:
            return
        yield content, end


def _instances(content: dict[str, Any], image_size: tuple[int, int]) -> Instances:
    table = np.frombuffer(zlib.decompress(base64.b64decode(content["boxes"])), dtype=_BOX)
    found = Instances(image_size)
    found.pred_boxes = Boxes(torch.from_numpy(table["box"].copy()))
    found.scores = torch.from_numpy(table["score"].copy())
    found.pred_classes = torch.from_numpy(table["class"].copy())
    found.tile = torch.from_numpy(table["tile"].copy())
    found.cut = torch.from_numpy(table["cut"].copy())
    return found
