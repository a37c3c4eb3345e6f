"""How files fit models: what is refused, what is counted, and in which words."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from smallobj.checkpoint import SafeCheckpointer, load_weights, read_checkpoint, save_weights
from smallobj.checkpoint.reading import BrokenFileError


class Net(nn.Module):
    def __init__(self, classes=2):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, classes)


def write(path, **changes):
    """A file of Net's tensors, in which some are replaced."""
    save_file({**Net().state_dict(), **changes}, path)
    return str(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path, suffix, value):
    state = Net().half().state_dict()
    state["backbone.0.weight"].view(-1)[7] = value
    path = tmp_path / f"w.{suffix}"
    save = save_file if suffix == "safetensors" else torch.save
    save(state, path)
    told = r"w\.\w+: 1 of 9 tensors hold NaN or infinite.*backbone\.0\.weight \(1 of 108 values\)"
    for read in (
        read_checkpoint,
        lambda path: load_weights(Net(), path),
        lambda path: SafeCheckpointer(Net()).load(str(path)),
    ):
        with pytest.raises(BrokenFileError, match=told):
            read(path)


def test_a_resumed_training_goes_back_to_finite_weights(tmp_path, caplog):
    whole, broken = Net(), Net()
    broken.head.weight.data.fill_(float("nan"))
    for number, net in enumerate((whole, broken)):
        SafeCheckpointer(net, str(tmp_path)).save(f"model_000000{number}")
    fresh = Net()
    SafeCheckpointer(fresh, str(tmp_path)).resume_or_load("", resume=True)
    assert torch.equal(fresh.head.weight, whole.head.weight)
    assert "model_0000001.pth: 1 of 9 tensors hold NaN" in caplog.text


def test_a_file_without_the_backbone_is_refused_with_both_sides(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"conv.weight": torch.zeros(1), **Net().head.state_dict(prefix="head.")}, path)
    with pytest.raises(ValueError, match="none of the model's backbone") as caught:
        SafeCheckpointer(Net()).load(str(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "2 of the model's 8 tensors taken" in message
    assert "6 missing: backbone.0.weight, " in message
    assert "1 unexpected: conv.weight" in message


@pytest.mark.parametrize(
    ("rename", "told"),
    [
        (lambda name: name.removeprefix("backbone."), "6 names .* with 'backbone.' before them"),
        (lambda name: f"student.{name}", "8 names .* without the 'student.'"),
    ],
)
def test_a_prefix_that_would_make_it_fit_is_told(tmp_path, rename, told):
    state = {rename(name): tensor for name, tensor in Net().state_dict().items()}
    state = {k: v for k, v in state.items() if not k.startswith("head")}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=told):
        SafeCheckpointer(Net()).load(str(tmp_path / "w.safetensors"))


def test_another_shape_of_the_backbone_is_no_fit(tmp_path):
    state = {name: torch.zeros(9) for name in Net().state_dict() if name.startswith("backbone")}
    path = write(tmp_path / "w.safetensors", **state)
    shapes = (
        r"6 of another shape: backbone.0.weight \(9,\) in the file, \(4, 3, 3, 3\) in the model"
    )
    with pytest.raises(ValueError, match=shapes):
        SafeCheckpointer(Net()).load(path)


def test_a_partial_match_is_one_sentence(tmp_path, caplog):
    path = tmp_path / "w.safetensors"
    save_file({**Net(classes=7).state_dict(), "extra": torch.zeros(1)}, path)
    SafeCheckpointer(Net()).load(str(path))
    (told,) = [message for message in caplog.messages if "tensors taken" in message]
    assert told == (
        f"{path}: 6 of the model's 8 tensors taken; 2 of another shape: head.weight (7, 4) in the "
        "file, (2, 4) in the model, head.bias (7,) in the file, (2,) in the model; "
        "1 unexpected: extra"
    )


def test_a_complete_match_and_wanted_parts_need_no_word(tmp_path, caplog):
    path = write(tmp_path / "w.safetensors")
    SafeCheckpointer(Net()).load(path)
    SafeCheckpointer(Net(), parts=["head"]).load(path)
    assert "tensors taken" not in caplog.text


def test_counters_of_batch_norm_may_be_missing(tmp_path):
    save_weights(Net(), tmp_path / "w.safetensors")
    state = load_file(tmp_path / "w.safetensors")
    del state["backbone.1.num_batches_tracked"]
    save_file(state, tmp_path / "w.safetensors")
    load_weights(Net(), tmp_path / "w.safetensors")
