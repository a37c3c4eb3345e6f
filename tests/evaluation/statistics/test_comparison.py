"""Paired tests: equal, mirrored, plainly different and hardly different sets of detections."""

import itertools
import math

import numpy as np
import pytest

from smallobj.evaluation.metrics.headline import HeadlineFigures
from smallobj.evaluation.reading.tables import DetectionTable, EvaluationSet, LabelTable
from smallobj.evaluation.statistics.comparison import (
    PairedSets,
    bootstrap_p,
    images_needed,
    interleaved,
)
from smallobj.evaluation.statistics.image_changes import image_changes, image_counts


def drawn_set(seed, images, recall, wrong=1.0):
    """Photographs of three objects each, whose detector finds that share of them."""
    truth = np.random.default_rng(0)
    corner = truth.integers(0, 9, (3 * images, 2)) * 100.0
    boxes = np.hstack([corner, corner + 30])
    number = np.repeat(np.arange(images), 3)
    kinds = truth.integers(0, 2, len(number))
    areas, crowd = np.full(len(number), 900.0), np.zeros(len(number), bool)
    rng = np.random.default_rng(seed)
    found = np.flatnonzero(rng.random(len(number)) < recall)
    noise = np.repeat(np.arange(images), rng.poisson(wrong, images))
    scores = np.concatenate([rng.beta(3, 2, len(found)), rng.beta(2, 3, len(noise))])
    detections = DetectionTable(
        np.concatenate([number[found], noise]),
        np.concatenate([kinds[found], rng.integers(0, 2, len(noise))]),
        np.concatenate([boxes[found], np.tile([950.0, 950, 990, 990], (len(noise), 1))]),
        scores,
    )
    detections = detections[np.argsort(detections.images, kind="stable")]
    names = [f"{i}.jpg" for i in range(images)]
    labels = LabelTable(number, kinds, boxes, areas, crowd)
    sizes = np.full((images, 2), 1000)
    return EvaluationSet(list(range(images)), names, sizes, ["nut", "bolt"], labels, detections)


def test_equal_sets_do_not_differ():
    data = drawn_set(1, 40, 0.6)
    pair = PairedSets(data, data, draws=200)
    for key in pair.a.keys:
        figure = pair.figure(key)
        if math.isnan(figure.a.value):
            assert math.isnan(figure.p)
            continue
        assert figure.difference[:3] == (0, 0, 0), key
        assert (figure.p, figure.better) == (1, 0.5), key
        verdict = pair.verdict(figure)
        assert (verdict.winner, verdict.swap_p, verdict.images_needed) == ("", 1, None)
        assert verdict.sentence.startswith("no difference can be told: B - A is +0.0 points")


@pytest.mark.parametrize("key", ["AP50", "LAMR", "challenge_mAP50", "F1"])
def test_swapped_sets_mirror_each_other(key):
    a, b = drawn_set(1, 60, 0.45), drawn_set(2, 60, 0.75)
    there, back = (PairedSets(*pair, draws=300) for pair in ((a, b), (b, a)))
    one, other = there.figure(key), back.figure(key)
    value, low, high, draws = other.difference
    assert one.difference == pytest.approx((-value, -high, -low, draws))
    assert one.better == pytest.approx(1 - other.better)
    assert one.p == other.p
    verdict, mirrored = there.verdict(one), back.verdict(other)
    assert (verdict.winner, mirrored.winner) == ("B", "A")
    assert verdict.swap_p == mirrored.swap_p
    assert verdict.sentence.replace("B is", "A is") == mirrored.sentence
    assert one.better > 0.97


def test_the_verdict_says_by_how_much():
    pair = PairedSets(drawn_set(1, 60, 0.45), drawn_set(2, 60, 0.75), draws=300)
    figure = pair.figure("AP50")
    change, low, high, _ = figure.difference
    sentence = pair.verdict(figure).sentence
    start = f"B is better by {100 * change:.1f} points of AP50 (95% interval "
    assert sentence.startswith(f"{start}{100 * low:.1f} to {100 * high:.1f}, p = ")
    # LAMR falls where the detector is better; the words give gains, not signs.
    lamr = pair.figure("LAMR")
    assert lamr.difference.high < 0
    start = f"B is better by {-100 * lamr.difference.value:.1f} points of LAMR (95% interval "
    start += f"{-100 * lamr.difference.high:.1f} to {-100 * lamr.difference.low:.1f}, "
    assert pair.verdict(lamr).sentence.startswith(start)


def test_the_verdict_says_how_many_images_it_would_take():
    pair = PairedSets(drawn_set(1, 20, 0.60), drawn_set(4, 20, 0.62), draws=300)
    figure = pair.figure("AP50")
    verdict = pair.verdict(figure)
    assert verdict.winner == ""
    assert verdict.images_needed == images_needed(20, figure.difference.value, figure.spread)
    assert f"about {verdict.images_needed} images like these 20" in verdict.sentence
    undefined = pair.verdict(pair.figure("AP50_70-100"))
    assert undefined.sentence.endswith("AP50_70-100 isn't defined for these labels")


def test_images_needed_by_hand():
    """The spread for a difference of 1 must be 1 / 2.8; twice that needs four times the images."""
    assert images_needed(10, 1.0, 1 / 2.801585) == 10
    assert images_needed(10, 1.0, 2 / 2.801585) == 40
    assert images_needed(10, -1.0, 2 / 2.801585) == 40
    assert images_needed(10, 0.0, 1.0) is None
    assert images_needed(10, 1.0, 0.0) is None
    assert images_needed(10, 0.1, 1.0) is None


def test_bootstrap_p_by_hand():
    assert bootstrap_p(np.array([1.0] * 99)) == pytest.approx(2 * 1 / 100)
    assert bootstrap_p(np.array([1.0] * 95 + [-1.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert bootstrap_p(np.array([-1.0] * 95 + [0.0] * 4)) == pytest.approx(2 * 5 / 100)
    assert bootstrap_p(np.zeros(99)) == 1
    assert math.isnan(bootstrap_p(np.zeros(0)))


def test_swapping_gives_the_share_of_all_swaps():
    """With 6 images all 64 swaps can be listed; each set is put together literally."""
    a, b = drawn_set(1, 6, 0.4), drawn_set(2, 6, 0.9)
    pair = PairedSets(a, b, draws=4000)
    seen = abs(float(pair.b.values("AP50")) - float(pair.a.values("AP50")))
    larger = 0
    for choice in itertools.product((False, True), repeat=6):
        swapped = np.array(choice)
        one, other = (mixed(a, b, swapped), mixed(b, a, swapped))
        change = HeadlineFigures(other).values("AP50") - HeadlineFigures(one).values("AP50")
        larger += abs(float(change)) >= seen - 1e-12
    assert pair.swap_p("AP50") == pytest.approx(larger / 64, abs=0.03)
    assert 0.02 < larger / 64 < 0.9


def mixed(a, b, swapped):
    """The detections of A, on swapped images those of B."""
    parts = []
    for i, other in enumerate(swapped):
        table = (b if other else a).detections
        parts.append(table[table.images == i])
    names = ("images", "categories", "boxes", "scores")
    columns = [np.concatenate([getattr(one, name) for one in parts]) for name in names]
    return a.with_detections(DetectionTable(*columns))


@pytest.mark.parametrize("seed", range(4))
def test_interleaved_sets_hold_both(random_set, seed):
    a = random_set(seed, images=5)
    b = a.with_detections(random_set(seed + 10, images=5).detections)
    both = HeadlineFigures(interleaved(a, b))
    only_a, only_b = np.tile([1, 0], 5), np.tile([0, 1], 5)
    for data, weights in ((a, only_a), (b, only_b)):
        alone = HeadlineFigures(data)
        for key in alone.keys:
            expected = pytest.approx(float(alone.values(key)), nan_ok=True)
            assert float(both.values(key, weights)) == expected, key


def test_no_difference_is_rarely_told_where_there_is_none():
    """120 pairs of equally good detectors: about 5% may be told apart, hardly more."""
    told = 0
    for seed in range(120):
        a, b = drawn_set(2 * seed + 1, 30, 0.6), drawn_set(2 * seed + 2, 30, 0.6)
        pair = PairedSets(a, b, bins=(), draws=100, seed=seed)
        told += bool(pair.verdict(pair.figure("AP50")).winner)
    assert told <= 13


def test_images_that_gained_and_lost_by_hand(small_set):
    nut, bolt = (0, [0, 0, 20, 20]), (1, [50, 50, 70, 70])
    labels = [nut, bolt]
    a = small_set(labels, [(*nut, 0.9)])
    b = small_set(labels, [(*nut, 0.9), (*bolt, 0.8), (2, [0, 0, 20, 20], 0.7)])
    counts_a, counts_b = image_counts(a), image_counts(b)
    assert (counts_a.confidence, counts_a.found.tolist(), counts_a.wrong.tolist()) == (
        0.9,
        [1],
        [0],
    )
    # At 0.8 F1 is 1; the wrong coin at 0.7 isn't shown.
    assert (counts_b.confidence, counts_b.found.tolist(), counts_b.wrong.tolist()) == (
        0.8,
        [2],
        [0],
    )
    gained, lost = image_changes(a, counts_a, counts_b)
    assert [one[1:] for one in gained] == [("7.jpg", 1, (1, 2), (0, 0))]
    assert lost == []
    gained, lost = image_changes(a, counts_b, counts_a)
    assert gained == []
    assert [one[1:] for one in lost] == [("7.jpg", -1, (2, 1), (0, 0))]
    nothing = image_counts(small_set(labels, []))
    assert (nothing.confidence, nothing.found.tolist()) == (math.inf, [0])


def test_the_largest_changes_come_first():
    a, b = drawn_set(1, 50, 0.5), drawn_set(2, 50, 0.6)
    counts = image_counts(a), image_counts(b)
    gained, lost = image_changes(a, *counts, most=5)
    change = (counts[1].found - counts[1].wrong) - (counts[0].found - counts[0].wrong)
    assert [one.change for one in gained] == sorted(change, reverse=True)[:5]
    assert [one.change for one in lost] == sorted(change)[:5]
    assert all(change[one.image] == one.change for one in gained + lost)


def test_other_images_classes_or_labels_are_told():
    a = drawn_set(1, 4, 0.5)
    with pytest.raises(ValueError, match=r"same images .*; got 4 and 3.* number 3, which only one"):
        PairedSets(a, drawn_set(1, 3, 0.5))
    renamed = EvaluationSet(
        [0, 1, 2, 7], a.file_names, a.sizes, a.class_names, a.labels, a.detections
    )
    with pytest.raises(ValueError, match=r"same images .* number 3: 3 and 7"):
        PairedSets(a, renamed)
    classes = EvaluationSet(
        a.image_ids, a.file_names, a.sizes, ["nut", "coin"], a.labels, a.detections
    )
    with pytest.raises(ValueError, match=r"same classes .* number 1: 'bolt' and 'coin'"):
        PairedSets(a, classes)
    fewer = EvaluationSet(
        a.image_ids, a.file_names, a.sizes, a.class_names, a.labels[:5], a.detections
    )
    with pytest.raises(ValueError, match="same labels"):
        PairedSets(a, fewer)
