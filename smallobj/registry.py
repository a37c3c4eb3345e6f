"""Classes and functions by the names that a config has for them."""

from __future__ import annotations

from functools import partial
from typing import Any

from detectron2.utils.registry import Registry

from smallobj.checks import check_choice
from smallobj.plugins import load_plugins


class NamedRegistry(Registry):
    """Detectron2's Registry; what is registered may have another name than its own."""

    def register(self, obj: Any = None, *, name: str | None = None) -> Any:
        """Registers a class or a function; a decorator where ``obj`` is left out.

        Args:
            obj: the class or function.
            name: what a config calls it; ``obj.__name__`` unless said otherwise.
        """
        if obj is None:
            return partial(self.register, name=name)
        self._do_register(name or obj.__name__, obj)
        return obj

    def find(self, name: str, key: str) -> Any:
        """What is registered under a name, here or by a plugin.

        Args:
            name: as the config has it.
            key: where the config has it, for messages.

        Raises:
            ValueError: nothing has that name, or a plugin can't be loaded.
        """
        load_plugins()
        names = sorted(known for known, _ in self)
        for known, thing in self:
            if name not in names and getattr(thing, "__name__", None) == name:
                raise ValueError(f"{key}: {name} is registered as {known!r}; got {name!r}")
        check_choice(key, name, names)
        return self.get(name)
