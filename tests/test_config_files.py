"""Where config files are looked up, and what a config inherits."""

import os

import pytest

from smallobj import config_files, load_config
from smallobj.config_files import find_config
from smallobj.planning.config_file import write_plan


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory outside of the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["cascade_r18", "cascade_r18.yaml", "configs/cascade_r18.yaml", "../configs/cascade_r18"],
)
def test_shipped_configs_are_found_from_any_folder(elsewhere, repository, name):
    assert find_config(name) == str(repository / "configs" / "cascade_r18.yaml")
    assert find_config("quick/ssd_tiny") == str(repository / "configs" / "quick" / "ssd_tiny.yaml")


def test_a_file_of_ones_own_comes_first(elsewhere):
    write(elsewhere / "cascade_r18.yaml", "SEED: 3\n")
    assert find_config("cascade_r18.yaml") == "cascade_r18.yaml"
    assert find_config("cascade_r18") == "cascade_r18.yaml"
    assert load_config("cascade_r18").SEED == 3


def test_an_installed_package_has_the_configs_of_the_working_directory(elsewhere, monkeypatch):
    site = elsewhere / "site-packages"
    write(site / "configs" / "cascade_r18.yaml", "SEED: 1\n")  # somebody else's
    monkeypatch.setattr(config_files, "__file__", str(site / "smallobj" / "config_files.py"))
    with pytest.raises(FileNotFoundError):
        find_config("cascade_r18")
    ours = write(elsewhere / "configs" / "cascade_r18.yaml", "SEED: 2\n")
    assert find_config("cascade_r18") == ours


def test_a_base_is_found_beside_its_file_then_among_the_shipped(elsewhere):
    mine = write(elsewhere / "a" / "mine.yaml", "_BASE_: cascade_r18.yaml\nSEED: 5\n")
    cfg = load_config(mine)
    assert (cfg.SEED, cfg.MODEL.RESNETS.DEPTH) == (5, 18)
    # As when a file of configs/quick is copied.
    copied = write(elsewhere / "b" / "mine.yaml", "_BASE_: ../cascade_r18.yaml\n")
    assert load_config(copied).MODEL.RESNETS.DEPTH == 18
    write(elsewhere / "a" / "cascade_r18.yaml", "MODEL: {RESNETS: {DEPTH: 34}}\n")
    assert load_config(mine).MODEL.RESNETS.DEPTH == 34


def test_bases_of_bases_lists_and_home(elsewhere, monkeypatch):
    home = elsewhere / "home"
    monkeypatch.setenv("HOME", str(home))
    write(home / "first.yaml", "SEED: 1\nSOLVER: {MAX_ITER: 1, BASE_LR: 0.1}\n")
    write(elsewhere / "a" / "second.yaml", "_BASE_: third.yaml\nSOLVER: {MAX_ITER: 2}\n")
    write(elsewhere / "a" / "third.yaml", "SOLVER: {MAX_ITER: 3, GAMMA: 0.3}\n")
    top = "_BASE_: ['~/first.yaml', a/second.yaml]\nSOLVER: {WEIGHT_DECAY: 0.5}\n"
    cfg = load_config(write(elsewhere / "top.yaml", top))
    # Of a list, a later file overrides an earlier one.
    solver = cfg.SOLVER
    assert (cfg.SEED, solver.MAX_ITER, solver.BASE_LR) == (1, 2, 0.1)
    assert (solver.GAMMA, solver.WEIGHT_DECAY) == (0.3, 0.5)
    twice = "_BASE_: [a/third.yaml, a/second.yaml]\n"
    assert load_config(write(elsewhere / "twice.yaml", twice)).SOLVER.MAX_ITER == 2


def test_a_loop_is_shown(elsewhere):
    write(elsewhere / "a.yaml", "_BASE_: sub/b.yaml\n")
    write(elsewhere / "sub" / "b.yaml", "_BASE_: [../a.yaml]\n")
    with pytest.raises(ValueError, match="loop") as error:
        load_config("a.yaml")
    assert str(error.value).endswith(f"a.yaml -> sub/b.yaml -> {os.path.join('sub', '../a.yaml')}")
    write(elsewhere / "self.yaml", "_BASE_: self.yaml\n")
    with pytest.raises(ValueError, match=r"loop: self\.yaml -> self\.yaml"):
        load_config("self.yaml")


def test_a_missing_base_says_where_it_was_looked_for(elsewhere, repository):
    top = write(elsewhere / "a" / "top.yaml", "_BASE_: cascade_r81.yaml\n")
    with pytest.raises(FileNotFoundError) as error:
        load_config(top)
    told = str(error.value)
    for part in (
        f"cascade_r81.yaml: there is no such config file (_BASE_ of {top})",
        str(elsewhere / "a" / "cascade_r81.yaml"),
        str(repository / "configs" / "cascade_r81.yaml"),
        "Did you mean cascade_r18.yaml",
    ):
        assert part in told


def test_a_missing_config_gets_the_name_of_a_similar_one(elsewhere):
    with pytest.raises(FileNotFoundError, match=r"Did you mean .*quick/retinanet_tiny\.yaml"):
        find_config("retinanet_tinny")
    with pytest.raises(FileNotFoundError, match="it is a folder, and there is no such"):
        find_config(str(elsewhere))


@pytest.mark.parametrize("scheme", ["http", "https", "s3", "file", "detectron2", "HTTP"])
def test_web_addresses_are_refused(elsewhere, scheme):
    address = f"{scheme}://127.0.0.1:1/base.yaml"
    top = write(elsewhere / "top.yaml", f"_BASE_: {address}\n")
    with pytest.raises(ValueError, match=f"{address}: config files are read from local disk only"):
        load_config(address)
    with pytest.raises(ValueError, match="local disk only") as error:
        load_config(top)
    assert f"(_BASE_ of {top})" in str(error.value)
    with pytest.raises(ValueError, match="local disk only"):
        load_config(write(elsewhere / "list.yaml", f"_BASE_: [cascade_r18.yaml, '{address}']\n"))


@pytest.mark.parametrize("value", ["5", "", "{a: b}", "[1]", "['']"])
def test_a_base_that_names_no_file_is_refused(elsewhere, value):
    top = write(elsewhere / "top.yaml", f"_BASE_: {value}\n")
    with pytest.raises(ValueError, match=r"top\.yaml: _BASE_ names a config file or lists"):
        load_config(top)


def test_the_broken_one_of_several_files_is_named(elsewhere):
    top = write(elsewhere / "top.yaml", "_BASE_: base.yaml\nSOLVER: {MAX_ITER: 1}\n")
    for text, told in (
        ("SOLVER: [\n", "not readable as yaml"),
        ("SOLVER: 5\n", "MAX_ITER|section"),
    ):
        write(elsewhere / "base.yaml", text)
        with pytest.raises(ValueError, match=r"base\.yaml") as error:
            load_config(top)
        assert error.match(told)


def test_a_plan_for_a_shipped_config_names_it_as_its_base(elsewhere, monkeypatch, repository):
    # plan.py gives the path that was found, which the plan makes relative to its own folder.
    shipped = find_config("cascade_r18")
    monkeypatch.setattr("smallobj.planning.config_file.plan_text", lambda plan, base: base)
    write_plan(None, shipped, elsewhere / "out" / "plan.yaml")
    base = (elsewhere / "out" / "plan.yaml").read_text()
    assert os.path.normpath(elsewhere / "out" / base) == shipped
