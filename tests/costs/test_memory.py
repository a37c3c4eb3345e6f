"""Memory by input size: the line by hand, and a measurement in a separate process."""

import resource

import numpy as np
import pytest

from smallobj.costs.memory import (
    MIB,
    MemoryLine,
    fit_line,
    measure_peaks,
    peak_resident_bytes,
)


def test_a_line_by_hand():
    # The smallest input is off the line, and 350 is more than half of 400.
    line = fit_line([400, 100, 350, 200], [2300, 100, 5000, 1500])
    assert line == MemoryLine(base=700.0, per_pixel=4.0)
    assert line.at(1000) == 4700
    assert line.max_pixels(4700) == 1000
    assert line.max_pixels(4699) == 999


def test_a_base_is_never_negative():
    assert fit_line([1, 2], [1, 10]).base == 0


@pytest.mark.parametrize(("pixels", "peaks"), [([5, 5], [1, 2]), ([5, 9], [3, 3])])
def test_memory_that_does_not_grow_is_refused(pixels, peaks):
    with pytest.raises(ValueError, match="must grow with the input"):
        fit_line(pixels, peaks)


def test_a_budget_below_the_model_is_refused():
    with pytest.raises(ValueError, match=r"exceed what the model takes.*200 MiB; got 150 MiB"):
        MemoryLine(200 * MIB, 10).max_pixels(150 * MIB)


def test_areas_must_increase(tiny_config):
    with pytest.raises(ValueError, match="by rising area"):
        measure_peaks(tiny_config(), [(64, 64), (32, 32)])


def test_a_larger_input_takes_more_and_the_calling_process_does_not_count(tiny_config):
    # 700 MiB resident in this process must not appear in the other one.
    ballast = np.ones(700 * MIB, np.uint8)
    own = peak_resident_bytes()
    small, large = measure_peaks(tiny_config(), [(64, 64), (768, 768)])
    assert own > ballast.nbytes
    assert own > small, "the process that measures starts small"
    # 32 float32 channels at stride 4 alone are 4.5 MiB.
    assert small + 4 * MIB < large < small + 1000 * MIB


def test_peak_is_close_to_the_systems_count():
    # The kernel updates its two counters at different times.
    counted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 20 * MIB < peak_resident_bytes() < counted + 16 * MIB
