"""Making rules shorter: what a tree had to ask on its way is left out where the rules explain as much without it."""

from collections.abc import Callable

import numpy as np

MAY_LOSE = 0.001
"""A rule, or a condition of one, is left out where the error grows by this share of the unit's variance at most."""

Asked = tuple[tuple[int, ...], ...]
"""The conditions of a rule, each as the places of one or several that exclude each other; none: it holds everywhere."""


def shorten(
    rules: list[Asked], where: Callable[[tuple[int, ...]], np.ndarray], values: np.ndarray
) -> tuple[list[Asked], np.ndarray]:
    """Shorter rules, and which of them each position follows: (positions,), from the unit's values there.

    `where` says where a condition holds. The first rule that holds counts; the last one holds everywhere. What comes
    last is tried first, so that rules become the exceptions to those below them.
    """
    list_error = _ListError({members: where(members) for asked in rules for members in asked}, values)
    least, tolerance = list_error(rules), MAY_LOSE * float(((values - values.mean()) ** 2).sum())
    for place in reversed(range(len(rules) - 1)):
        for shorter in _shorter(rules, place):
            if (error := list_error(shorter)) <= least + tolerance:
                rules, least = shorter, min(error, least)
                break
    return rules, list_error.followed(rules)


def _shorter(rules: list[Asked], place: int) -> list[list[Asked]]:
    """The rules without one of them, and with one condition of it less; the shortest first."""
    asked = rules[place]
    ways = [(*asked[:left_out], *asked[left_out + 1 :]) for left_out in range(len(asked))] if len(asked) > 1 else []
    return [rules[:place] + rules[place + 1 :], *([*rules[:place], way, *rules[place + 1 :]] for way in ways)]


class _ListError:
    """The squared error of lists of rules that expect their positions' mean."""

    def __init__(self, holds: dict[tuple[int, ...], np.ndarray], values: np.ndarray):
        self.holds, self.values, self.square = holds, values, float((values.astype(np.float64) ** 2).sum())

    def followed(self, rules: list[Asked]) -> np.ndarray:
        """Which rule each position follows: (positions,)."""
        rule_of = np.full(len(self.values), len(rules) - 1)
        for place in reversed(range(len(rules) - 1)):
            rule_of[np.logical_and.reduce([self.holds[members] for members in rules[place]])] = place
        return rule_of

    def __call__(self, rules: list[Asked]) -> float:
        rule_of = self.followed(rules)
        count, total = np.bincount(rule_of), np.bincount(rule_of, self.values)
        return self.square - float((total**2 / np.maximum(count, 1)).sum())
