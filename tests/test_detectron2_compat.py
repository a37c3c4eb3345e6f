"""The compatibility layer, on whichever flavour of Detectron2 is installed."""

import importlib
import importlib.util
import os
import subprocess
import sys

import numpy
import PIL.Image
import pytest

import smallobj
from smallobj import detectron2_compat


@pytest.mark.parametrize(
    "name",
    ["layers", "modeling", "data", "evaluation", "engine", "checkpoint", "utils.visualizer"],
)
def test_what_the_project_uses_imports(name):
    importlib.import_module(f"detectron2.{name}")


def test_names_of_the_package_come_when_asked_for():
    assert smallobj.load_config.__module__ == "smallobj.config.load"
    assert {"load_config", "get_cfg", "__version__"} <= {*dir(smallobj)}
    with pytest.raises(AttributeError, match="'smallobj' has no attribute 'load_configs'"):
        _ = smallobj.load_configs


def test_start_up_questions_are_answered():
    from detectron2.utils.collect_env import collect_env_info

    assert "detectron2" in collect_env_info()


def test_a_missing_operator_says_how_to_get_it():
    if detectron2_compat.has_extension():
        pytest.skip("this Detectron2 has its compiled operators")
    from detectron2 import _C

    with pytest.raises(ImportError, match=r"nms_rotated is a compiled operator.*pip install"):
        _C.nms_rotated(None, None, 0.5)
    assert not hasattr(_C, "__wrapped__")
    assert _C.has_cuda() is False


def test_preparing_twice_changes_nothing():
    importlib.import_module("detectron2.evaluation")

    def state():
        stand_ins = [sys.modules.get("detectron2._C"), sys.modules["detectron2"]]
        fast = sys.modules.get("detectron2.evaluation.fast_eval_api")
        names = [vars(numpy)[name] for name in ("int", "float", "object")]
        return [*stand_ins, fast, PIL.Image.LINEAR, *names]

    before = state()
    detectron2_compat.prepare()
    assert all(a is b for a, b in zip(before, state(), strict=True))


def test_a_missing_detectron2_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="make setup"):
        detectron2_compat.prepare()
    with pytest.raises(ImportError, match="make setup"):
        _ = smallobj.load_config


NOT_BRIDGED = """
import sys

def assert_nothing_is_bridged():
    heavy = {"detectron2", "torch", "numpy", "PIL", "pycocotools"} & {*sys.modules}
    assert not heavy, heavy
"""
IMPORTED_LATER = """
import importlib.util, threading
import smallobj
assert importlib.util.find_spec("detectron2") is not None
assert_nothing_is_bridged()
start, names = threading.Barrier(8), []

def look():
    start.wait()
    from detectron2.layers import LINEAR
    names.append(LINEAR)

threads = [threading.Thread(target=look) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import numpy, PIL.Image
assert names == [PIL.Image.BILINEAR] * 8
assert numpy.int is int
from detectron2 import _C
assert _C is sys.modules["detectron2._C"] and not smallobj.detectron2_compat.has_extension()
print(sys.modules["detectron2.evaluation.fast_eval_api"].COCOeval_opt.__name__)
"""
IMPORTED_BEFORE = """
import detectron2
import smallobj
assert not smallobj.detectron2_compat.has_extension()
from detectron2.layers import LINEAR
print(sys.modules["detectron2.evaluation.fast_eval_api"].COCOeval_opt.__name__)
"""
SOURCE_BUILD = """
import smallobj
assert_nothing_is_bridged()
import numpy, PIL.Image
numpy.int, numpy.float, numpy.object = "int", "float", "object"
PIL.Image.LINEAR = "linear"
from detectron2 import _C
assert smallobj.detectron2_compat.has_extension()
assert _C.__file__.endswith("_C.py") and _C is sys.modules["detectron2._C"]
assert "detectron2.evaluation.fast_eval_api" not in sys.modules
assert (numpy.int, numpy.float, numpy.object) == ("int", "float", "object")
assert PIL.Image.LINEAR == "linear"
print("untouched")
"""


@pytest.mark.parametrize(
    ("script", "is_compiled", "told"),
    [
        pytest.param(IMPORTED_LATER, False, "COCOeval", id="imported later, by eight threads"),
        pytest.param(IMPORTED_BEFORE, False, "COCOeval", id="imported before smallobj"),
        pytest.param(SOURCE_BUILD, True, "untouched", id="a source build"),
    ],
)
def test_detectron2_is_bridged_when_it_is_imported(script, is_compiled, told, tmp_path, repository):
    """In a new process, with a Detectron2 of a few lines: the real one takes seconds to import."""
    content = {
        "__init__": "from .utils.env import seed",
        "utils/__init__": "",
        "utils/env": "seed = 0",
        "layers": "from PIL.Image import LINEAR\nfrom detectron2 import _C",
        **({"_C": ""} if is_compiled else {}),
    }
    for name, text in content.items():
        path = tmp_path / "detectron2" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ended = subprocess.run(
        [sys.executable, "-c", NOT_BRIDGED + script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(repository)])},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == told


def test_a_failed_bridge_is_tried_again(monkeypatch):
    hook = detectron2_compat._FirstSubmodule()
    calls = []

    def prepare():
        calls.append(hook.find_spec("detectron2._C", None))  # as prepare itself looks for it
        if len(calls) == 1:
            raise ImportError("no pycocotools")

    monkeypatch.setattr(detectron2_compat, "prepare", prepare)
    for name in ("torch", "detectron2", "detectron2x.utils"):
        hook.find_spec(name, None)
    assert calls == []
    with pytest.raises(ImportError, match="pycocotools"):
        hook.find_spec("detectron2.utils", None)
    for _ in range(2):
        hook.find_spec("detectron2.utils", None)
    assert len(calls) == 2


def test_retinanets_head_takes_group_norm():
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.meta_arch import retinanet
    from torch import nn

    detectron2_compat.allow_group_norm_in_retinanet()
    bridged = retinanet.get_norm
    detectron2_compat.allow_group_norm_in_retinanet()
    assert retinanet.get_norm is bridged
    head = retinanet.RetinaNetHead(
        input_shape=[ShapeSpec(channels=64)],
        num_classes=2,
        num_anchors=3,
        conv_dims=[64, 64],
        norm="GN",
    )
    norms = [module for module in head.modules() if isinstance(module, nn.GroupNorm)]
    assert [(norm.num_groups, norm.num_channels) for norm in norms] == [(32, 64)] * 4
