import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from smallobj.checkpoint import SafeCheckpointer, load_weights, read_checkpoint, save_weights

from detectron2.engine import SimpleTrainer, hooks  # isort: skip
from detectron2.solver import WarmupMultiStepLR  # isort: skip


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, 2)
        self.register_buffer("pixel_mean", torch.tensor([103.5, 116.3, 123.7]))

    def forward(self, batch):
        return {"loss": self.head(self.norm(self.stem(batch)).mean((2, 3))).square().mean()}


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def same(a, b, tolerance=0.0):
    a, b = a.state_dict(), b.state_dict()
    return all(torch.allclose(a[k].double(), b[k].double(), rtol=tolerance, atol=0) for k in a)


@pytest.mark.parametrize("suffix", ["pth", "pt"])
def test_reads_torch_files_with_and_without_model_key(tmp_path, net, suffix):
    for content in (net.state_dict(), {"model": net.state_dict(), "iteration": 7}):
        torch.save(content, tmp_path / f"w.{suffix}")
        fresh = Net()
        rest = SafeCheckpointer(fresh).load(str(tmp_path / f"w.{suffix}"))
        assert same(net, fresh)
        assert rest.get("iteration") == content.get("iteration")


def test_half_file_fills_float32_parameters(tmp_path, net):
    save_weights(net, tmp_path / "w.safetensors")
    stored = load_file(tmp_path / "w.safetensors")
    assert stored["stem.weight"].dtype == torch.float16
    assert stored["norm.num_batches_tracked"].dtype == torch.int64
    assert "pixel_mean" not in stored
    fresh = Net()
    load_weights(fresh, tmp_path / "w.safetensors")
    assert {p.dtype for p in fresh.parameters()} == {torch.float32}
    assert torch.equal(fresh.stem.weight, net.stem.weight.half().float())
    assert same(net, fresh, tolerance=1e-3)


def test_full_precision_is_exact_and_shared_tensors_are_written(tmp_path, net):
    net.tied = net.head
    save_weights(net, tmp_path / "w.safetensors", half=False)
    fresh = Net()
    fresh.tied = fresh.head
    load_weights(fresh, tmp_path / "w.safetensors")
    assert same(net, fresh)


def test_save_refuses_overflow_and_other_endings(tmp_path, net):
    with pytest.raises(ValueError, match=r"\.safetensors; got .*w\.pth"):
        save_weights(net, tmp_path / "w.pth")
    net.norm.running_var.fill_(1e6)
    with pytest.raises(ValueError, match=r"norm\.running_var holds values beyond float16"):
        save_weights(net, tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


def test_misfits_are_named(tmp_path, net):
    state = net.state_dict()
    state["odd.weight"] = state.pop("stem.weight")
    state["head.weight"] = torch.zeros(3, 4)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="do not fit") as caught:
        load_weights(Net(), tmp_path / "w.safetensors")
    message = str(caught.value)
    assert "1 missing: stem.weight" in message
    assert "1 unexpected: odd.weight" in message
    assert "1 of another shape: head.weight (3, 4) in the file, (2, 4) in the model" in message


def test_at_most_ten_names_are_listed(tmp_path, net):
    state = net.state_dict() | {f"extra{i}": torch.zeros(1) for i in range(25)}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"25 unexpected: .*and 15 more") as caught:
        load_weights(Net(), tmp_path / "w.safetensors")
    assert str(caught.value).count("extra") == 10


def test_misfits_are_logged_when_not_strict(tmp_path, net, caplog):
    state = net.state_dict()
    state["odd.weight"] = state.pop("stem.weight")
    save_file(state, tmp_path / "w.safetensors")
    for load in (
        lambda: load_weights(Net(), tmp_path / "w.safetensors", strict=False),
        lambda: SafeCheckpointer(Net()).load(str(tmp_path / "w.safetensors")),
    ):
        caplog.clear()
        load()
        assert "stem" in caplog.text
        assert "odd" in caplog.text


def test_no_path_means_from_scratch(net):
    assert SafeCheckpointer(net).load("") == {}


def test_parts_are_taken_at_the_beginning_and_all_when_it_goes_on(tmp_path, net):
    fresh = Net()
    before = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    checkpointer = SafeCheckpointer(fresh, str(tmp_path), parts=["stem"])
    save_weights(net, tmp_path / "start.safetensors", half=False)
    checkpointer.resume_or_load(str(tmp_path / "start.safetensors"), resume=True)
    for name, tensor in fresh.state_dict().items():
        expected = net.state_dict() if name.startswith("stem") else before
        assert torch.equal(tensor, expected[name]), name
    # From here on there is a checkpoint, and a run that goes on takes it whole.
    SafeCheckpointer(net, str(tmp_path)).save("model_0000001")
    checkpointer.resume_or_load(str(tmp_path / "start.safetensors"), resume=True)
    assert same(net, fresh)


def test_parts_that_the_file_lacks_are_told(tmp_path, net):
    save_weights(net, tmp_path / "w.safetensors")
    checkpointer = SafeCheckpointer(net, str(tmp_path), parts=["backbone"])
    with pytest.raises(ValueError, match=r"\['backbone'\]: no tensor .*head, norm, stem"):
        checkpointer.resume_or_load(str(tmp_path / "w.safetensors"), resume=False)


def test_missing_file_names_path_and_key(tmp_path, net):
    path = str(tmp_path / "none.pth")
    for load in (SafeCheckpointer(net).load, read_checkpoint):
        with pytest.raises(FileNotFoundError, match=r"none\.pth.*MODEL\.WEIGHTS"):
            load(path)


@pytest.mark.parametrize("address", ["https://host/a.pth", "http://a/b.pth", "detectron2://r.pkl"])
def test_addresses_are_refused(net, address):
    with pytest.raises(ValueError, match="download the file first"):
        SafeCheckpointer(net).load(address)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello, not weights", b"PK\x03\x04broken"])
def test_broken_files_are_value_errors_with_the_name(tmp_path, net, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        SafeCheckpointer(net).load(str(tmp_path / name))


def test_content_that_is_no_dict_of_tensors(tmp_path):
    for content in ([1], {"model": 3}, {"a": "text"}):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(ValueError, match="dict of tensors"):
            read_checkpoint(tmp_path / "w.pth")


class Trained(SimpleTrainer):
    """Detectron2's training loop with the hooks that carry state into a checkpoint."""

    def __init__(self, folder, steps):
        torch.manual_seed(1)
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
        generator = torch.Generator().manual_seed(3)
        super().__init__(model, [torch.rand(2, 3, 8, 8, generator=generator)] * 20, optimizer)
        scheduler = WarmupMultiStepLR(optimizer, [3, 5], warmup_iters=2)
        self.checkpointer = SafeCheckpointer(model, str(folder), trainer=self)
        self.register_hooks([hooks.LRScheduler(optimizer, scheduler)])
        self.scheduler = scheduler
        if self.checkpointer.has_checkpoint():
            self.checkpointer.resume_or_load("", resume=True)
        self.train(self.iter + 1 if hasattr(self, "iter") and self.iter else 0, steps)


def test_training_resumes_as_if_never_interrupted(tmp_path):
    (tmp_path / "parts").mkdir()
    straight = Trained(tmp_path / "straight", 6)
    first = Trained(tmp_path / "parts", 4)
    first.iter -= 1  # train() leaves it one past the last step done
    first.checkpointer.save("model_0000003")
    second = Trained(tmp_path / "parts", 6)
    assert second.start_iter == 4
    assert same(straight.model, second.model)
    assert straight.scheduler.last_epoch == second.scheduler.last_epoch
    assert straight.scheduler.get_last_lr() == second.scheduler.get_last_lr()
    for mine, other in zip(
        straight.optimizer.state.values(), second.optimizer.state.values(), strict=True
    ):
        assert torch.equal(mine["momentum_buffer"], other["momentum_buffer"])
