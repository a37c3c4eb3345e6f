"""What the pages in docs/ show exists: scripts and their options, config files and keys, links."""

import functools
import pkgutil
import re
import shlex
from pathlib import Path

import pytest
from detectron2.engine import default_argument_parser

from smallobj import get_cfg

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [
    *PAGES,
    ROOT / "README.md",
    ROOT / "datasets" / "README.md",
    ROOT / "smallobj" / "weights" / "MODEL_CARD.md",
]
FILE_ENDINGS = (".json", ".jsonl", ".lock", ".md", ".pth", ".py", ".toml", ".txt", ".yaml")


def commands(page: Path) -> list[str]:
    """The lines of a page's bash blocks, continued lines joined."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


@functools.cache
def known_options() -> set[str]:
    """Every option that one of our command lines takes. (Asking each script would take minutes.)"""
    sources = [*ROOT.glob("*.py"), *ROOT.glob("tools/*.py"), *ROOT.glob("smallobj/**/*.py")]
    sources += ROOT.glob("datasets/*.py")
    options = set()
    for source in sources:
        options.update(re.findall(r"add_argument\(\s*\"(--[\w-]+)\"", source.read_text()))
    parser = default_argument_parser()
    return options | {word for action in parser._actions for word in action.option_strings}


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
        assert all((ROOT / word).is_file() for word in words if word.endswith(".py")), line
        behind = words[next(i for i, word in enumerate(words) if word.endswith(".py")) :]
        for word in behind:
            if re.match(r"--[a-z]", word):
                assert word.split("=")[0] in known_options(), line
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


def inline_code(page: Path) -> set[str]:
    """What stands between backticks, code blocks left out."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", prose))


@functools.cache
def our_modules() -> set[str]:
    """Names of all packages and modules, without what they lie in."""
    sources = [*(ROOT / "smallobj").rglob("*.py"), ROOT / "benchmarks" / "__init__.py"]
    return {path.parent.name for path in sources} | {path.stem for path in sources}


def is_module_path(name: str) -> bool:
    """Whether a dotted name begins with one of our packages or modules."""
    if not re.fullmatch(r"[a-z]\w*(\.\w+)+", name) or name.endswith(FILE_ENDINGS):
        return False
    return name.split(".")[0] in our_modules()


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_modules_classes_and_functions_that_a_page_names_can_be_imported(page):
    for name in filter(is_module_path, inline_code(page)):
        whole = name if name.startswith(("smallobj.", "benchmarks.")) else f"smallobj.{name}"
        try:
            pkgutil.resolve_name(whole)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{page.name} names `{name}`: {error}")


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_source_files_that_a_page_names_exist(page):
    for name in inline_code(page):
        if re.fullmatch(r"(smallobj|benchmarks|tests|tools)/[\w/.]+", name):
            assert any(ROOT.glob(f"{name.rstrip('/')}*")), name
        elif re.fullmatch(r"[\w/]+\.py", name):
            folders = (ROOT, ROOT / "datasets", ROOT / "tools")
            assert any((folder / name).is_file() for folder in folders) or any(
                (ROOT / "smallobj").rglob(name)
            ), name
