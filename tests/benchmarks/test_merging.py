"""The random boxes on which mergers are timed."""

import torch

from benchmarks.merging import MERGERS, benchmark_mergers, make_boxes
from smallobj.geometry.boxes import connected_components, overlapping_pairs


def test_random_boxes_crowd_around_objects():
    found = make_boxes(2000, (3000, 4000), seed=1)
    boxes = found.pred_boxes.tensor
    assert len(found) == 2000
    assert found.image_size == (3000, 4000)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert 5 < sides.min() < 12
    assert 90 < sides.max() < 200
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert (centres.amax(dim=0) > torch.tensor([3800, 2800])).all()
    assert (centres.amax(dim=0) < torch.tensor([4050, 3050])).all()
    # About 2000 / 4.5 objects, some of which overlap another one of their class.
    labels = connected_components(2000, *overlapping_pairs(boxes, found.pred_classes))
    assert 380 < len(labels.unique()) < 460


def test_random_boxes_depend_on_the_seed():
    first, again, other = (make_boxes(50, (300, 400), seed).pred_boxes.tensor for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_merger_is_timed():
    threads = torch.get_num_threads()
    try:
        timings = benchmark_mergers(60, (300, 400), class_agnostic=True, runs=2)
    finally:
        torch.set_num_threads(threads)
    assert [timing.name for timing in timings] == list(MERGERS)
    assert {(timing.items, len(timing.seconds)) for timing in timings} == {(60, 2)}
