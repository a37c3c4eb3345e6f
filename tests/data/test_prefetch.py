"""Computing ahead in background threads."""

import threading
import time

import pytest

from smallobj.data.prefetch import map_ahead, prefetch


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (1, 3), (4, 2), (3, 50)])
def test_results_come_in_order(workers, ahead):
    def slow_square(number):
        time.sleep(0.002 * (number % 3))
        return number**2

    assert list(map_ahead(slow_square, range(20), workers, ahead)) == [n**2 for n in range(20)]


def test_nothing_in_nothing_out():
    assert list(map_ahead(str, [], 2, 2)) == []
    assert list(prefetch([], 2)) == []


def test_items_are_taken_no_further_ahead_than_asked():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = map_ahead(lambda number: number, items(), 2, 3)
    assert next(results) == 0
    assert len(taken) == 4  # the yielded result, and three that wait
    results.close()
    assert len(taken) == 4


def test_the_next_result_is_made_while_one_is_used():
    made = threading.Event()

    def make(number):
        if number == 1:
            made.set()
        return number

    results = map_ahead(make, range(3), 1, 1)
    assert next(results) == 0
    assert made.wait(10)


def test_an_error_is_raised_in_place_of_its_result():
    results = map_ahead(lambda number: 1 / number, [1, 0, 2], 2, 3)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_iterable_runs_ahead_and_its_error_is_raised_in_place():
    seen = []

    def broken():
        for number in range(3):
            seen.append(threading.current_thread() is threading.main_thread())
            yield number
        raise OSError("torn")

    results = prefetch(broken(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="torn"):
        next(results)
    assert not any(seen)


def test_leaving_early_ends_the_threads():
    before = threading.active_count()
    for _ in prefetch(range(1000), 5):
        break
    results = prefetch(range(1000), 5)
    next(results)
    results.close()
    assert threading.active_count() <= before + 1  # the abandoned one may linger until collected


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (1, 0)])
def test_no_worker_or_no_result_ahead_is_refused(workers, ahead):
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        next(map_ahead(str, [1], workers, ahead))
