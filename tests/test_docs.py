"""What the pages in docs/ show exists: scripts and their options, config files and keys, links."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from smallobj import get_cfg

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


def commands(page: Path) -> list[str]:
    """The lines of a page's bash blocks, continued lines joined."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


@functools.cache
def help_of(*words: str) -> str:
    shown = subprocess.run(
        [sys.executable, *words, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def script_and_rest(words: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """The script of ours that a command line runs, its sub-command included, and what follows."""
    at = next(index for index, word in enumerate(words) if word.endswith(".py"))
    script, rest = words[at], words[at + 1 :]
    if rest and not rest[0].startswith("-") and f"{{{rest[0]}" in help_of(script).replace(",", "{"):
        return (script, rest[0]), rest[1:]
    return (script,), rest


def has_key(name: str) -> bool:
    node = get_cfg()
    for part in name.split("."):
        if part not in node:
            return False
        node = node[part]
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_scripts_and_options_that_exist(page):
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if not any(word.endswith(".py") for word in words):
            continue
        script, rest = script_and_rest(words)
        assert (ROOT / script[0]).is_file(), line
        for word in rest:
            if re.match(r"--[a-z]", word):
                option = word.split("=")[0]
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", help_of(*script)), line
            if word.startswith("configs/"):
                assert (ROOT / word).is_file(), line


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_keys_that_a_page_names_exist(page):
    text = page.read_text()
    names = re.findall(r"\b(?:TEST|MODEL|INPUT|DATASETS|SOLVER|DATALOADER)(?:\.[A-Z0-9_]+)+", text)
    # "PROPOSAL_FILES_*" stands for several.
    unknown = {name for name in names if not name.endswith("_") and not has_key(name)}
    assert not unknown


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_linked_from_another():
    everything = "\n".join(page.read_text() for page in [*PAGES, ROOT / "README.md"])
    for page in PAGES:
        assert f"{page.name})" in everything, page.name
