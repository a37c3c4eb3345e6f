"""The search for the best tile within a memory budget, on simulated measurements."""

import pytest

from smallobj.costs.memory import MIB
from smallobj.geometry.tile_choice import choose_tile
from smallobj.planning import budget

IMAGES = [(2100, 2800)]


def choose(max_pixels):
    return choose_tile(IMAGES, 102, max_pixels)


@pytest.fixture
def machine(monkeypatch):
    """Replaces measurements by a function; returns the sizes that were measured."""

    def install(rule):
        measured = []

        def measure(cfg, sizes):
            measured.extend(sizes)
            return [int(rule(height * width)) for height, width in sizes]

        monkeypatch.setattr(budget, "measure_peaks", measure)
        return measured

    return install


def straight(pixels):
    return 700 * MIB + 160 * pixels


def falling(pixels):
    """The slope falls with the size, as it does on CPUs."""
    return 700 * MIB + 200 * pixels - pixels**2 // 100_000


def rising(pixels):
    return 700 * MIB + 100 * pixels + pixels**2 // 25_000


@pytest.mark.parametrize("rule", [straight, falling, rising])
@pytest.mark.parametrize("mib", [850, 1000, 1200, 1700])
def test_the_chosen_tile_was_measured_and_fits(machine, rule, mib):
    measured = machine(rule)
    chosen = budget.choose_within_memory(None, mib, choose)
    assert chosen.choice.largest_side in measured
    assert chosen.peak == rule(chosen.choice.pass_pixels) <= mib * MIB
    # The best choice follows from the rule itself.
    allowed = max(p for p in range(0, 6_000_000, 1000) if rule(p) <= mib * MIB)
    best = choose(allowed)
    assert chosen.choice.image_pixels.sum() <= 1.2 * best.image_pixels.sum()
    if rule is straight:
        assert chosen.choice.tile == best.tile


def test_the_whole_image_where_it_fits(machine):
    machine(straight)
    assert budget.choose_within_memory(None, 700 + 160 * 2112 * 2816 / MIB + 1, choose).choice.whole


def test_too_small_a_budget_is_refused(machine):
    machine(straight)
    with pytest.raises(ValueError, match=r"700 MiB; got 600 MiB"):
        budget.choose_within_memory(None, 600, choose)
    with pytest.raises(ValueError, match=r"at least 2 x the overlap"):
        budget.choose_within_memory(None, 702, choose)


def test_a_wrong_prediction_ends_in_an_error(machine):
    # Nothing that the line predicts fits, since memory jumps after the first sizes.
    machine(lambda pixels: 700 * MIB + pixels + (pixels not in (512**2, 1024**2)) * 10**10)
    with pytest.raises(ValueError, match=r"too small for a tile"):
        budget.choose_within_memory(None, 800, choose)
