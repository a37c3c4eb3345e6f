import logging

import smallobj  # isort: skip  # noqa: F401  (first: makes Detectron2 import)

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from smallobj.checkpoint import SafeCheckpointer, load_weights, read_class_names, save_weights
from smallobj.checkpoint.class_rows import ClassRows, ModelClasses

DIVISION = ClassRows(before=1, each=2, after=1)


class Net(nn.Module):
    """A layer without classes, and one whose rows are 2 (1 + 2 K + 1)."""

    def __init__(self, *names, known=True):
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.head = nn.Linear(4, 2 * (2 + 2 * len(names)))
        rows = {"head.weight": DIVISION, "head.bias": DIVISION} if known else None
        self.classes = ModelClasses(names, rows)


def biases(net):
    """(group, row of the group): what a class's rows are looked up in."""
    return net.head.bias.detach().view(2, -1).tolist()


@pytest.fixture
def file(tmp_path):
    """Weights for the classes a, b and c, whose biases count up."""
    net = Net("a", "b", "c")
    net.head.bias = nn.Parameter(torch.arange(16.0))
    save_weights(net, tmp_path / "abc.safetensors")
    return tmp_path / "abc.safetensors"


def test_rows_are_moved_group_by_group(file):
    net = Net("c", "a", "b")
    load_weights(net, file)
    assert biases(net) == [[0, 5, 6, 1, 2, 3, 4, 7], [8, 13, 14, 9, 10, 11, 12, 15]]


def test_new_classes_start_fresh_and_others_are_not_used(file, caplog):
    net = Net("b", "d")
    net.head.bias = nn.Parameter(torch.full((12,), -1.0))
    stem = load_file(file)["stem.weight"]
    with caplog.at_level(logging.INFO):
        SafeCheckpointer(net).resume_or_load(str(file), resume=False)
    assert biases(net) == [[0, 3, 4, -1, -1, 7], [8, 11, 12, -1, -1, 15]]
    assert torch.equal(net.stem.weight, stem.float())
    assert "taken by name: 1 class; new: 'd'; not used: 'a', 'c'" in caplog.text


def test_new_names_like_unused_ones_are_pointed_out(file, caplog):
    with caplog.at_level(logging.INFO):
        SafeCheckpointer(Net("b", "C ")).resume_or_load(str(file), resume=False)
    assert "not used: 'a', 'c' ('C ' and 'c' differ only by case, blanks" in caplog.text


def test_the_same_order_is_loaded_without_a_word(file, caplog):
    net = Net("a", "b", "c")
    with caplog.at_level(logging.INFO):
        load_weights(net, file)
    assert "classes" not in caplog.text
    assert biases(net)[1] == [8, 9, 10, 11, 12, 13, 14, 15]


def test_exact_loading_refuses_other_classes(file):
    with pytest.raises(
        ValueError, match=r"only in the model: 'd'; only in .*abc\.safetensors: 'a'"
    ):
        load_weights(Net("b", "c", "d"), file)


def test_a_model_whose_tensors_are_unknown_is_not_guessed_at(file, caplog):
    net = Net("c", "b", "a", known=False)
    with pytest.raises(ValueError, match=r"another order than the model's; set MODEL\.CLASS_NAMES"):
        load_weights(net, file)
    SafeCheckpointer(net).resume_or_load(str(file), resume=False)
    assert "which tensors of a Net belong to classes is not known" in caplog.text


def test_parts_without_classes_say_nothing_of_them(file, caplog):
    net = Net("b", "d")
    with caplog.at_level(logging.INFO):
        SafeCheckpointer(net, parts=("stem",)).resume_or_load(str(file), resume=False)
    assert "by name" not in caplog.text


def test_equally_long_rows_of_another_division_are_left_out(file, caplog):
    net = Net("a", "d")
    net.head = nn.Linear(4, 16)
    net.classes = ModelClasses(("a", "d"), {"head.bias": ClassRows(each=2, after=4)})
    before = net.head.bias.detach().clone()
    with caplog.at_level(logging.INFO):
        SafeCheckpointer(net).resume_or_load(str(file), resume=False)
    assert torch.equal(net.head.bias, before)
    assert "divided in another way: head.bias" in caplog.text


def test_a_resumed_training_needs_the_order_of_its_checkpoint(tmp_path):
    SafeCheckpointer(Net("a", "b"), str(tmp_path)).save("model_0000009", iteration=9)
    same, other = Net("a", "b"), Net("b", "a")
    assert SafeCheckpointer(same, str(tmp_path)).resume_or_load("", resume=True)["iteration"] == 9
    with pytest.raises(ValueError, match="in another order than the model's"):
        SafeCheckpointer(other, str(tmp_path)).resume_or_load("", resume=True)


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_names_are_read_without_a_model(tmp_path, ending):
    path = tmp_path / f"w{ending}"
    if ending == ".safetensors":
        save_weights(Net("a", "Brazil nut", "\ubc24"), path)
    else:
        # The older of torch's formats, which is no zip, in one of the two.
        content = {"model": {}, "class_names": ["a", "Brazil nut", "\ubc24"]}
        torch.save(content, path, _use_new_zipfile_serialization=ending == ".pth")
    assert read_class_names(path) == ["a", "Brazil nut", "\ubc24"]


def test_files_without_names_are_loaded_and_it_is_said(tmp_path, file, caplog):
    tensors = load_file(file)
    save_file(tensors, tmp_path / "bare.safetensors")
    assert read_class_names(tmp_path / "bare.safetensors") == []
    net = Net("c", "b", "a")
    SafeCheckpointer(net).resume_or_load(str(tmp_path / "bare.safetensors"), resume=False)
    assert biases(net)[0] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert "bare.safetensors doesn't name its classes" in caplog.text
    assert "could not be checked" in caplog.text
    caplog.clear()
    # A backbone's file has nothing whose order could be wrong.
    save_file({"stem.weight": tensors["stem.weight"]}, tmp_path / "stem.safetensors")
    SafeCheckpointer(net).resume_or_load(str(tmp_path / "stem.safetensors"), resume=False)
    assert "could not be checked" not in caplog.text


@pytest.mark.parametrize("names", ["red", ["red", "red"], [1, 2], {"0": "red"}, [""]])
def test_names_of_another_kind_are_not_used(tmp_path, names, caplog):
    torch.save({"model": {}, "class_names": names}, tmp_path / "w.pth")
    assert read_class_names(tmp_path / "w.pth") == []
    assert "no list of distinct texts" in caplog.text
