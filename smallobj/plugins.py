"""Plugins: installed packages that register components through an entry point group."""

from __future__ import annotations

import threading
from importlib.metadata import EntryPoint, entry_points

GROUP = "smallobj.plugins"

_lock = threading.RLock()
_begun = False
_failure = ""


def load_plugins() -> None:
    """Loads the plugins once per process; called before names in a config are looked up.

    Each entry point is a module, whose import registers components, or a callable, which is called.

    Raises:
        ValueError: a plugin can't be loaded; raised again at every later call.
    """
    global _begun, _failure
    with _lock:
        if not _begun:
            _begun = True  # set first, because a plugin may look up names itself
            _failure = _load_all()
        if _failure:
            raise ValueError(_failure)


def _load_all() -> str:
    """Loads all plugins; returns an error message, or "" if none failed."""
    # Sorted, so that the order is the same in all processes and installations.
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            loaded = entry.load()
            if callable(loaded):
                loaded()
        except Exception as error:
            return (
                f'the plugin "{entry.name}" ({entry.value}), which {_package(entry)} installed, '
                f"can't be loaded: {type(error).__name__}: {error}"
            )
    return ""


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown package"
