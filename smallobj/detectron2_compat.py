"""Makes two builds of Detectron2 import and behave alike; imported before anything else.

Build (a) is ``pb1-detectron2`` 0.6 from the package registry: complete Python sources, without
the C++ extension, written for the NumPy and Pillow of 2021. Build (b) is a source build of upstream
main. All differences that matter to this project are handled here; on (b) the functions do nothing.
Nothing is patched, and nothing heavy is imported, before Detectron2 is imported.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any

MISSING = "Detectron2 is not installed. Run `make setup`, or see 'Install' in README.md."
_SOURCE_BUILD = (
    "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2"
)


class _MissingExtension(types.ModuleType):
    """Replaces ``detectron2._C`` if it was not compiled.

    It has the three functions that Detectron2 calls at start-up. Any operator (rotated boxes,
    deformable convolution) raises an ImportError that says how to build it.
    """

    def __init__(self) -> None:
        super().__init__("detectron2._C")
        self.__spec__ = importlib.machinery.ModuleSpec(self.__name__, loader=None)
        self.__file__ = None

    @staticmethod
    def get_compiler_version() -> str:
        return "not compiled"

    @staticmethod
    def get_cuda_version() -> str:
        return "not compiled"

    @staticmethod
    def has_cuda() -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what importlib and pickle probe for
            raise AttributeError(name)
        raise ImportError(
            f"detectron2._C.{name} is a compiled operator and this Detectron2 has no compiled "
            f"extension. Build Detectron2 from source to get it: {_SOURCE_BUILD}"
        )


def has_extension() -> bool:
    """Whether Detectron2's C++ operators are available (build b)."""
    module = sys.modules.get("detectron2._C")
    if module is not None:
        return not isinstance(module, _MissingExtension)
    return importlib.util.find_spec("detectron2._C") is not None


def _provide_extension_stand_in() -> None:
    if not has_extension() and "detectron2._C" not in sys.modules:
        import detectron2

        stand_in = _MissingExtension()
        sys.modules["detectron2._C"] = stand_in
        detectron2._C = stand_in


def _restore_removed_names() -> None:
    import numpy
    import PIL.Image

    # Default argument of detectron2.data.transforms; removed from Pillow 10.
    if not hasattr(PIL.Image, "LINEAR"):
        PIL.Image.LINEAR = PIL.Image.BILINEAR  # type: ignore[attr-defined]
    # print_instances_class_histogram and the segmentation evaluators; removed from NumPy 1.24.
    for name, builtin in {"int": int, "float": float, "object": object}.items():
        if name not in vars(numpy):
            setattr(numpy, name, builtin)


def _provide_coco_eval_stand_in() -> None:
    # coco_evaluation imports COCOeval_opt, whose class body needs the extension.
    if has_extension():
        return
    from pycocotools.cocoeval import COCOeval

    module = types.ModuleType("detectron2.evaluation.fast_eval_api")
    module.COCOeval_opt = COCOeval  # type: ignore[attr-defined]
    sys.modules.setdefault(module.__name__, module)


def allow_group_norm_in_retinanet() -> None:
    """Allows "GN" as MODEL.RETINANET.NORM. Not part of ``prepare``, which imports no models.

    0.6 determines the type of a norm by making one with a single channel, which GroupNorm can't
    divide into 32 groups; upstream main makes one with 32 channels.
    """
    if has_extension():
        return
    from detectron2.modeling.meta_arch import retinanet

    get_norm = retinanet.get_norm
    if get_norm.__module__ == __name__:
        return

    def get_norm_of_enough_channels(norm: Any, channels: int) -> Any:
        return get_norm(norm, 32 if channels == 1 else channels)

    retinanet.get_norm = get_norm_of_enough_channels


def require_detectron2() -> None:
    """Checks that Detectron2 is installed.

    Raises:
        ImportError: Detectron2 is not installed.
    """
    if importlib.util.find_spec("detectron2") is None:
        raise ImportError(MISSING)


def prepare() -> None:
    """Applies all patches. May be called repeatedly; does nothing on a source build.

    Raises:
        ImportError: Detectron2 is not installed.
    """
    require_detectron2()
    _restore_removed_names()
    _provide_extension_stand_in()
    _provide_coco_eval_stand_in()


class _FirstSubmodule:
    """A finder that finds no module; runs :func:`prepare` when Detectron2's first submodule is
    looked up.

    Detectron2's ``__init__`` starts with ``from .utils.env import ...``. So this happens with any
    import of Detectron2, before any of its code that needs the patches, and in the thread that
    holds the package's import lock, while all others wait. Loaders need not be wrapped, and
    ``importlib.util.find_spec("detectron2")`` works as usual.
    """

    def __init__(self) -> None:
        self._waits = True

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        if self._waits and name.startswith("detectron2."):
            self._waits = False  # prepare itself imports submodules
            try:
                prepare()
            except BaseException:
                self._waits = True
                raise


def prepare_when_imported() -> None:
    """Runs :func:`prepare` when Detectron2 is first imported, or now if it is imported already."""
    if "detectron2" in sys.modules:
        prepare()
    else:
        # It is never removed: another thread that is iterating over the finders would skip one.
        sys.meta_path.insert(0, _FirstSubmodule())
