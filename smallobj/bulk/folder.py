"""The results folder of a bulk run: the run's fingerprint, its list of images and its records."""

from __future__ import annotations

import dataclasses
import glob
import json
import os
import re
from collections.abc import Sequence

import numpy as np

from smallobj.bulk.path_list import PathList
from smallobj.bulk.records import Records
from smallobj.inference.fingerprint import Fingerprint
from smallobj.whole_file import write_whole

# Words for a difference in each part of a run's fingerprint, for error messages.
_MEANINGS = {
    "config": "another config",
    "weights": "other weights",
    "images": "another list of images",
    "classes": "other class names",
    "threshold": "another --confidence-threshold",
    "device": "another kind of device",
    "precision": "another TEST.PRECISION",
    "threads": "another number of --threads",
    "versions": "other versions of smallobj or torch",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The work that the processes have to do.

    Attributes:
        attempt: 1 for a new run, one more for each time that it is resumed.
        images: digest of the list of images.
        finished: one bit per image, set if it needs no more work; packed by numpy.packbits.
    """

    attempt: int
    images: str
    finished: bytes

    def todo(self, count: int) -> np.ndarray:
        """(M,) indices of the images that remain, out of ``count`` images."""
        bits = np.unpackbits(np.frombuffer(self.finished, np.uint8), count=count)
        return np.flatnonzero(bits == 0)


class RunFolder:
    """The folder of a run: ``run.json``, ``images.txt``, ``parts/`` and ``detections.jsonl``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.list_file = os.path.join(path, "images.txt")
        self.identity_file = os.path.join(path, "run.json")
        self.detections_file = os.path.join(path, "detections.jsonl")
        self._parts = os.path.join(path, "parts")

    def prepare(self, fingerprint: Fingerprint, paths: Sequence[str] | None, resume: bool) -> Plan:
        """Starts a run or resumes it.

        Args:
            fingerprint: everything but the images that the results depend on.
            paths: the images; None uses the list of the run to be resumed.
            resume: continue the run in the folder, if there is one.

        Raises:
            ValueError: the folder holds a run and ``resume`` is false; its run has another
                fingerprint or list of images; or there is no list of images.
            OSError: the folder can't be written.
        """
        begun = os.path.isfile(self.identity_file)
        if begun and not resume:
            raise ValueError(
                f"{self.path} holds a run already; --resume goes on with it, "
                "another --output begins a new one"
            )
        if begun:
            images = self.paths().digest if paths is None else PathList.digest_of(paths)
            self._require_same({**fingerprint, "images": images})
        elif paths is None:
            raise ValueError(f"{self.path} holds no run to resume; give --input")
        else:
            os.makedirs(self._parts, exist_ok=True)
            PathList.write(self.list_file, paths)
            images = self.paths().digest
            # Written last: this file marks the folder as holding a run.
            content = json.dumps({**fingerprint, "images": images}, indent=1)
            write_whole(self.identity_file, f"{content}\n".encode())
        records = self.records()
        # Broken files are tried again, as the file server may have been the cause.
        finished = np.packbits(records.found & ~records.broken).tobytes()
        return Plan(self._last_attempt() + 1, images, finished)

    def _require_same(self, fingerprint: Fingerprint) -> None:
        with open(self.identity_file, encoding="utf-8") as stream:
            begun = json.load(stream)
        now = json.loads(json.dumps(fingerprint))
        differing = [key for key in {**begun, **now} if begun.get(key) != now.get(key)]
        if differing:
            what = ", ".join(_MEANINGS.get(key, key) for key in differing)
            details = "; ".join(
                f"{key}: {begun.get(key)} then, {now.get(key)} now" for key in differing
            )
            raise ValueError(
                f"{self.path} holds a run with {what}; the results of both must not be mixed. "
                f"Give another --output. ({details})"
            )

    def paths(self) -> PathList:
        """The list of images."""
        return PathList(self.list_file)

    def known_paths(self) -> Sequence[str]:
        """The list of images; empty if no run was started."""
        return self.paths() if os.path.isfile(self.list_file) else ()

    def part(self, attempt: int, rank: int, world: int) -> str:
        """The file to which process ``rank`` of ``world`` writes its records."""
        name = f"attempt-{attempt:03d}-rank-{rank:05d}-of-{world:05d}.jsonl"
        return os.path.join(self._parts, name)

    def records(self) -> Records:
        """All records written so far."""
        return Records(len(self.paths()), self._part_files())

    def _part_files(self) -> list[str]:
        return sorted(
            glob.glob(os.path.join(glob.escape(self._parts), "attempt-*.jsonl")), key=_part_order
        )

    def _last_attempt(self) -> int:
        return max((_part_order(file)[0] for file in self._part_files()), default=0)


def _part_order(file: str) -> tuple[int, int]:
    """(attempt, rank) as numbers: sorted as text, attempt 1000 would come before attempt 999."""
    numbers = re.findall(r"\d+", os.path.basename(file))
    return int(numbers[0]), int(numbers[1])
