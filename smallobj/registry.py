"""A registry of classes and functions by the names that a config uses."""

from __future__ import annotations

from functools import partial
from typing import Any

from detectron2.utils.registry import Registry

from smallobj.checks import check_choice
from smallobj.plugins import load_plugins


class NamedRegistry(Registry):
    """Detectron2's Registry, in which an object can be registered under any name."""

    def register(self, obj: Any = None, *, name: str | None = None) -> Any:
        """Registers a class or a function; a decorator if ``obj`` is omitted.

        Args:
            obj: the class or function.
            name: its name in a config; default: ``obj.__name__``.
        """
        if obj is None:
            return partial(self.register, name=name)
        self._do_register(name or obj.__name__, obj)
        return obj

    def find(self, name: str, key: str) -> Any:
        """The object registered under a name, by this project or by a plugin.

        Args:
            name: the name in the config.
            key: the config key that holds the name, for messages.

        Raises:
            ValueError: nothing is registered under the name, or a plugin can't be loaded.
        """
        load_plugins()
        names = sorted(known for known, _ in self)
        for known, obj in self:
            if name not in names and getattr(obj, "__name__", None) == name:
                raise ValueError(f"{key}: {name} is registered as {known!r}; got {name!r}")
        check_choice(key, name, names)
        return self.get(name)
