"""The cache folder of arrays."""

import os

import numpy as np
import pytest

from smallobj.data.image_cache import ImageCache


class Maker:
    """Counts its calls."""

    def __init__(self, value=1, count=1000):
        self.calls = 0
        self.value = value
        self.count = count

    def __call__(self):
        self.calls += 1
        return {"image": np.full(self.count, self.value, np.uint8)}


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"pixels")
    return str(path)


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "cache")


def test_each_image_is_computed_once_even_by_another_process(photograph, folder):
    make = Maker()
    for cache in (ImageCache(folder, 1e6), ImageCache(folder, 1e6)):
        for _ in range(2):
            kept = cache(photograph, "small", make)
            assert kept["image"].dtype == np.uint8
            assert kept["image"].tolist() == [1] * 1000
    assert make.calls == 1
    assert len(os.listdir(folder)) == 1, "no half-written file stays"


def test_another_description_of_the_computation_is_another_entry(photograph, folder):
    cache = ImageCache(folder, 1e6)
    cache(photograph, "small", Maker(1))
    assert cache(photograph, "large", Maker(2))["image"][0] == 2
    assert cache(photograph, "small", Maker(3))["image"][0] == 1


def test_a_changed_file_is_read_again(photograph, folder):
    cache = ImageCache(folder, 1e6)
    cache(photograph, "small", Maker(1))
    with open(photograph, "ab") as file:
        file.write(b"more")
    assert cache(photograph, "small", Maker(2))["image"][0] == 2


def test_the_folder_stays_within_its_limit(photograph, folder, tmp_path):
    cache = ImageCache(folder, 5000)
    makers = [Maker() for _ in range(8)]
    for _ in range(2):
        for number, make in enumerate(makers):
            cache(photograph, str(number), make)
    assert sum(entry.stat().st_size for entry in os.scandir(folder)) <= 5000
    assert [make.calls for make in makers] == [1] * 3 + [2] * 5
    # For a second process the folder is full.
    late = Maker()
    for _ in range(2):
        ImageCache(folder, 5000)(photograph, "late", late)
    assert late.calls == 2


def test_a_limit_of_zero_creates_no_folder(photograph, folder):
    make = Maker()
    for _ in range(2):
        ImageCache(folder, 0)(photograph, "small", make)
    assert make.calls == 2
    assert not os.path.exists(folder)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off"], ids=["empty", "cut"])
def test_a_damaged_cache_file_is_recomputed(photograph, folder, damage):
    cache = ImageCache(folder, 1e6)
    cache(photograph, "small", Maker(1))
    (name,) = os.listdir(folder)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(damage)
    assert cache(photograph, "small", Maker(2))["image"][0] == 2
    assert cache(photograph, "small", Maker(3))["image"][0] == 2


def test_pickles_in_the_cache_are_not_read(photograph, folder):
    cache = ImageCache(folder, 1e6)
    cache(photograph, "small", Maker(1))
    (name,) = os.listdir(folder)
    with open(os.path.join(folder, name), "wb") as file:
        np.savez(file, image=np.array([{"a": 1}], dtype=object))
    assert cache(photograph, "small", Maker(2))["image"][0] == 2


def test_a_folder_that_cannot_be_written_disables_the_cache(photograph, tmp_path):
    (tmp_path / "file").write_text("no folder")
    make = Maker()
    cache = ImageCache(str(tmp_path / "file"), 1e6)
    for _ in range(2):
        assert cache(photograph, "small", make)["image"][0] == 1
    assert make.calls == 2


def test_a_negative_bound_is_refused(folder):
    with pytest.raises(ValueError, match="MAX_GB must not be negative; got -1"):
        ImageCache(folder, -1)
