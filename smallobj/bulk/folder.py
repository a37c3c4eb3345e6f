"""The results folder of a bulk run: what run it is, its list of images, its records."""

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

# What a difference in each part of a run's fingerprint is called in a message.
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
    """What the processes have to do.

    Attributes:
        attempt: how often the run was begun or taken up again, from 1.
        images: digest of the list of images.
        finished: bits of the images that need no more work, as numpy.packbits gives them.
    """

    attempt: int
    images: str
    finished: bytes

    def todo(self, count: int) -> np.ndarray:
        """(M,) indices of the images to be read, of ``count`` images."""
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
        """Begins the run, or takes it up again.

        Args:
            fingerprint: all that results depend on, besides the images.
            paths: the images; None takes the list of the run that is resumed.
            resume: go on with the run that the folder holds, if it does.

        Raises:
            ValueError: the folder holds a run and ``resume`` is false; or it is another run than
                this one; or there is no list of images.
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
            # Last: the folder holds a run once this is there.
            content = json.dumps({**fingerprint, "images": images}, indent=1)
            write_whole(self.identity_file, f"{content}\n".encode())
        records = self.records()
        # A broken file is tried again: perhaps it was the file server that was broken.
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
                f"{self.path} holds a run with {what}; results of both would not go together. "
                f"Give another --output. ({details})"
            )

    def paths(self) -> PathList:
        """The list of images."""
        return PathList(self.list_file)

    def known_paths(self) -> Sequence[str]:
        """The list of images, or nothing where no run was begun."""
        return self.paths() if os.path.isfile(self.list_file) else ()

    def part(self, attempt: int, rank: int, world: int) -> str:
        """Where process ``rank`` of ``world`` writes its records."""
        name = f"attempt-{attempt:03d}-rank-{rank:05d}-of-{world:05d}.jsonl"
        return os.path.join(self._parts, name)

    def records(self) -> Records:
        """All that was found so far."""
        return Records(len(self.paths()), self._part_files())

    def _part_files(self) -> list[str]:
        return sorted(
            glob.glob(os.path.join(glob.escape(self._parts), "attempt-*.jsonl")), key=_part_order
        )

    def _last_attempt(self) -> int:
        return max((_part_order(file)[0] for file in self._part_files()), default=0)


def _part_order(file: str) -> tuple[int, int]:
    """(attempt, rank): names alone would put attempt 1000 before attempt 999."""
    numbers = re.findall(r"\d+", os.path.basename(file))
    return int(numbers[0]), int(numbers[1])
