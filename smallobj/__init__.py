"""smallobj: small objects in large images, on Detectron2."""

from smallobj import detectron2_compat  # isort: skip  (must precede every import of detectron2)

from smallobj.config import add_smallobj_config, get_cfg, load_config

__version__ = "0.2.0"

__all__ = ["__version__", "add_smallobj_config", "detectron2_compat", "get_cfg", "load_config"]
