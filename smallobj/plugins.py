"""Packages installed beside this one that register things: the entry points of one group."""

from __future__ import annotations

import threading
from importlib.metadata import EntryPoint, entry_points

GROUP = "smallobj.plugins"

_lock = threading.RLock()
_begun = False
_failure = ""


def load_plugins() -> None:
    """Loads the plugins, once per process; called before names of a config are looked up.

    Each entry point names a module, whose import registers things, or a callable, which is called.

    Raises:
        ValueError: one can't be loaded; at every call.
    """
    global _begun, _failure
    with _lock:
        if not _begun:
            _begun = True  # first, because a plugin may look up names itself
            _failure = _load_all()
        if _failure:
            raise ValueError(_failure)


def _load_all() -> str:
    """What went wrong, as a sentence."""
    # In one order in all processes, whatever the order of the installation.
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
