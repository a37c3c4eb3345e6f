"""One process among many: which it is, and what the processes tell one another."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

# Rank 0 lists the images while the others wait for it.
START_TIMEOUT = timedelta(hours=1)
# A process that has said nothing for so long is dead. It speaks every second.
SILENCE_SECONDS = 60.0
STARTING, WORKING, FINISHED, FAILED, DIED = "starting", "working", "finished", "failed", "died"


@dataclasses.dataclass(frozen=True)
class Rank:
    """A process's place.

    Attributes:
        index, world: number of this process among all, and how many there are.
        local, local_world: the same on this machine.
        store: key-value store that all processes see.
    """

    index: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1
    store: dist.Store = dataclasses.field(default_factory=dist.HashStore)

    @classmethod
    def from_environment(cls) -> Rank:
        """The place that torchrun's variables name (RANK, WORLD_SIZE, MASTER_ADDR ...).

        Raises:
            ConnectionError: no answer from the address where the processes meet.
        """
        try:
            store, index, world = next(rendezvous("env://", timeout=START_TIMEOUT))
        except dist.DistError as error:
            raise ConnectionError(f"the processes can't meet: {error}") from error
        return cls(
            index,
            world,
            int(os.environ.get("LOCAL_RANK", "0")),
            int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            # Under torchrun --max-restarts, what an earlier round has left must not be seen.
            dist.PrefixStore(f"bulk{restarts()}", store),
        )

    def gather(self, mine: Any) -> list[Any]:
        """What each process gives, in their order; the only time when all wait for all.

        The process group lives no longer than this, so nothing that happens to one process later
        can hold up another.

        Args:
            mine: anything that can be pickled. Gloo carries it, since it lies on the CPU.

        Raises:
            ConnectionError: another process ended before it came here.
        """
        if self.world == 1:
            return [mine]
        everyone: list[Any] = [None] * self.world
        try:
            dist.init_process_group(
                "gloo",
                store=dist.PrefixStore("group", self.store),
                rank=self.index,
                world_size=self.world,
                timeout=START_TIMEOUT,
            )
            dist.all_gather_object(everyone, mine)
            dist.destroy_process_group()
        except RuntimeError as error:
            raise ConnectionError(f"another process ended at the start ({error})") from error
        return everyone


def restarts() -> int:
    """How often torchrun has started the processes again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@dataclasses.dataclass
class Status:
    """How far a process is; ``beat`` changes as long as it lives."""

    state: str = STARTING
    done: int = 0
    broken: int = 0
    seconds: float = 0.0
    beat: int = 0


class Board:
    """Where the processes claim images and say how far they are."""

    def __init__(self, store: dist.Store, world: int) -> None:
        self._store = store
        self._keys = [f"status/{index}" for index in range(world)]
        self._last_heard = [(-1, time.monotonic())] * world

    def claim(self) -> int:
        """A number that no process has got before: 0, 1, 2 ...

        One image at a time: a claim takes a fraction of a millisecond, and so a slow machine ends
        no later than one image behind the others.
        """
        return self._store.add("claimed", 1) - 1

    def post(self, index: int, status: Status) -> None:
        """Says how far a process is."""
        self._store.set(self._keys[index], json.dumps(dataclasses.asdict(status)))

    def post_death(self, index: int) -> bool:
        """Says it of a process that can't any more; false if it had not begun to work."""
        status = Status()
        if self._store.check([self._keys[index]]):
            status = Status(**json.loads(self._store.get(self._keys[index])))
        was_starting = status.state == STARTING
        self.post(index, dataclasses.replace(status, state=DIED))
        return not was_starting

    def read(self) -> list[Status]:
        """What each process has said last; one that fell silent counts as dead."""
        statuses = [Status(**json.loads(text)) for text in self._store.multi_get(self._keys)]
        now = time.monotonic()
        for index, status in enumerate(statuses):
            beat, heard = self._last_heard[index]
            if beat != status.beat:
                self._last_heard[index] = (status.beat, now)
            elif status.state in (STARTING, WORKING) and now - heard > SILENCE_SECONDS:
                status.state = DIED
        return statuses
