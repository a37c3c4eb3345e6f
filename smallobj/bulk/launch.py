"""Starts the processes of one machine, on CPU or GPU.

Detectron2's ``launch`` starts one process per GPU and refuses to run without a GPU; like torchrun,
it ends all processes when one dies. Here the others continue. The environment variables of a
process are those of torchrun, so its function works the same with either launcher.
"""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import TypeVar
from urllib.parse import urlparse

import torch.distributed as dist

from smallobj.bulk.ranks import Board, Rank

Options = TypeVar("Options")
Function = Callable[[Options, Rank], int]

INCOMPLETE, INTERRUPTED = 3, 130
_ANY_PORT = "tcp://127.0.0.1:0"
_GRACE_SECONDS = 10.0


def launch(
    function: Function[Options],
    options: Options,
    num_processes: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = _ANY_PORT,
) -> int:
    """Runs ``function(options, rank)`` in processes; called on each machine.

    Args:
        function: defined in a module, so that a new process can import it; returns an exit status.
        num_processes: processes on each machine.
        num_machines, machine_rank: number of machines, and the number of this one, from 0.
        dist_url: tcp://HOST:PORT of machine 0; required with several machines.

    Returns:
        The exit status of process 0 on machine 0, or the highest exit status on another machine;
        INCOMPLETE for a process that was killed, INTERRUPTED after Ctrl-C.

    Raises:
        ValueError: inconsistent numbers, or a missing or malformed address.
        ConnectionError: machine 0 doesn't answer, or the port is not free on machine 0.
    """
    if num_processes < 1 or not 0 <= machine_rank < num_machines:
        raise ValueError(
            "there must be at least one process, and the machine rank must lie in [0, number of "
            f"machines); got {num_processes} processes, rank {machine_rank} of {num_machines}"
        )
    world = num_processes * num_machines
    if world == 1:
        return function(options, Rank())
    address = urlparse(dist_url)
    if address.scheme != "tcp" or not address.hostname or address.port is None:
        raise ValueError(f"--dist-url must be tcp://HOST:PORT of machine 0; got {dist_url}")
    if num_machines > 1 and not address.port:
        raise ValueError("several machines need --dist-url tcp://HOST:PORT of machine 0")
    try:
        # The store is in the launcher: in process 0, the death of that process would stop all.
        store = make_store(address.hostname, address.port, is_master=machine_rank == 0)
    except (dist.DistError, OSError) as error:
        what = "is no free port of this machine" if machine_rank == 0 else "does not answer"
        raise ConnectionError(f"{dist_url} {what}: {error}") from error
    processes = _start(function, options, num_processes, machine_rank, world, store)
    return _wait(processes, Board(dist.PrefixStore("bulk0", store), world), machine_rank)


def make_store(host: str, port: int, is_master: bool) -> dist.TCPStore:
    """The store that all processes share.

    On a loopback address it listens there alone: a store takes what anyone sends, and torch's own
    listens on all interfaces. Other machines can reach it on no other address.

    Args:
        host, port: of machine 0; port 0 takes a free one.
        is_master: this is machine 0, which holds the store.

    Raises:
        DistError, OSError: the port is not free, or machine 0 doesn't answer.
    """
    wait = timedelta(minutes=10)
    if not (is_master and _is_loopback(host)):
        return dist.TCPStore(host, port, is_master=is_master, wait_for_workers=False, timeout=wait)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The store closes the socket.
    server = socket.create_server((host, port), family=family)
    number = server.getsockname()[1]
    return dist.TCPStore(
        host,
        number,
        is_master=True,
        wait_for_workers=False,
        timeout=wait,
        master_listen_fd=server.detach(),
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _start(
    function: Function[Options],
    options: Options,
    count: int,
    machine_rank: int,
    world: int,
    store: dist.TCPStore,
) -> list[SpawnProcess]:
    # Forked processes can use neither CUDA nor OpenMP threads.
    context = multiprocessing.get_context("spawn")
    processes = []
    for local in range(count):
        environment = {
            "RANK": machine_rank * count + local,
            "WORLD_SIZE": world,
            "LOCAL_RANK": local,
            "LOCAL_WORLD_SIZE": count,
            "MASTER_ADDR": store.host,
            "MASTER_PORT": store.port,
            # As under torchrun: connect to the existing store instead of creating one.
            "TORCHELASTIC_USE_AGENT_STORE": True,
        }
        variables = {key: str(value) for key, value in environment.items()}
        process = context.Process(
            target=_run, args=(function, options, variables), name=f"process {variables['RANK']}"
        )
        process.start()
        processes.append(process)
    return processes


def _run(function: Function[Options], options: Options, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    try:
        status = function(options, Rank.from_environment())
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception:
        # multiprocessing would exit with 1, which has another meaning here (broken files).
        traceback.print_exc()
        status = INCOMPLETE
    sys.exit(status)


def _wait(processes: list[SpawnProcess], board: Board, machine_rank: int) -> int:
    first = machine_rank * len(processes)
    running = {process.sentinel: index for index, process in enumerate(processes)}
    try:
        while running:
            for sentinel in connection.wait(list(running)):
                index = running.pop(sentinel)  # type: ignore[arg-type]
                processes[index].join()
                if (processes[index].exitcode or 0) < 0:
                    _report_death(processes, index, board, first)
    except KeyboardInterrupt:  # which Ctrl-C sends to the processes, too
        _end(processes)
        return INTERRUPTED
    codes = [INCOMPLETE if (p.exitcode or 0) < 0 else p.exitcode or 0 for p in processes]
    return codes[0] if machine_rank == 0 else max(codes)


def _report_death(processes: list[SpawnProcess], index: int, board: Board, first: int) -> None:
    signal = -(processes[index].exitcode or 0)
    name = f"process {first + index}"
    print(f"{name} was ended by signal {signal}; --resume does its images", file=sys.stderr)
    try:
        had_begun = board.post_death(first + index)
    except dist.DistError:
        return  # the store on machine 0 is gone
    if not had_begun:
        # The others are waiting for it, and no work has been done that could be lost.
        _end(processes, grace=0)


def _end(processes: list[SpawnProcess], grace: float = _GRACE_SECONDS) -> None:
    for process in processes:
        process.join(grace)
        process.terminate()
        process.join()
