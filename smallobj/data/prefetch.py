"""Computing results ahead in background threads, such as decoding while a model computes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from smallobj.checks import check_at_least

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int
) -> Iterator[R]:
    """Like ``map``, but the next results are computed while the caller uses the last one.

    Threads suffice for decoding, since OpenCV, GDAL and torch release Python's global lock.

    Args:
        function: called in a worker thread; an error is raised when its result would be yielded.
        items: read one by one in the caller's thread, ``ahead`` of the results.
        workers: number of threads.
        ahead: largest number of results that wait; each holds its memory.

    Yields:
        The results in the order of the items.

    Raises:
        ValueError: fewer than one worker or one result ahead.
    """
    check_at_least("the number of workers", workers, 1)
    check_at_least("the number of items ahead", ahead, 1)
    waiting: deque[Future[R]] = deque()
    iterator = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch")
    try:
        for item in itertools.islice(iterator, ahead):
            waiting.append(pool.submit(function, item))
        while waiting:
            result = waiting.popleft().result()
            # Submitted before the result is used; otherwise the worker would be idle meanwhile.
            for item in itertools.islice(iterator, 1):
                waiting.append(pool.submit(function, item))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def prefetch(iterable: Iterable[T], depth: int) -> Iterator[T]:
    """Yields the items of an iterable, which runs in a background thread up to ``depth`` ahead.

    Raises:
        ValueError: ``depth`` is below 1.
    """
    iterator, end = iter(iterable), object()
    turns = map_ahead(lambda _: next(iterator, end), itertools.repeat(None), 1, depth)
    try:
        for item in turns:
            if item is end:
                return
            yield item  # type: ignore[misc]
    finally:
        turns.close()  # type: ignore[attr-defined]
