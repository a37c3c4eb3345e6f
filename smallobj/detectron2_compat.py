"""Makes both flavours of Detectron2 import and behave alike; imported before anything else.

Flavour (a) is the registry's ``pb1-detectron2`` 0.6: complete Python sources, no C++
extension, written for the NumPy and Pillow of 2021. Flavour (b) is a source build of
upstream main. Every difference that the project has to know is bridged here; on (b)
each function finds nothing to do. Nothing is bridged, and nothing heavy imported, before
somebody imports Detectron2.
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
    """Stands in for ``detectron2._C`` where it was not compiled.

    It answers the three questions that Detectron2 asks at start-up. Any operator
    (rotated boxes, deformable convolution) raises with the way to get it.
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
    """Whether Detectron2's C++ operators are there (flavour b)."""
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
    """Lets MODEL.RETINANET.NORM be GN. Apart from ``prepare``, which imports no models.

    0.6 finds out the type of a norm by making one of a single channel, which GroupNorm's 32 groups
    can't share; upstream's main makes one of 32.
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
    """
    Raises:
        ImportError: Detectron2 is not installed at all.
    """
    if importlib.util.find_spec("detectron2") is None:
        raise ImportError(MISSING)


def prepare() -> None:
    """Bridge what differs. Safe to call again; does nothing on a source build.

    Raises:
        ImportError: Detectron2 is not installed at all.
    """
    require_detectron2()
    _restore_removed_names()
    _provide_extension_stand_in()
    _provide_coco_eval_stand_in()


class _FirstSubmodule:
    """Finds no module; runs :func:`prepare` when Detectron2's first submodule is looked for.

    Detectron2's ``__init__`` begins with ``from .utils.env import ...``. So that moment comes with
    any import of Detectron2, before any code of it that needs the bridge, and in the one thread
    that holds the package's import lock: all others wait. Loaders needn't be wrapped, and
    ``importlib.util.find_spec("detectron2")`` answers as ever.
    """

    def __init__(self) -> None:
        self._waits = True

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        if self._waits and name.startswith("detectron2."):
            self._waits = False  # prepare looks for submodules itself
            try:
                prepare()
            except BaseException:
                self._waits = True
                raise


def prepare_when_imported() -> None:
    """Has :func:`prepare` run as soon as anything imports Detectron2, or now if it is imported."""
    if "detectron2" in sys.modules:
        prepare()
    else:
        # It stays there: taking it out would make another thread that looks for a module just now
        # skip a finder.
        sys.meta_path.insert(0, _FirstSubmodule())
