"""Priority decides who may be asked at all: a tier is asked only when the tiers before it have nothing left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from aigw.balancing.balancer import Instance, T

PriorityOrder = Literal["lowest_first", "highest_first"]
"""Which number goes first. The seed's documentation means the lowest, APISIX's code the highest."""

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNDERSTUDY = re.compile(
    r"(?<![a-z])(fall[-_ ]?back|back[-_ ]?up|fail[-_ ]?over|secondary|spare|stand[-_ ]?by)(?![a-z])"
)


def tiers(instances: Sequence[T], order: PriorityOrder) -> tuple[tuple[T, ...], ...]:
    """Group instances by priority, the group to try first, first; inside a group they stay as written."""
    groups: dict[int, list[T]] = {}
    for instance in instances:
        groups.setdefault(instance.priority, []).append(instance)
    return tuple(tuple(groups[p]) for p in sorted(groups, reverse=order == "highest_first"))


def contenders(tier: Sequence[T]) -> Sequence[T]:
    """Those of a tier among whom the balancer picks: the weighted ones; if there is none, those of weight 0.

    Weight 0 is a spare inside its own tier: it comes after the tier's others, and before the next tier.
    """
    return [instance for instance in tier if instance.weight] or tier


def effective_order(instances: Sequence[Instance], order: PriorityOrder) -> list[str]:
    """Names in the order of preference: by tier, then the heavier first, then as written."""
    return [i.name for tier in tiers(instances, order) for i in sorted(tier, key=lambda i: -i.weight)]


def inverted(instances: Sequence[Instance], order: PriorityOrder) -> str | None:
    """A warning for the operator when an instance that calls itself a fallback is tried before another; else None.

    Several instances may call themselves so; there must be one behind them that does not.
    """
    ordered = tiers(instances, order)
    for position, tier in enumerate(ordered):
        later = [i for t in ordered[position + 1 :] for i in t if not _understudy(i)]
        early = [i for i in tier if _understudy(i) and i in contenders(tier)]
        if early and later:
            return _warning(early[0], later[0], order)
    return None


def _understudy(instance: Instance) -> bool:
    return _UNDERSTUDY.search(_WORD_START.sub(" ", instance.name).lower()) is not None


def _warning(early: Instance, late: Instance, order: PriorityOrder) -> str:
    first, other = ("lowest", "highest_first") if order == "lowest_first" else ("highest", "lowest_first")
    return (
        f'"{early.name}" (priority {early.priority}) is tried before "{late.name}" (priority {late.priority}): the '
        f'{first} number goes first here; swap the priorities, or set "priority_order": "{other}", if its name is right'
    )
