"""Packages that add to smallobj by an entry point: loaded once, and told when they are broken."""

import sys
from pathlib import Path

import pytest
from detectron2 import engine

from smallobj import get_cfg, plugins
from smallobj.bulk.ranks import Rank
from smallobj.bulk.run import BulkOptions, run_rank
from smallobj.data import datasets
from smallobj.merging import MERGER_REGISTRY, build_merger
from smallobj.modeling import build_model

MERGER = """
import sys
from smallobj.merging import MERGER_REGISTRY

def keep_all(node, **_):
    return lambda found: found

def register():
    MERGER_REGISTRY.register(keep_all, name="from_a_plugin")
    register.times = getattr(register, "times", 0) + 1
"""


def install(folder: Path, name: str, source: str, value: str) -> None:
    """What pip leaves of a package of one module with one entry point."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\nmine = {value}\n")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed(name, source, value)``; nothing has been looked up yet."""
    monkeypatch.setattr(plugins, "_begun", False)
    monkeypatch.setattr(plugins, "_failure", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda *package: install(tmp_path, *package)
    MERGER_REGISTRY._obj_map.pop("from_a_plugin", None)
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def merger_of_a_plugin():
    cfg = get_cfg()
    cfg.TEST.MERGER.NAME = "from_a_plugin"
    return build_merger(cfg)


def test_a_callable_is_called_once(installed):
    installed("plugin_callable", MERGER, "plugin_callable:register")
    assert "plugin_callable" not in sys.modules
    assert merger_of_a_plugin()([]) == []
    merger_of_a_plugin()
    assert sys.modules["plugin_callable"].register.times == 1


def test_a_module_is_imported(installed):
    installed("plugin_module", f"{MERGER}\nregister()", "plugin_module")
    assert merger_of_a_plugin()([]) == []


def test_a_plugin_may_look_up_names_itself(installed):
    source = f"{MERGER}\nregister()\nMERGER_REGISTRY.find('nms', 'TEST.MERGER.NAME')"
    installed("plugin_that_looks", source, "plugin_that_looks")
    assert merger_of_a_plugin()([]) == []


@pytest.mark.parametrize(
    "look_up",
    [
        lambda cfg: build_merger(cfg, "TEST.TTA.MERGER"),
        datasets.register_from_config,
        build_model,
    ],
    ids=["merger", "datasets", "model"],
)
def test_a_broken_one_is_told_whatever_is_looked_up_and_each_time(installed, look_up):
    installed("plugin_broken", "raise RuntimeError('no licence')", "plugin_broken")
    told = r'plugin "mine" \(plugin_broken\), which plugin_broken .*RuntimeError: no licence'
    for _ in range(2):
        with pytest.raises(ValueError, match=told):
            look_up(get_cfg())


def test_two_that_take_one_name_are_told(installed):
    installed("plugin_first", f"{MERGER}\nregister()", "plugin_first")
    installed("plugin_second", f"{MERGER}\nregister()", "plugin_second")
    with pytest.raises(ValueError, match=r"plugin_second .*from_a_plugin.* already registered"):
        merger_of_a_plugin()


def test_what_the_processes_of_a_bulk_run_do_ends_with_the_sentence(installed, tmp_path, capsys):
    installed("plugin_broken", "raise RuntimeError('no licence')", "plugin_broken")
    assert run_rank(BulkOptions(str(tmp_path / "out"), ["a.jpg"], device="cpu"), Rank()) == 2
    assert capsys.readouterr().err.startswith('detect.py: the plugin "mine" (plugin_broken)')


def test_training_tells_a_broken_one_before_it_starts_processes(
    installed, load_script, capsys, monkeypatch, tmp_path
):
    installed("plugin_broken", "raise RuntimeError('no licence')", "plugin_broken")
    train_net = load_script("train_net.py")
    monkeypatch.setattr(engine, "launch", lambda *_, **__: pytest.fail("processes started"))
    (tmp_path / "a.yaml").touch()
    monkeypatch.setattr(sys, "argv", ["train_net.py", "--config-file", str(tmp_path / "a.yaml")])
    assert train_net.cli() == 2
    assert capsys.readouterr().err.startswith('train_net.py: the plugin "mine" (plugin_broken)')
