"""Commands parse and check their arguments before they import anything that takes seconds."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

import smallobj
from benchmarks.rivals import ENTRIES
from benchmarks.seams import RULE, VARIANTS
from smallobj.formats import FORMATS

ROOT = Path(smallobj.__file__).parent.parent
SCRIPTS = [*ROOT.glob("*.py"), *ROOT.glob("tools/*.py"), *ROOT.glob("datasets/prepare_*.py")]
# Torch and Detectron2 take seconds, the others tenths of a second each.
HEAVY = {"torch", "torchvision", "detectron2", "cv2", "matplotlib", "pycocotools", "numpy", "PIL"}
MOST_MODULES = 250
# Mistakes in values, each of which the command tells without them.
MISTAKES = {
    "benchmark.py": ("inference", "--input", "none.jpg"),
    "check.py": ("--config-file", "none.yaml"),
    "compare.py": ("none.json", "none.json", "--gt", "none.json"),
    "convert.py": ("--from", "coco", "--to", "csv", "--input", "none.json", "--output", "a.csv"),
    "demo.py": ("--input", "none.jpg"),
    "detect.py": ("--input", "none.jpg", "--output", "none"),
    "ensemble.py": ("a.json", "--output", "b.json"),
    "export_weights.py": ("--run", "none", "--weights", "a.pth", "--output", "b"),
    "plan.py": ("--config-file", "none.yaml"),
    "prepare_penn_fudan.py": ("--root", "none"),
    "report.py": ("--gt", "none.json", "--results", "none.json", "--output", "none.html"),
    "seams.py": ("--dataset", "a", "--confidence-threshold", "2"),
    "train_net.py": ("--config-file", "none.yaml"),
    "zoo.py": ("train", "--train", "a", "--test", "b", "--minutes", "0"),
}

# A command's help, its answers to an option that it hasn't and to a mistake; then what is imported.
PROGRAM = """
import contextlib, io, runpy, sys
script, *mistake = sys.argv[1:]
for words, status in ((["--help"], 0), (["--no-such-option"], 2), (mistake, 2)):
    if not words:
        continue
    sys.argv = [script, *words]
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        assert end.code == status, (words, end.code, told.getvalue())
    assert ("usage: " in told.getvalue()) == (words != mistake), told.getvalue()
print(*sys.modules)
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(ROOT)))
def test_help_and_mistakes_import_nothing_heavy(script: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, script, *MISTAKES.get(script.name, ())]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    modules = ended.stdout.split()
    assert not HEAVY & {*modules}
    assert len(modules) < MOST_MODULES


@pytest.mark.parametrize(
    ("script", "constant", "names"),
    [
        ("convert.py", "WRITTEN", [name for name, form in FORMATS.items() if form.write]),
        ("benchmark.py", "ROWS", ENTRIES),
        ("benchmark.py", "OURS", [n for n in ENTRIES if n.startswith(("ours", "focus"))]),
        ("seams.py", "VARIANT_NAMES", [RULE, *(name for name in VARIANTS if name != RULE)]),
    ],
)
def test_choices_are_those_of_what_is_imported_later(
    script: str, constant: str, names: Collection[str]
) -> None:
    assert runpy.run_path(str(ROOT / "tools" / script))[constant] == tuple(names)
