"""The project's config keys, all defined in this package, and the reader of config files.

The comment above each key gives its meaning and unit. The keys are sorted into files by their first
word: ``data`` (DATASETS and INPUT), ``model``, ``solver``, ``test``.
"""

from smallobj.config.load import add_smallobj_config, get_cfg, load_config

__all__ = ["add_smallobj_config", "get_cfg", "load_config"]
