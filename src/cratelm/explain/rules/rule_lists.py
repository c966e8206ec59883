"""Lists of rules: what a unit does, as sentences that a person reads and a simulation follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cratelm.explain.rules.candidate_matrix import CandidateMatrix
from cratelm.explain.rules.condition import Condition
from cratelm.explain.rules.grow import Leaf
from cratelm.explain.rules.kinds import kind_of
from cratelm.explain.rules.shorten import shorten
from cratelm.explain.rules.text_view import TextView
from cratelm.judges.sentences import NEVER_FIRES


@dataclass(frozen=True)
class Rule:
    """Where all conditions hold, and no rule before it does, the unit is expected to be at `mean`."""

    conditions: tuple[Condition, ...]
    """None: everywhere."""
    mean: float
    share: float
    """Of the sum of the unit's activations on the text that the rules were fitted to."""


def rules_of(root: Leaf, matrix: CandidateMatrix, activations: np.ndarray) -> list[Rule]:
    """A tree as rules, from the unit's activations (positions,); the last one holds everywhere."""
    tree = [leaf.asked for leaf in root.in_order()]
    lists, rule_of = shorten(tree, matrix.where, activations)
    count, total = (np.bincount(rule_of, weights, len(lists)) for weights in (None, activations))
    share = total / total.sum() if total.any() else total
    return [
        Rule(
            tuple(_joined(matrix, members) for members in asked),
            float(total[place] / count[place]),
            float(share[place]),
        )
        for place, asked in enumerate(lists)
        if count[place]
    ]


def _joined(matrix: CandidateMatrix, members: Sequence[int]) -> Condition:
    """One condition that holds where one of several does, which exclude each other."""
    first = matrix.conditions[members[0]]
    tokens = tuple(token for place in members for token in matrix.conditions[place].tokens)
    return replace(first, tokens=tokens)


@dataclass(frozen=True)
class RuleLists:
    """The rules of some units of a layer."""

    rules: dict[int, list[Rule]]
    """By unit, in the order in which they are tried."""
    texts: Sequence[str]
    """The vocabulary's tokens."""

    @cached_property
    def units(self) -> np.ndarray:
        """The units that have rules, ascending: (units,)."""
        return np.array(sorted(self.rules), np.int64)

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, T) that begin at place (rows,): (rows, T).

        0 for a unit that has no rules.
        """
        first, text = _distinct(tokens, place)
        view = TextView(tokens[first], place[first], self.texts)
        expected = np.zeros(tokens.shape)
        order = np.argsort(unit, kind="stable")
        begins = np.flatnonzero(np.r_[True, np.diff(unit[order]) != 0][: len(unit)])
        for rows in np.split(order, begins[1:]) if len(unit) else ():
            expected[rows] = self._expected(int(unit[rows[0]]), view, text[rows])
        return expected

    def simulate_all(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """What `simulate` gives for each of units (units,) on the same tokens (rows, T): (units, rows, T)."""
        view, rows = TextView(tokens, place, self.texts), np.arange(len(tokens))
        expected = np.empty((len(unit), *tokens.shape))
        for row, number in enumerate(unit.tolist()):
            expected[row] = self._expected(number, view, rows)
        return expected

    def _expected(self, unit: int, view: TextView, rows: np.ndarray) -> np.ndarray:
        expected = np.zeros((len(rows), view.tokens.shape[1]))
        # The first rule that holds counts: it is written last.
        for rule in reversed(self.rules.get(unit, [])):
            holds = np.ones(expected.shape, bool)
            for condition in rule.conditions:
                holds &= kind_of(condition).holds(condition, view, rows)
            expected[holds] = rule.mean
        return expected

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """One unit's rules, a sentence each, with the expected activation and the share of the unit."""
        rules = self.rules.get(unit, [])
        if not any(rule.mean for rule in rules):
            return NEVER_FIRES
        return "; ".join(f"{_clause(rule, place, texts)} → {_number(rule)}" for place, rule in enumerate(rules))


def _clause(rule: Rule, place: int, texts: Sequence[str]) -> str:
    if not rule.conditions:
        return "elsewhere" if place else "everywhere"
    clause = " and ".join(kind_of(condition).words(condition, texts) for condition in rule.conditions)
    return f"otherwise, {clause}" if place else clause


def _number(rule: Rule) -> str:
    return f"{rule.mean:.3g} ({rule.share:.0%} of the unit)"


def _distinct(tokens: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each different text comes first, and which of these each row is: units are often simulated on the same."""
    text = np.column_stack([place, tokens])
    whole = np.ascontiguousarray(text).view(np.dtype((np.void, text.dtype.itemsize * text.shape[1]))).ravel()
    _, first, row = np.unique(whole, return_index=True, return_inverse=True)
    return first, row
