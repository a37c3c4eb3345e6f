"""docs/extending.md: every example on the page runs, and does what the page says."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.structures import Boxes, Instances

from smallobj import load_config, plugins
from smallobj.data.build import build_train_loader
from smallobj.data.datasets import register_from_config
from smallobj.data.mappers import MAPPER_REGISTRY
from smallobj.engine.trainer import best_metric
from smallobj.evaluation.evaluators.registry import EVALUATOR_REGISTRY, build_evaluator
from smallobj.merging import MERGER_REGISTRY, build_merger
from smallobj.modeling import build_model

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text()
REGISTRIES = [MERGER_REGISTRY, MAPPER_REGISTRY, EVALUATOR_REGISTRY, BACKBONE_REGISTRY]


def blocks(language, title):
    """The blocks of code in a section of the page."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(rf"```{language}\n(.*?)```", section[1], re.DOTALL)


@pytest.fixture(autouse=True)
def registries():
    """Forget what the examples register."""
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, names in zip(REGISTRIES, before, strict=True):
        registry._obj_map.clear()
        registry._obj_map.update(names)


@pytest.fixture
def run_example(tmp_path, tiny_dataset, catalog):
    """Runs a section's Python, and reads its config with a tiny data set."""

    def run(title, *options):
        for code in blocks("python", title):
            exec(compile(code, title, "exec"), {"__name__": title})
        (config,) = blocks("yaml", title)
        base = f"_BASE_: {ROOT / 'configs'}/"
        (tmp_path / "mine.yaml").write_text(config.replace("_BASE_: ", base))
        words = ["MODEL.ROI_HEADS.NUM_CLASSES", "3", *tiny_dataset.options("extending"), *options]
        return load_config(str(tmp_path / "mine.yaml"), words)

    return run


def test_examples_are_short():
    found = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 5
    assert max(len(code.splitlines()) for code in found) <= 25


def three_boxes():
    """Two on one object, one alone."""
    found = Instances((100, 100))
    found.pred_boxes = Boxes(torch.tensor([[0, 0, 9, 9], [50, 50, 59, 59], [0, 0, 9, 8.0]]))
    found.scores = torch.tensor([0.5, 0.9, 0.7])
    found.pred_classes = torch.tensor([1, 1, 1])
    return found


def test_a_merger(run_example):
    cfg = run_example("A merger")
    merged = build_merger(cfg, "TEST.TTA.MERGER")(three_boxes())
    assert merged.scores.tolist() == pytest.approx([0.7])
    cfg.TEST.TTA.MERGER.OVERLAP_THRESH = 0.9
    assert len(build_merger(cfg, "TEST.TTA.MERGER")(three_boxes())) == 0

    cfg.TEST.MERGER.NAME, cfg.TEST.MERGER.SCORE_THRESH = "confident", 0.6
    assert build_merger(cfg)(three_boxes()).scores.tolist() == pytest.approx([0.9, 0.7])


def test_a_mapper(run_example):
    cfg = run_example("A mapper")
    register_from_config(cfg)
    batch = next(iter(build_train_loader(cfg)))
    for tile in batch:
        assert tile["image"].dtype == torch.uint8
        # Most of a photograph is of one grey.
        middle = tile["image"].float().median()
        near = tile["image"].float()[(tile["image"] - middle).abs() < 20]
        assert 4 < (near - middle).std() < 6


def test_a_metric(run_example):
    cfg = run_example("A metric")
    register_from_config(cfg)
    (name,) = cfg.DATASETS.TEST
    assert best_metric(cfg) == "count/right"
    evaluator = build_evaluator(cfg, name)
    evaluator.reset()
    # Three photographs: objects found as labelled, none, and one although there is none.
    for record, count in zip(DatasetCatalog.get(name), (None, 0, 1), strict=True):
        count = len(record["annotations"]) if count is None else count
        found = Instances((256, 320))
        found.pred_boxes = Boxes(torch.tensor([[0, 0, 9, 9.0]]).repeat(count + 1, 1))
        found.scores = torch.tensor([*[0.9] * count, 0.1])
        found.pred_classes = torch.zeros(count + 1, dtype=torch.int64)
        evaluator.process([record], [{"instances": found}])
    assert evaluator.evaluate()["count"]["right"] == pytest.approx(100 / 3)


def test_a_backbone(run_example):
    model = build_model(run_example("A backbone"))
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 96), np.uint8))
    assert model.backbone(image[None].float())["plain"].shape == (1, 64, 16, 24)
    with torch.no_grad():
        (output,) = model.eval()([{"image": image, "height": 64, "width": 96}])
    assert output["instances"].image_size == (64, 96)


def test_the_entry_point_is_in_the_group_that_is_read():
    (snippet,) = blocks("toml", "Installed beside smallobj")
    assert list(tomllib.loads(snippet)["project"]["entry-points"]) == [plugins.GROUP]
