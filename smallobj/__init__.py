"""smallobj: detection of small objects in large images, based on Detectron2.

Importing this package is fast: torch and Detectron2 are imported only by the modules that need
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smallobj import detectron2_compat

if TYPE_CHECKING:
    from smallobj.config import add_smallobj_config, get_cfg, load_config

__version__ = "0.2.0"

__all__ = ["__version__", "add_smallobj_config", "detectron2_compat", "get_cfg", "load_config"]

detectron2_compat.prepare_when_imported()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    detectron2_compat.require_detectron2()
    from smallobj import config

    return getattr(config, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
