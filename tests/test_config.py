"""The project's config keys and the reader of config files."""

import re

import pytest
import yaml
from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg

from smallobj import get_cfg, load_config
from smallobj.config.renamed import RENAMED_KEYS


def write(path, text):
    path.write_text(text)
    return str(path)


def leaves(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_every_new_key_is_explained_where_it_is_made(repository):
    files = sorted((repository / "smallobj" / "config").glob("*.py"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    new = set(dict(leaves(get_cfg()))) - set(dict(leaves(get_detectron2_cfg())))
    assert len(new) > 25
    copies = dict(re.findall(r"cfg\.([\w.]+) = cfg\.([\w.]+)\.clone\(\)", "\n".join(lines)))
    for key in new:
        section, _, name = key.rpartition(".")
        # Keys of a section that repeats another one's are explained there.
        key = f"{copies.get(section, section)}.{name}"
        (number,) = (i for i, line in enumerate(lines) if f"cfg.{key} = " in line)
        # A section's own comment stands above the line that makes the section.
        above = number - 1 - lines[number - 1].endswith("CfgNode()")
        assert lines[above].lstrip().startswith("#"), f"{key} has no comment above it"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("data", {"DATASETS", "DATALOADER", "INPUT"}),
        ("model", {"MODEL"}),
        ("solver", {"SOLVER"}),
        ("test", {"TEST"}),
    ],
)
def test_a_key_is_made_in_the_file_of_its_first_word(repository, file, words):
    text = (repository / "smallobj" / "config" / f"{file}.py").read_text()
    assert set(re.findall(r"^    cfg\.(\w+)", text, re.MULTILINE)) == words


def test_only_this_package_makes_keys(repository):
    pattern = re.compile(r"CfgNode\(\)|set_new_allowed|\bget_detectron2_cfg\(")
    for path in (repository / "smallobj").rglob("*.py"):
        if path.parent.name != "config":
            assert not pattern.search(path.read_text()), path


def test_a_file_overrides_its_base_and_options_override_both(tmp_path):
    write(tmp_path / "base.yaml", "SEED: 1\nINPUT:\n  TILE:\n    SIZE: 300\n    PER_IMAGE: 3\n")
    top = write(tmp_path / "top.yaml", "_BASE_: base.yaml\nINPUT:\n  TILE:\n    SIZE: 400\n")
    cfg = load_config(top, ["SEED", "5", "DATASETS.TRAIN", "('a', 'b')"])
    assert (cfg.INPUT.TILE.SIZE, cfg.INPUT.TILE.PER_IMAGE) == (400, 3)
    assert cfg.SEED == 5
    assert cfg.DATASETS.TRAIN == ("a", "b")
    assert cfg.INPUT.TILE.SHUFFLE_BUFFER == get_cfg().INPUT.TILE.SHUFFLE_BUFFER


def test_an_empty_file_is_the_default(tmp_path):
    assert load_config(write(tmp_path / "empty.yaml", "")) == get_cfg()


def test_what_is_written_reads_back_the_same(tmp_path, repository):
    cfg = load_config(str(repository / "configs" / "cascade.yaml"), ["MODEL.CLASS_NAMES", "['ä']"])
    again = load_config(write(tmp_path / "written.yaml", cfg.dump()))
    # Compared as yaml, which has no tuples: nested ones come back as lists.
    assert yaml.safe_load(again.dump()) == yaml.safe_load(cfg.dump())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        load_config(str(tmp_path / "none.yaml"))
    top = write(tmp_path / "top.yaml", "_BASE_: absent.yaml\n")
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml"):
        load_config(top)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("INPUT:\n  TILES:\n    SIZE: 3\n", r"INPUT\.TILES"),
        ("INPUT:\n  TILE:\n    SIZE: small\n", "SIZE.*small"),
        ("INPUT:\n  TILE: 5\n", "TILE"),
        ("INPUT: [\n", "not readable as yaml"),
        ("- 1\n- 2\n", r"bad\.yaml"),
        ("just words\n", r"bad\.yaml"),
        ("42\n", r"bad\.yaml"),
        ("INPUT:\n  TILE:\n    SIZE: !!python/name:os.sep\n", "Python tag"),
    ],
)
def test_a_bad_file_is_refused_by_name_with_its_fault(tmp_path, text, told):
    path = write(tmp_path / "bad.yaml", text)
    with pytest.raises(ValueError, match=r"bad\.yaml") as error:
        load_config(path)
    assert re.search(told, str(error.value)), error.value


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["SEED"], "KEY VALUE pairs.*1 words"),
        (["INPUT.TILES.SIZE", "3"], r"INPUT\.TILES"),
        (["INPUT.TILE.SIZE", "small"], "bad option"),
        (["SEED", "1", "SEEDS", "2"], "SEEDS"),
    ],
)
def test_a_bad_option_is_refused(tmp_path, options, told):
    with pytest.raises(ValueError, match=told):
        load_config(write(tmp_path / "a.yaml", "SEED: 1\n"), options)


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_a_key_of_an_earlier_version_is_refused_with_the_new_one(tmp_path, old, new):
    path = tmp_path / "old.yaml"
    node = 1
    for word in reversed(old.split(".")):
        node = {word: node}
    path.write_text(yaml.safe_dump(node))
    for read in (lambda: load_config(path), lambda: load_config(None, [old, "1"])):
        with pytest.raises(ValueError, match=f"{old} was renamed to {new};"):
            read()
    assert new in dict(leaves(get_cfg()))
