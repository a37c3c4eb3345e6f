"""What errors cost: cases worked out by hand, plain loops, and what must always hold."""

import itertools
import json

import numpy as np
import pytest

from smallobj.evaluation.metrics.error_costs import COLUMNS, error_costs, error_sizes
from smallobj.evaluation.metrics.errors import Outcome, find_errors

NUT, BOLT = range(2)


def at(place, width=10):
    """A box of ``width`` x 10 px."""
    return [place, 0, place + width, 10]


def gains(data, **options):
    row = error_costs(data, **options).total
    return dict(zip(COLUMNS, row.gains.tolist(), strict=True))


def counts(data):
    row = error_costs(data).total
    return {name: count for name, count in zip(COLUMNS, row.counts.tolist(), strict=True) if count}


# Where one of two nuts is found, and nothing before it, precision is 1 up to a recall of 0.5: that
# is at 51 of the 101 recalls, so AP is 51/101.
TWO_NUTS = [(NUT, at(0)), (NUT, at(100))]
FOUND = (NUT, at(0), 0.5)


def test_nothing_wrong(small_set):
    data = small_set(TWO_NUTS, [FOUND, (NUT, at(100), 0.4)])
    assert error_costs(data).ap == pytest.approx(1)
    assert counts(data) == {}
    assert all(gain == 0 for gain in gains(data).values())


def test_classification(small_set):
    data = small_set(TWO_NUTS, [FOUND, (BOLT, at(100), 0.9)])
    assert error_costs(data).ap == pytest.approx(51 / 101)
    assert counts(data) == {"classification": 1, "false_positives": 1, "false_negatives": 1}
    expected = dict.fromkeys(COLUMNS, 0.0)
    # The bolt becomes the second nut. There are no bolts to be found, so dropping it gains nothing.
    expected |= {"classification": 50 / 101, "false_negatives": 50 / 101}
    assert gains(data) == pytest.approx(expected)


def test_localisation(small_set):
    # Before the nut that is found: precision at its recall is 1/2, AP 51/202.
    data = small_set(TWO_NUTS, [FOUND, (NUT, at(105), 0.9)])
    assert error_costs(data).ap == pytest.approx(51 / 202)
    assert counts(data) == {"localisation": 1, "false_positives": 1, "false_negatives": 1}
    expected = dict.fromkeys(COLUMNS, 0.0)
    expected["localisation"] = 1 - 51 / 202
    expected["false_positives"] = 51 / 101 - 51 / 202
    expected["false_negatives"] = 1 / 2 - 51 / 202  # one nut left, at precision 1/2
    assert gains(data) == pytest.approx(expected)


def test_both(small_set):
    # Neither class nor box is right, so the second nut is missed. The bolt that is there has AP 1/2
    # behind the wrong one, 1 without it.
    labels = [*TWO_NUTS, (BOLT, at(500))]
    data = small_set(labels, [FOUND, (BOLT, at(105), 0.9), (BOLT, at(500), 0.8)])
    assert error_costs(data).ap == pytest.approx((51 / 101 + 1 / 2) / 2)
    assert counts(data) == {"both": 1, "missed": 1, "false_positives": 1, "false_negatives": 1}
    expected = dict.fromkeys(COLUMNS, 0.0)
    expected["both"] = expected["false_positives"] = (1 - 1 / 2) / 2
    expected["missed"] = expected["false_negatives"] = (1 - 51 / 101) / 2
    assert gains(data) == pytest.approx(expected)


def test_duplicate(small_set):
    # Right, again, right: precision 1 up to recall 0.5, then 2/3 at the other 50 recalls.
    data = small_set(TWO_NUTS, [(NUT, at(0), 0.9), (NUT, at(1), 0.8), (NUT, at(100), 0.7)])
    assert error_costs(data).ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert counts(data) == {"duplicate": 1, "false_positives": 1}
    expected = dict.fromkeys(COLUMNS, 0.0)
    expected["duplicate"] = expected["false_positives"] = 50 / 3 / 101
    assert gains(data) == pytest.approx(expected)


def test_background(small_set):
    data = small_set(TWO_NUTS, [(NUT, at(0), 0.9), (NUT, at(700), 0.8), (NUT, at(100), 0.7)])
    assert counts(data) == {"background": 1, "false_positives": 1}
    expected = dict.fromkeys(COLUMNS, 0.0)
    expected["background"] = expected["false_positives"] = 50 / 3 / 101
    assert gains(data) == pytest.approx(expected)


def test_missed(small_set):
    data = small_set(TWO_NUTS, [FOUND])
    assert counts(data) == {"missed": 1, "false_negatives": 1}
    expected = dict.fromkeys(COLUMNS, 0.0)
    expected["missed"] = expected["false_negatives"] = 50 / 101
    assert gains(data) == pytest.approx(expected)


def test_of_errors_about_one_label_the_most_confident_is_mended_and_the_rest_dropped(small_set):
    # Two boxes beside the second nut. The better becomes right, at rank 1; the other vanishes.
    wrong = [(NUT, at(105), 0.9), (NUT, at(104.5), 0.8)]
    data = small_set(TWO_NUTS, [FOUND, *wrong])
    assert error_costs(data).ap == pytest.approx(51 / 101 / 3)
    assert gains(data)["localisation"] == pytest.approx(1 - 51 / 101 / 3)
    # Both beside the nut that is found: nothing is left to be made right of them.
    wrong = [(NUT, at(5), 0.9), (NUT, at(4.5), 0.8)]
    data = small_set(TWO_NUTS, [FOUND, *wrong])
    assert gains(data)["localisation"] == pytest.approx(51 / 101 * 2 / 3)


def test_one_type_does_not_know_of_the_other(small_set):
    # A wrong class, more confident, and a wrong box on the same nut: each alone can be mended.
    wrong = [(BOLT, at(100), 0.9), (NUT, at(105), 0.4)]
    data = small_set(TWO_NUTS, [FOUND, *wrong])
    found = gains(data)
    # With the bolt made a nut all is found before the wrong box; with the box right, too.
    assert found["classification"] == pytest.approx(50 / 101)
    assert found["localisation"] == pytest.approx(50 / 101)
    assert found["missed"] == 0


def test_a_class_that_loses_all_its_labels_leaves_the_mean(small_set):
    data = small_set([(NUT, at(0)), (BOLT, at(100))], [FOUND])
    assert error_costs(data).ap == pytest.approx(0.5)
    assert gains(data)["missed"] == pytest.approx(0.5)
    nothing = small_set(TWO_NUTS, [])
    assert error_costs(nothing).ap == 0
    assert gains(nothing)["missed"] == 1


def test_crowds_and_what_lies_on_them_play_no_part(small_set):
    crowd = (NUT, at(300, 200), True)
    data = small_set([*TWO_NUTS, crowd], [FOUND, (NUT, at(400), 0.9)])
    without = small_set(TWO_NUTS, [FOUND])
    assert counts(data) == counts(without)
    assert gains(data) == pytest.approx(gains(without))
    assert error_costs(data).ap == error_costs(without).ap


def test_nothing_at_all(small_set):
    costs = error_costs(small_set([], [(NUT, at(0), 0.9)]), edges=[0, 20])
    assert np.isnan(costs.ap)
    assert np.isnan(costs.total.gains).all()
    assert costs.total.counts[COLUMNS.index("background")] == 1
    assert costs.as_dict()["types"]["background"] == {"count": 1, "gain": None}
    assert np.isnan(error_costs(small_set([], [])).ap)


def plain_ap(classes, flags, order, wanted):
    """Mean AP in [0, 1]: 101 points, a class after the other; ``flags`` True, False or None."""
    aps = []
    for k in range(max(wanted, default=-1) + 1):
        total = wanted.count(k)
        if not total:
            continue
        right = [flags[d] for d in order if classes[d] == k and flags[d] is not None]
        points = []
        for r in np.linspace(0, 1, 101):
            reached = [
                sum(right[: n + 1]) / (n + 1)
                for n in range(len(right))
                if sum(right[: n + 1]) / total >= r
            ]
            points.append(max(reached, default=0))
        aps.append(sum(points) / 101)
    return sum(aps) / len(aps) if aps else 1.0


def plain_gain(data, errors, column, chosen, label_chosen):
    """ΔAP by plain loops over the documented oracles."""
    found, labels = data.detections, data.labels
    order = sorted(range(len(found)), key=lambda d: (-found.scores[d], found.images[d], d))
    classes = found.categories.tolist()
    flags = [
        {Outcome.IGNORED: None, Outcome.CORRECT: True}.get(Outcome(o), False)
        for o in errors.outcome
    ]
    kept = [g for g in range(len(labels)) if not labels.crowd[g]]
    before = plain_ap(classes, flags, order, [int(labels.categories[g]) for g in kept])
    if column in ("missed", "false_negatives"):
        out = errors.missed if column == "missed" else errors.undetected
        kept = [g for g in kept if not (out[g] and label_chosen[g])]
    taken = set()
    for d in errors.matches.order.tolist():
        kind = Outcome(errors.outcome[d])
        if kind <= Outcome.CORRECT or not chosen[d]:
            continue
        if column not in (kind.name.lower(), "false_positives"):
            continue
        g = int(errors.label[d])
        turned = column in ("classification", "localisation")
        if turned and errors.undetected[g] and g not in taken:
            taken.add(g)
            flags[d], classes[d] = True, int(labels.categories[g])
        else:
            flags[d] = None
    return plain_ap(classes, flags, order, [int(labels.categories[g]) for g in kept]) - before


@pytest.mark.parametrize("seed", range(12))
def test_gains_are_those_of_plain_loops_in_total_and_by_size(seed, random_set):
    data = random_set(seed)
    errors = find_errors(data)
    edges = [0, 12, 20, 100]
    costs = error_costs(data, errors, edges)
    sizes, label_sizes = error_sizes(data, errors)
    ranges = [(0, np.inf), *itertools.pairwise(edges)]
    for row, (low, high) in zip([costs.total, *costs.bins], ranges, strict=True):
        chosen = (low <= sizes) & (sizes < high)
        label_chosen = (low <= label_sizes) & (label_sizes < high)
        for column, gain in zip(COLUMNS, row.gains, strict=True):
            expected = plain_gain(data, errors, column, chosen, label_chosen)
            assert gain == pytest.approx(expected, abs=1e-12), column


def test_what_always_holds(random_set):
    seen = np.zeros(len(COLUMNS))
    for seed in range(60):
        data = random_set(seed, crowds=seed % 2 == 0)
        costs = error_costs(data, edges=[0, 15, 25, np.inf])
        if np.isnan(costs.ap):
            continue
        for row in (costs.total, *costs.bins):
            assert (row.gains >= -1e-12).all()
            assert (row.gains <= 1 - costs.ap + 1e-12).all()
            assert (row.gains[row.counts == 0] == 0).all()
        by_bin = sum(row.counts for row in costs.bins)
        np.testing.assert_array_equal(by_bin, costs.total.counts)
        six, (false_positives, false_negatives) = costs.total.counts[:6], costs.total.counts[6:]
        assert six[:5].sum() == false_positives
        assert six[5] <= false_negatives
        # Each coarse oracle does at least what the fine ones do that only drop or take out.
        only_drop = costs.total.gains[2:5]
        assert (only_drop <= costs.total.gains[6] + 1e-12).all()
        seen += costs.total.gains > 0
    assert (seen > 10).all()


def test_the_size_is_that_of_the_label_concerned_or_of_a_detection_on_its_own(small_set):
    labels = [(NUT, at(0)), (NUT, at(100, 40))]
    detections = [
        (NUT, at(0), 0.9),
        (NUT, at(0, 15), 0.8),  # duplicate
        (NUT, at(500, 90), 0.7),  # background
        (BOLT, at(100, 80), 0.6),  # classification, IoU 1/2
    ]
    data = small_set(labels, detections)
    errors = find_errors(data)
    names = [Outcome(one).name for one in errors.outcome]
    assert names == ["CORRECT", "DUPLICATE", "BACKGROUND", "CLASSIFICATION"]
    sizes, label_sizes = error_sizes(data, errors)
    assert sizes.tolist() == pytest.approx([10, 150**0.5, 30, 20])
    assert label_sizes.tolist() == [10, 20]
    bins = error_costs(data, errors, [10, 20, 30]).bins
    by_bin = [dict(zip(COLUMNS, row.counts.tolist(), strict=True)) for row in bins]
    assert by_bin[0]["duplicate"] == by_bin[0]["false_positives"] == 1
    assert by_bin[1]["classification"] == by_bin[1]["false_negatives"] == 1
    assert by_bin[1]["background"] == 0  # its 30 px lie on the upper edge, outside


def test_as_json(random_set):
    costs = error_costs(random_set(1), edges=[0, 20, np.inf])
    read = json.loads(json.dumps(costs.as_dict(), allow_nan=False))
    assert list(read["types"]) == list(COLUMNS)
    assert [(one["low"], one["high"]) for one in read["bins"]] == [(0, 20), (20, None)]
    assert read["types"]["missed"]["count"] == costs.total.counts[5]


@pytest.mark.parametrize("edges", [[10], [10, 10], [20, 10], [0, float("nan")]])
def test_edges_must_rise(edges, small_set):
    with pytest.raises(ValueError, match="edges must be two rising sizes"):
        error_costs(small_set(TWO_NUTS, [FOUND]), edges=edges)
