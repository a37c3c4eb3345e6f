"""Work done ahead of its use, in background threads: decoding while a model computes."""

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
    """``map`` whose next results are computed while the last one is used.

    Threads suffice for decoding: OpenCV, GDAL and torch let go of Python's lock.

    Args:
        function: called in a worker thread; an error is raised where its result would be taken.
        items: taken one by one, in the caller's thread, ``ahead`` of the results.
        workers: threads.
        ahead: results that may wait, at most; each holds its memory.

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
            # Handed in before the result is used, or the worker would idle meanwhile.
            for item in itertools.islice(iterator, 1):
                waiting.append(pool.submit(function, item))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def prefetch(iterable: Iterable[T], depth: int) -> Iterator[T]:
    """The items of an iterable that runs in a background thread, at most ``depth`` items ahead.

    Raises:
        ValueError: a depth below 1.
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
