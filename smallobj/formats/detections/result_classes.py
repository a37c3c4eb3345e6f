"""Which class a ``category_id`` of COCO results means.

By COCO's rule it is an id of the labels. Other tools count the classes from 0 (older Ultralytics)
or from 1 (newer), whatever the ids of the labels are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

BY_ID, FROM_0, FROM_1 = "id", "0", "1"
ONE_WAY = "category_id must tell a class in one way"
_MEANINGS = {
    BY_ID: "an id of the labels",
    FROM_0: "the number of a class, from 0",
    FROM_1: "the number of a class, from 1",
}
_MOST_SHOWN = 3


class FoundClasses(NamedTuple):
    """The classes that a file of results means.

    Attributes:
        classes: the data set's class by category id.
        way: BY_ID, FROM_0 or FROM_1; "" where several ways fit, and none is right by COCO's rule.
        told: the way in words, with examples; of all ways where ``way`` is "".
    """

    classes: dict[int, int]
    way: str
    told: str


def find_classes(
    categories: Collection[int],
    known: Mapping[int, int],
    names: Sequence[str],
    way: str = "",
    is_coco: bool = True,
) -> FoundClasses:
    """Class by category id.

    Args:
        categories: ids that occur in the file.
        known: class by id of the labels.
        names: K class names.
        way: BY_ID, FROM_0 or FROM_1; "" takes what fits all ids.
        is_coco: the file names its images by the labels' ids. Then its categories are theirs, too,
            where that fits.
    """
    count = len(names)
    ways = {
        BY_ID: dict(known),
        FROM_0: {k: k for k in range(count)},
        FROM_1: {k + 1: k for k in range(count)},
    }
    if way:
        return FoundClasses(ways[way], way, "")
    used = sorted(set(categories))
    fitting = [name for name, classes in ways.items() if classes.keys() >= set(used)]
    if not used or not fitting or (is_coco and BY_ID in fitting):
        return FoundClasses(ways[BY_ID], BY_ID, "")
    told = [_told(name, ways[name], used, names) for name in fitting]
    if len({tuple(ways[name][k] for k in used) for name in fitting}) > 1:
        return FoundClasses(ways[BY_ID], "", "; or ".join(told))
    return FoundClasses(ways[fitting[0]], fitting[0], told[0])


def _told(way: str, classes: Mapping[int, int], used: Sequence[int], names: Sequence[str]) -> str:
    examples = ", ".join(f"{k} is {names[classes[k]]!r}" for k in used[:_MOST_SHOWN])
    return f"{_MEANINGS[way]} ({examples})"
