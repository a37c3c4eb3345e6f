"""What is done about broken rules: error, fix or drop, rule by rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from smallobj.checks import check_choice
from smallobj.data.labels.rules import ACTIONS, DROP, ERROR, RULES, Rule

if TYPE_CHECKING:
    from detectron2.config import CfgNode

EVERY_RULE = "all"
MAX_OUTSIDE = 0.75


@dataclasses.dataclass(frozen=True)
class Policy:
    """The chosen actions.

    Attributes:
        chosen: action by rule's name.
        every: action of the rules that would otherwise be errors; "" leaves them errors.
        max_outside: largest share of a box's area that is clipped away at the image's edge.
    """

    chosen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    every: str = ""
    max_outside: float = MAX_OUTSIDE

    @classmethod
    def of(cls, choices: Sequence[str] = (), max_outside: float | None = None) -> Policy:
        """The policy that strings RULE=ACTION choose; RULE "all" stands for every other rule.

        "all=drop" drops what breaks a rule, unless the rule is fixed by default; "all=error" makes
        each rule an error, those that are fixed by default as well.

        Raises:
            ValueError: an unknown rule, an action that the rule does not have, or a share that is
                not in [0, 1].

        >>> Policy.of(["all=drop", "box-over-edge=error"]).chosen
        {'box-over-edge': 'error'}
        """
        if max_outside is None:
            max_outside = MAX_OUTSIDE
        if isinstance(choices, str):
            raise ValueError(f"DATASETS.RULES is a list of RULE=ACTION; got {choices!r}")
        if not 0 <= max_outside <= 1:
            raise ValueError(f"DATASETS.MAX_OUTSIDE must be in [0, 1]; got {max_outside}")
        chosen: dict[str, str] = {}
        every = ""
        for choice in choices:
            name, _, action = (part.strip() for part in str(choice).partition("="))
            if name == EVERY_RULE:
                check_choice("the action of all rules", action, ACTIONS)
                every = action
                continue
            check_choice("a rule of DATASETS.RULES", name, RULES)
            check_choice(f"the action of rule {name}", action, RULES[name].actions)
            chosen[name] = action
        return cls(chosen, every, max_outside)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> Policy:
        """The policy of DATASETS.RULES, MAX_OUTSIDE and DROP_BAD_BOXES.

        Raises:
            ValueError: as :meth:`of`.
        """
        keys = cfg.DATASETS
        start = [f"{EVERY_RULE}={DROP}"] if keys.DROP_BAD_BOXES else []
        return cls.of([*start, *keys.RULES], keys.MAX_OUTSIDE)

    def action(self, rule: Rule) -> str:
        """What is done about an entry that breaks the rule."""
        if rule.name in self.chosen:
            return self.chosen[rule.name]
        if self.every == ERROR or (rule.action == ERROR and self.every in rule.actions):
            return self.every
        return rule.action


DEFAULT_POLICY = Policy()
