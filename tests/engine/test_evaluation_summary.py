"""An evaluation on the console: the headline, some classes, all sizes."""

import math

from smallobj.engine.evaluation_summary import evaluation_summary


def boxes(figures):
    named = {f"{kind}-{name}": value for name, value in figures.items() for kind in ("AP", "AP50")}
    return {"AP": 12.34, "AP50": 25.0, "AP75": math.nan, **named}


def test_headline_classes_and_sizes():
    sizes = {"AP50-10-20": 5.0, "recall-10-20": 50.0, "AP50-20-40": math.nan, "recall-20-40": 0.0}
    results = {"bbox": boxes({"a-b": 10.0, "nut": 40.0, "none": math.nan}), "sizes": sizes}
    assert evaluation_summary("val", results, "bbox/AP50").splitlines() == [
        "val: bbox/AP50 25.0",
        "|   AP   |  AP50  |  AP75  |",
        "|:------:|:------:|:------:|",
        "|  12.3  |  25.0  |   -    |",
        "  class      AP    AP50",
        "  nut      40.0    40.0",
        "  a-b      10.0    10.0",
        "  1 classes without labels",
        "  size in px    AP50  recall",
        "  10-20          5.0    50.0",
        "  20-40            -     0.0",
    ]


def test_of_many_classes_the_best_and_the_worst_ten_are_shown():
    figures = boxes({f"class {n}": float(n) for n in range(25)})
    rows = evaluation_summary("val", {"bbox": figures}, "bbox/AP50").splitlines()[5:]
    shown = [row.split()[1] for row in rows]
    assert shown == [*map(str, range(24, 14, -1)), "5", *map(str, range(9, -1, -1))]
    figures = boxes({f"class {n}": float(n) for n in range(20)})
    assert len(evaluation_summary("val", {"bbox": figures}).splitlines()) == 25


def test_other_metrics_than_boxes():
    assert (
        evaluation_summary("val", {"focus": {"saved": 61.2}}, "focus/saved")
        == "val: focus/saved 61.2"
    )
    masks = {"bbox": boxes({"a": 1.0}), "segm": boxes({"a": 2.0})}
    assert "  a         2.0     2.0" in evaluation_summary("val", masks, "segm/AP50").splitlines()
    assert evaluation_summary("val", {}) == "val: evaluated"
