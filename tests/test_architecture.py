"""What holds for the whole tree: import layers, file names and sizes, documented names."""

import inspect
import subprocess
import sys
import tomllib

import pytest
from detectron2.modeling import (
    ANCHOR_GENERATOR_REGISTRY,
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    ROI_HEADS_REGISTRY,
)

import smallobj.modeling  # noqa: F401  (registers)
from smallobj.data.mappers.registry import MAPPER_REGISTRY
from smallobj.evaluation.evaluators.registry import EVALUATOR_REGISTRY
from smallobj.merging import MERGER_REGISTRY
from smallobj.modeling.class_losses import CLASS_LOSS_REGISTRY

# Name of the contract of the whole tree in pyproject.toml.
IMPORTS = "Imports point one way"
REGISTRIES = [
    MAPPER_REGISTRY,
    MERGER_REGISTRY,
    EVALUATOR_REGISTRY,
    CLASS_LOSS_REGISTRY,
    ROI_HEADS_REGISTRY,
    META_ARCH_REGISTRY,
    BACKBONE_REGISTRY,
    ANCHOR_GENERATOR_REGISTRY,
]


def test_imports_point_one_way(repository):
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_page_shows_the_layers_of_the_contract(repository):
    contracts = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in contracts["contracts"] if c["name"] == IMPORTS)
    page = (repository / "docs" / "architecture.md").read_text()
    block = page.split("## Layers", 1)[1].split("```")[1].strip().splitlines()
    # The names of a line end at two blanks; the first line shows the scripts.
    shown = [line.split("  ")[0].split(" | ") for line in block[1:]]
    assert shown == [layer.replace("smallobj.", "").split(" | ") for layer in layers]


def sources(repository):
    folders = [repository / name for name in ("smallobj", "benchmarks", "tools", "datasets")]
    return [p for folder in folders for p in folder.rglob("*.py")] + list(repository.glob("*.py"))


def test_files_are_named_after_what_they_hold_and_short(repository):
    paths = sources(repository)
    assert len(paths) > 30
    for path in paths:
        assert path.stem not in ("utils", "util", "helpers", "misc", "common"), path
        assert len(path.read_text().splitlines()) <= 400, path


def test_every_module_says_what_it_is(repository):
    for path in sources(repository):
        text = path.read_text()
        if text.strip():
            body = text.split("\n", 1)[1] if text.startswith("#!") else text
            assert body.lstrip().startswith('"""'), f"{path} begins without a docstring"


def test_only_the_compatibility_layer_knows_the_flavours(repository):
    for path in sources(repository):
        if path.name != "detectron2_compat.py":
            text = path.read_text()
            assert "detectron2._C" not in text, path
            assert "fast_eval_api" not in text, path


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r._name)
def test_every_registered_name_is_documented(registry, repository):
    ours = {name: thing for name, thing in registry if thing.__module__.startswith("smallobj.")}
    assert inspect.getdoc(registry), f"{registry._name} does not say what it holds"
    for name, thing in ours.items():
        own = thing.__dict__.get("__doc__") if inspect.isclass(thing) else thing.__doc__
        assert own, f"{name} has no docstring"
        named = [*(repository / "configs").rglob("*.yaml")]
        named += [*(repository / "smallobj" / "config").glob("*.py")]
        named += [*(repository / "docs").rglob("*.md"), repository / "README.md"]
        assert any(name in p.read_text() for p in named if p.is_file()), f"{name} is named nowhere"
