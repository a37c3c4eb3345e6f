"""Lists of class names, compared by name: models, weights and datasets number their classes apart.

Names are the same only where they are equal. Those that differ by case, blanks or coding alone are
two names, and the messages say so.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

_LISTED = 12


class NamedClasses(NamedTuple):
    """Class names by class number, and who says so.

    Attributes:
        names: K distinct names; none where they aren't known.
        source: for messages: "dataset bolts", say.
        file: where the names stand, if not in the source itself.
    """

    names: list[str]
    source: str
    file: str = ""

    @property
    def described(self) -> str:
        return f"{self.source} ({self.file})" if self.file else self.source


def positions(names: Sequence[str], others: Sequence[str]) -> list[int]:
    """For each name its index in the other list, -1 where that doesn't have it.

    >>> positions(["bolt", "nut", "nail"], ["nut", "bolt"])
    [1, 0, -1]
    """
    known = {name: index for index, name in enumerate(others)}
    return [known.get(name, -1) for name in names]


def same_classes(names: Sequence[str], others: Sequence[str]) -> bool:
    """True where both lists hold the same names, in whatever order."""
    return len(names) == len(others) and set(names) == set(others)


def differing_classes(one: NamedClasses, other: NamedClasses) -> str:
    """What two lists don't share, as a sentence.

    >>> ours = NamedClasses(["bolt", "Nut"], "the model")
    >>> print(differing_classes(ours, NamedClasses(["nut", "bolt"], "the data")))
    only in the model: 'Nut'; only in the data: 'nut' ('Nut' and 'nut' differ only by case)
    """
    ours = [name for name in one.names if name not in set(other.names)]
    theirs = [name for name in other.names if name not in set(one.names)]
    text = f"only in {one.source}: {listed(ours)}; only in {other.source}: {listed(theirs)}"
    alike = names_alike(ours, theirs)
    return f"{text} ({'; '.join(alike)})" if alike else text


def listed(names: Sequence[str]) -> str:
    """The first names in quotes, and how many more there are; "none" of none."""
    if not names:
        return "none"
    more = len(names) - _LISTED
    return ", ".join(map(repr, names[:_LISTED])) + (f" and {more} more" if more > 0 else "")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


_ALIKE: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("surrounding blanks", str.strip),
    ("case", str.casefold),
    ("the coding of their letters", _composed),
    ("case, blanks or coding", lambda name: _composed(name).casefold().strip()),
)


def counted(number: int) -> str:
    """
    >>> counted(1), counted(2)
    ('1 class', '2 classes')
    """
    return f"{number} class" if number == 1 else f"{number} classes"


def names_alike(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Sentences about pairs that a reader would take for one name.

    >>> names_alike(["Nut", "bolt"], ["nail", "nut"])
    ["'Nut' and 'nut' differ only by case"]
    """
    found = []
    for name in names:
        for other in others:
            by = next((what for what, plain in _ALIKE if plain(name) == plain(other)), None)
            if by is not None:
                found.append(f"{name!r} and {other!r} differ only by {by}")
    return found[:_LISTED]
