"""The project's config keys, all created in this package, and the reader of config files.

Each key has its meaning and unit above it, in the file of its first word: ``data`` (DATASETS and
INPUT), ``model``, ``solver``, ``test``.
"""

from smallobj.config.load import add_smallobj_config, get_cfg, load_config

__all__ = ["add_smallobj_config", "get_cfg", "load_config"]
