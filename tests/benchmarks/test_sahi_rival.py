"""benchmarks.sahi_rival: SAHI runs the same model."""

from __future__ import annotations

import pytest

from benchmarks.rivals import Settings, build_rival
from benchmarks.sahi_rival import SahiRival
from smallobj.data.image_file import read_image


class Value:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


def test_results_become_instances_by_decreasing_score() -> None:
    def prediction(box: list[float], score: float, category: int) -> Value:
        return Value(
            bbox=Value(to_xyxy=lambda: box), score=Value(value=score), category=Value(id=category)
        )

    result = Value(
        object_prediction_list=[prediction([0, 1, 2, 3], 0.2, 1), prediction([4, 5, 6, 7], 0.9, 2)]
    )
    found = SahiRival.instances(result, (10, 20))
    assert found.image_size == (10, 20)
    assert found.pred_boxes.tensor.tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    assert found.pred_classes.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.2])
    empty = SahiRival.instances(Value(object_prediction_list=[]), (10, 20))
    assert empty.pred_boxes.tensor.shape == (0, 4)


@pytest.fixture
def sahi() -> None:
    pytest.importorskip("sahi", reason="SAHI is not installed: requirements-benchmark.txt")


@pytest.mark.usefixtures("sahi")
def test_sahi_finds_what_the_model_finds(tiny_settings: Settings, photograph: str) -> None:
    """One slice contains the image, so SAHI's result is the model's own after NMS."""
    settings = Settings(
        tiny_settings.config_file, tiny_settings.weights, "cpu", tile=192, overlap=0.0
    )
    rivals = {name: build_rival(name, settings) for name in ("sahi-native", "whole")}
    image = read_image(photograph)
    found = {}
    for name, rival in rivals.items():
        (result,) = rival.detect_arrays([rival.prepare(image)])
        found[name] = rival.instances(result, image.shape[:2])
    assert len(found["sahi-native"]) > 0
    best = found["whole"].scores.max()
    assert float(found["sahi-native"].scores.max()) == pytest.approx(float(best), abs=1e-4)
    (read,) = rivals["sahi-native"].detect_files([photograph])
    assert len(read.object_prediction_list) == len(found["sahi-native"])
