"""Batches that shrink when memory runs out."""

import logging

import pytest
import torch
from torch import nn

from smallobj.inference.batching import BatchRunner, is_out_of_memory


class Memory(nn.Module):
    """Has room for so many pixels at a time; really asks the allocator for too much beyond."""

    def __init__(self, pixels=10**9, error=None):
        super().__init__()
        self.pixels = pixels
        self.error = error
        self.batches = []

    def forward(self, items):
        self.batches.append(len(items))
        if sum(item["image"][0].numel() for item in items) > self.pixels:
            if self.error:
                raise self.error
            torch.empty(2**58)
        return [{"sum": item["image"].sum().item()} for item in items]


def runner_of(model, batch_size, side=4):
    return BatchRunner(model, batch_size * side * side)


def inputs(count, side=4):
    return [{"image": torch.full((1, side, side), float(n))} for n in range(count)]


def sums(count, side=4):
    return [{"sum": side * side * float(n)} for n in range(count)]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_outputs_come_in_order(batch_size):
    model = Memory()
    assert list(runner_of(model, batch_size)(inputs(7))) == sums(7)
    assert max(model.batches) == min(batch_size, 7)


def test_a_batch_has_one_shape():
    model = Memory()
    mixed = [*inputs(3), *inputs(2, side=5), *inputs(1)]
    assert len(list(runner_of(model, 4)(mixed))) == 6
    assert model.batches == [3, 2, 1]


def test_inputs_are_taken_a_batch_at_a_time():
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield {"image": torch.zeros(1, 4, 4)}
            number += 1

    outputs = runner_of(Memory(), 3)(endless())
    next(outputs)
    assert len(taken) == 4


@pytest.mark.parametrize(
    "error",
    [None, torch.OutOfMemoryError("CUDA out of memory"), MemoryError()],
    ids=["cpu allocator", "cuda", "python"],
)
def test_out_of_memory_halves_the_batch_and_goes_on(caplog, error):
    model = Memory(pixels=16 * 3, error=error)  # room for three inputs
    runner = runner_of(model, 8)
    with caplog.at_level(logging.WARNING):
        assert list(runner(inputs(11))) == sums(11)
    # 8 and 4 don't fit; then twos, to the end of the group of 8, and two for the last 3.
    assert model.batches == [8, 4, 2, 2, 2, 2, 2, 1]
    assert runner.batch_size(inputs(1)[0]) == 2
    assert [record.args for record in caplog.records] == [(8, 4), (4, 2)]
    assert list(runner(inputs(4))) == sums(4)
    assert model.batches[8:] == [2, 2]


def test_a_single_input_that_does_not_fit_is_told():
    with pytest.raises(RuntimeError, match=r"4x4 pixels.*TEST\.TILE\.SIZE"):
        list(runner_of(Memory(pixels=10), 4)(inputs(2)))


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(runner_of(Memory(0, RuntimeError("mat1 and mat2 shapes")), 2)(inputs(2)))


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not is_out_of_memory(RuntimeError("expected scalar type"))


def test_nothing_in_nothing_out():
    assert list(runner_of(Memory(), 2)([])) == []


def test_of_smaller_inputs_more_share_a_batch():
    model = Memory()
    list(BatchRunner(model, 100)([*inputs(30), *inputs(3, side=8), *inputs(2, side=20)]))
    # 6 times 16 pixels, once 64, and inputs of 400 one at a time.
    assert model.batches == [6, 6, 6, 6, 6, 1, 1, 1, 1, 1]


def test_a_batch_of_none_is_refused():
    with pytest.raises(ValueError, match="pixels of a batch must be at least 1; got 0"):
        BatchRunner(Memory(), 0)
