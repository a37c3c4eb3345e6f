"""How the tensors of a file fit a model, in words."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

# These buffers follow from the config, so files don't contain them.
CONFIG_BUFFERS = re.compile(r"(^|\.)(pixel_mean|pixel_std|cell_anchors\.\d+)$")
# BatchNorm's counters have no effect with a fixed momentum, and some files lack them.
_WITHOUT_EFFECT = re.compile(r"(^|\.)num_batches_tracked$")
_BACKBONE = "backbone."
_LISTED = 10


def some_of(names: Sequence[str], most: int = _LISTED) -> str:
    """The first ten names, and the number of the others.

    >>> some_of(["stem", "stages"])
    'stem, stages'
    >>> some_of(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


@dataclasses.dataclass(frozen=True)
class Fit:
    """Names of tensors, without buffers that follow from the config or have no effect.

    Attributes:
        taken: the model's that came from the file.
        missing: the model's that the file doesn't have.
        reshaped: of another shape in the file, each with both shapes in words.
        unused: the file's that the model doesn't have.
    """

    taken: list[str]
    missing: list[str]
    reshaped: dict[str, str]
    unused: list[str]

    @classmethod
    def of(cls, model_names: Iterable[str], misfits: Any, parts: Sequence[str] = ()) -> Fit:
        """
        Args:
            model_names: names in the model's state dict.
            misfits: what fvcore's checkpointer tells about keys that don't fit.
            parts: prefixes of the only tensors that are wanted; () for all.
        """
        own = [
            name for name in model_names if _matters(name) and name.startswith(tuple(parts) or "")
        ]
        shapes = {
            name: f"{name} {tuple(there)} in the file, {tuple(here)} in the model"
            for name, there, here in misfits.incorrect_shapes
        }
        reshaped = {name: shapes[name] for name in own if name in shapes}
        absent = set(misfits.missing_keys)
        return cls(
            taken=[name for name in own if name not in absent and name not in reshaped],
            missing=[name for name in own if name in absent and name not in reshaped],
            reshaped=reshaped,
            unused=[name for name in misfits.unexpected_keys if _matters(name)],
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing, unused or of another shape."""
        return not (self.missing or self.reshaped or self.unused)

    @property
    def has_backbone(self) -> bool:
        """Whether a tensor of the backbone was taken; of a model or parts without one, any."""
        own = [*self.taken, *self.missing, *self.reshaped]
        if any(name.startswith(_BACKBONE) for name in own):
            return any(name.startswith(_BACKBONE) for name in self.taken)
        return bool(self.taken)

    def __str__(self) -> str:
        count = len(self.taken) + len(self.missing) + len(self.reshaped)
        kinds = {
            "missing": self.missing,
            "of another shape": list(self.reshaped.values()),
            "unexpected": self.unused,
        }
        others = [
            f"{len(names)} {kind}: {some_of(names)}" for kind, names in kinds.items() if names
        ]
        return "; ".join([f"{len(self.taken)} of the model's {count} tensors taken", *others])

    def advice(self) -> str:
        """What would make the names fit, where a prefix is all that differs; else ""."""
        added: Counter[str] = Counter()
        removed: Counter[str] = Counter()
        for theirs in self.unused:
            for ours in self.missing:
                if ours.endswith(f".{theirs}"):
                    added[ours.removesuffix(theirs)] += 1
                elif theirs.endswith(f".{ours}"):
                    removed[theirs.removesuffix(ours)] += 1
        for prefixes, change in ((added, "with {!r} before them"), (removed, "without the {!r}")):
            if prefixes:
                prefix, count = prefixes.most_common(1)[0]
                return f". {count} names of the file would fit {change.format(prefix)}"
        return ""


def _matters(name: str) -> bool:
    return not (CONFIG_BUFFERS.search(name) or _WITHOUT_EFFECT.search(name))
