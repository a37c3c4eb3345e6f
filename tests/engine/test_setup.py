"""From command line to config."""

import json

import pytest
import torch

from smallobj import load_config
from smallobj.engine import choose_gpus, prepare_config
from smallobj.modeling import build_model


@pytest.fixture
def prepare(repository, tiny_dataset, catalog):
    def make(*options, num_gpus=0, prefix="setup", config="cascade_r18.yaml", eval_only=False):
        path = str(repository / "configs" / config)
        words = [*tiny_dataset.options(prefix), *map(str, options)]
        return prepare_config(path, words, num_gpus, eval_only)

    return make


@pytest.mark.parametrize(("found", "requested"), [(0, 1), (2, 3)])
def test_more_gpus_than_there_are(monkeypatch, found, requested):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    with pytest.raises(ValueError, match=f"--num-gpus {requested} .*: {found} found") as caught:
        choose_gpus(requested)
    assert "--num-gpus 0 to run on the CPU" in str(caught.value)
    assert ("--num-gpus 2 at most" in str(caught.value)) == (found == 2)
    assert choose_gpus(found) == found
    assert choose_gpus(0) == 0


@pytest.mark.parametrize(("found", "chosen"), [(0, 0), (1, 1), (2, 1)])
def test_without_a_number_one_gpu_is_taken_or_the_cpu(monkeypatch, caplog, found, chosen):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    assert choose_gpus(None) == chosen
    assert ("running on the CPU, as with --num-gpus 0" in caplog.text) == (found == 0)


def test_a_gpu_that_somebody_asks_for_must_be_there(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=r"MODEL\.DEVICE cuda:1: PyTorch finds no GPU; give"):
        choose_gpus(None, ["SEED", "1", "MODEL.DEVICE", "cuda:1"])
    assert choose_gpus(None, ["MODEL.DEVICE", "cpu"]) == 0
    assert not caplog.text, "the CPU was chosen"


def test_classes_come_from_the_data(prepare, tiny_dataset):
    cfg = prepare()
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 3
    assert tuple(cfg.MODEL.CLASS_NAMES) == tiny_dataset.names
    assert cfg.is_frozen()


def test_another_number_of_classes_is_told_with_both_numbers(prepare):
    with pytest.raises(ValueError, match=r"NUM_CLASSES in the config is 7.*has 3"):
        prepare("MODEL.ROI_HEADS.NUM_CLASSES", 7)


def test_the_device_follows_the_number_of_gpus(prepare):
    assert prepare().MODEL.DEVICE == "cpu"
    assert prepare(num_gpus=1).MODEL.DEVICE == "cuda"


def test_frequencies_of_classes_come_from_the_training_data(prepare):
    loss = ("MODEL.ROI_BOX_HEAD.CLS_LOSS", "equalization")
    # Six photographs, the last of which shows nothing; the others show all three classes.
    frequencies = prepare(*loss).MODEL.ROI_BOX_HEAD.CLASS_FREQUENCIES
    assert frequencies == pytest.approx([5 / 6] * 3)


def bad_split(tiny_dataset, tmp_path):
    labels = json.loads((tiny_dataset.root / "train.json").read_text())
    labels["0.jpg"].append([9, 1, 1, 5, 5])
    labels["1.jpg"].append([0, 300, 10, 500, 5])
    labels["none.jpg"] = []
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(labels))
    root = tiny_dataset.root
    spec = f"broken=challenge:{path}:{root}/train:{root}/names.txt"
    return ["DATASETS.REGISTER", repr([spec]), "DATASETS.TRAIN", "('broken',)"]


def test_every_bad_label_is_listed_before_training(prepare, tiny_dataset, tmp_path):
    options = [*bad_split(tiny_dataset, tmp_path), "DATASETS.TEST", "()"]
    with pytest.raises(ValueError, match=r"bad\.json") as error:
        prepare(*options)
    for entry in ("0.jpg[3]", "1.jpg[3]", "none.jpg"):
        assert entry in str(error.value)


def test_the_check_can_be_left_out(prepare, tiny_dataset, tmp_path):
    options = [*bad_split(tiny_dataset, tmp_path), "DATASETS.TEST", "()", "DATASETS.CHECK", "False"]
    assert prepare(*options).MODEL.ROI_HEADS.NUM_CLASSES == 3


def test_precomputed_proposals_are_refused(prepare):
    with pytest.raises(ValueError, match=r"LOAD_PROPOSALS.*pickle"):
        prepare("MODEL.LOAD_PROPOSALS", "True")


def test_open_anchors_of_yolo_are_settled_and_written_down(prepare, tmp_path):
    yolo = {"config": "quick/yolov3_tiny.yaml"}
    cfg = prepare("MODEL.YOLO.ANCHORS", "()", **yolo)
    assert len(cfg.MODEL.YOLO.ANCHORS) == 9
    (tmp_path / "config.yaml").write_text(cfg.dump())
    written = load_config(str(tmp_path / "config.yaml"))
    model = build_model(written)
    sides = [2 * cell[:, 2:] for cell in model.anchor_generator.cell_anchors]
    torch.testing.assert_close(torch.cat(sides), torch.tensor(cfg.MODEL.YOLO.ANCHORS))
    # Testing must not fit them to the test data.
    left = prepare("MODEL.YOLO.ANCHORS", "()", eval_only=True, **yolo)
    with pytest.raises(ValueError, match=r"ANCHORS is empty.*config\.yaml that training wrote"):
        build_model(left)
