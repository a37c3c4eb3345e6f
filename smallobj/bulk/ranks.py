"""The rank of a process in a bulk run, and the communication between the processes."""

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
# A process without a new status for so long counts as dead. It posts one every second.
SILENCE_SECONDS = 60.0
STARTING, WORKING, FINISHED, FAILED, DIED = "starting", "working", "finished", "failed", "died"


@dataclasses.dataclass(frozen=True)
class Rank:
    """The rank of a process.

    Attributes:
        index, world: number of this process, from 0, and the number of processes.
        local, local_world: the same among the processes of this machine.
        store: key-value store that all processes share.
    """

    index: int = 0
    world: int = 1
    local: int = 0
    local_world: int = 1
    store: dist.Store = dataclasses.field(default_factory=dist.HashStore)

    @classmethod
    def from_environment(cls) -> Rank:
        """Reads the rank from torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR ...).

        Raises:
            ConnectionError: no answer from the address in MASTER_ADDR.
        """
        try:
            store, index, world = next(rendezvous("env://", timeout=START_TIMEOUT))
        except dist.DistError as error:
            raise ConnectionError(f"the processes can't connect: {error}") from error
        return cls(
            index,
            world,
            int(os.environ.get("LOCAL_RANK", "0")),
            int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            # With torchrun --max-restarts, entries of an earlier round must not be visible.
            dist.PrefixStore(f"bulk{restarts()}", store),
        )

    def gather(self, mine: Any) -> list[Any]:
        """Gathers a value from each process, by rank; the only point where all processes wait.

        The process group exists only during this call, so that a process that dies later can't
        block the others.

        Args:
            mine: this process's value, which can be pickled; sent with Gloo, on the CPU.

        Raises:
            ConnectionError: another process ended before this call.
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
    """How often torchrun has restarted the processes."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@dataclasses.dataclass
class Status:
    """Progress of a process; ``beat`` changes as long as the process is alive.

    Attributes:
        cuts: at the end, fields of each :class:`smallobj.inference.cuts.Cut`.
    """

    state: str = STARTING
    done: int = 0
    broken: int = 0
    seconds: float = 0.0
    beat: int = 0
    cuts: list[dict[str, Any]] = dataclasses.field(default_factory=list)


class Board:
    """A shared board on which the processes claim images and post their statuses."""

    def __init__(self, store: dist.Store, world: int) -> None:
        self._store = store
        self._keys = [f"status/{index}" for index in range(world)]
        self._last_heard = [(-1, time.monotonic())] * world

    def claim(self) -> int:
        """The next number that no process has claimed: 0, 1, 2 ...

        Images are claimed one at a time: a claim takes a fraction of a millisecond, and a slow
        machine finishes at most one image after the others.
        """
        return self._store.add("claimed", 1) - 1

    def post(self, index: int, status: Status) -> None:
        """Posts a process's status."""
        self._store.set(self._keys[index], json.dumps(dataclasses.asdict(status)))

    def post_death(self, index: int) -> bool:
        """Posts that a process has died; returns whether it had begun to work."""
        status = Status()
        if self._store.check([self._keys[index]]):
            status = Status(**json.loads(self._store.get(self._keys[index])))
        was_starting = status.state == STARTING
        self.post(index, dataclasses.replace(status, state=DIED))
        return not was_starting

    def read(self) -> list[Status]:
        """The last status of each process; one that no longer posts counts as dead."""
        statuses = [Status(**json.loads(text)) for text in self._store.multi_get(self._keys)]
        now = time.monotonic()
        for index, status in enumerate(statuses):
            beat, heard = self._last_heard[index]
            if beat != status.beat:
                self._last_heard[index] = (status.beat, now)
            elif status.state in (STARTING, WORKING) and now - heard > SILENCE_SECONDS:
                status.state = DIED
        return statuses
