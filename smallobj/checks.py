"""Checks of values that a user gave; each raises an error that states the rule and the value.

``name`` is the user's name for the value: a config key, an option or a few words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises ValueError unless the value is one of the choices.

    >>> check_choice("--device", "tpu", ("cpu", "cuda"))
    Traceback (most recent call last):
    ValueError: --device must be one of ['cpu', 'cuda']; got 'tpu'
    """
    known = list(choices)
    if value not in known:
        raise ValueError(
            f"{name} must be one of {known}; got {value!r}{did_you_mean(value, known)}"
        )


def did_you_mean(value: object, choices: Iterable[object]) -> str:
    """The end of a message, with up to three choices that are spelled like a wrong value.

    >>> did_you_mean("softnms", ["nms", "soft_nms", "wbf"])
    "; did you mean 'soft_nms'?"
    >>> did_you_mean("tpu", ["cpu", "cuda"])
    ''
    """
    known = {str(choice).lower(): choice for choice in choices}
    close = get_close_matches(str(value).lower(), known, n=3, cutoff=0.75)
    words = " or ".join(repr(known[word]) for word in close)
    return f"; did you mean {words}?" if close else ""


def check_some_of(name: str, values: Iterable[object], choices: Iterable[object]) -> None:
    """Raises ValueError unless the values are one or more of the choices."""
    given, known = list(values), list(choices)
    unknown = [value for value in given if value not in known]
    if not given or unknown:
        advice = did_you_mean(unknown[0], known) if unknown else ""
        raise ValueError(f"{name} must be some of {known}; got {given}{advice}")


def check_between(name: str, value: float, low: float, high: float, ends: str = "[]") -> None:
    """Raises ValueError unless the value lies in the interval; NaN never does.

    Args:
        ends: the interval's brackets; "[" and "]" include the bound, "(" and ")" exclude it.
    """
    assert ends in ("[]", "()", "[)", "(]")
    above = value >= low if ends[0] == "[" else value > low
    below = value <= high if ends[1] == "]" else value < high
    if not (above and below):
        raise ValueError(f"{name} must lie in {ends[0]}{low}, {high}{ends[1]}; got {value}")


def check_at_least(name: str, value: float, low: float) -> None:
    """Raises ValueError unless the value is ``low`` or more."""
    if not value >= low:
        raise ValueError(f"{name} must be at least {low}; got {value}")


def check_positive(name: str, value: float) -> None:
    """Raises ValueError unless the value is above 0."""
    if not value > 0:
        raise ValueError(f"{name} must be positive; got {value}")


def check_not_negative(name: str, value: float) -> None:
    """Raises ValueError unless the value is 0 or more."""
    if not value >= 0:
        raise ValueError(f"{name} must not be negative; got {value}")


def check_file(what: str, path: str | os.PathLike[str]) -> None:
    """Raises FileNotFoundError unless a file exists; ``what`` is its kind ("config file")."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{os.fspath(path)}: there is no such {what}")


def check_path(what: str, path: str | os.PathLike[str]) -> None:
    """Raises FileNotFoundError unless the file or folder exists."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"{os.fspath(path)}: there is no such {what}")


def check_pairs(opts: Sequence[object]) -> None:
    """Raises ValueError unless the words are KEY VALUE pairs."""
    if len(opts) % 2:
        raise ValueError(f"options come as KEY VALUE pairs; got {len(opts)} words: {list(opts)}")


def check_device_kind(device: str) -> None:
    """Raises ValueError unless the device is a CPU or a GPU; the GPU need not exist."""
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"the device must be cpu or cuda; got {device!r}")
