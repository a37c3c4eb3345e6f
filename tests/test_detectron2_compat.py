"""The compatibility layer, on whichever flavour of Detectron2 is installed."""

import importlib
import importlib.util
import subprocess
import sys

import numpy
import PIL.Image
import pytest

from smallobj import detectron2_compat


@pytest.mark.parametrize(
    "name",
    ["layers", "modeling", "data", "evaluation", "engine", "checkpoint", "utils.visualizer"],
)
def test_what_the_project_uses_imports(name):
    importlib.import_module(f"detectron2.{name}")


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


SOURCE_BUILD = """
import sys, types
import numpy, PIL.Image
numpy.int, numpy.float, numpy.object = "int", "float", "object"
PIL.Image.LINEAR = "linear"
import detectron2
compiled = types.ModuleType("detectron2._C")
sys.modules["detectron2._C"] = detectron2._C = compiled
import smallobj
assert smallobj.detectron2_compat.has_extension()
assert sys.modules["detectron2._C"] is compiled is detectron2._C
assert "detectron2.evaluation.fast_eval_api" not in sys.modules
assert (numpy.int, numpy.float, numpy.object) == ("int", "float", "object")
assert PIL.Image.LINEAR == "linear"
print("untouched")
"""


def test_nothing_is_replaced_on_a_source_build(repository):
    ended = subprocess.run(
        [sys.executable, "-c", SOURCE_BUILD], cwd=repository, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "untouched"


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
