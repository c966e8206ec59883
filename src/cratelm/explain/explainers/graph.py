"""Pattern graphs: explanations as n-grams with wildcards, or places in the context, in the manner of Neuron to Graph.

Foote et al. (arXiv 2305.19911) shorten each excerpt as far as the unit's activation survives, run the model on it
with words exchanged, and merge what is left into a trie that ends at the activating token. Here nothing is run
again: whether a shorter pattern suffices is read off the excerpts themselves, by predicting each from the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.explain.explainer import Explainer, Explanations, Kept
from cratelm.explain.explainers.table import quoted
from cratelm.explain.reading import read_columns
from cratelm.judges.sentences import NEVER_FIRES
from cratelm.records.excerpts import Excerpts
from cratelm.records.hash_sampling import mix
from cratelm.stats import places_among

PLACE = -1
"""Stands, among the offsets of a pattern, for the place in the context."""
PATTERNS: tuple[tuple[int, ...], ...] = ((), (2,), (1,), (0,), (1, 2), (0, 2), (0, 1), (0, 1, 2), (PLACE,))
"""What a pattern fixes: the tokens so many places before the activation, 0 being its own. Later ones prevail."""
CHAINS: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((), (0,)),
    ((), (0,), (0, 1)),
    ((), (0,), (0, 2)),
    ((), (0,), (0, 1), (0, 1, 2)),
    ((), (1,)),
    ((), (1,), (0, 1)),
    ((), (1,), (1, 2)),
    ((), (2,)),
    ((), (0,), (PLACE,)),
)
"""The graphs that a unit can have, the simplest first: each pattern refines or replaces those before it."""
OF_TOKENS = 4
"""The first so many of CHAINS begin with the unit's own tokens."""
MUST_GAIN = 0.1
"""Another graph is preferred to them where its error is lower by this share."""
SURVIVES = 0.1
"""A longer pattern is pruned where it changes the expected activation by less than this share of the unit's maximum."""
NONE = -2
"""Stands for a token that a pattern leaves open; a place has its own column."""
MOST = 3
"""How much a pattern fixes at most."""


@dataclass(frozen=True)
class PatternGraphs:
    """The graphs of many units of one layer. Entries are in the order of `key`."""

    key: np.ndarray
    """(entries,) uint64: unit, kind of pattern and what it fixes, mixed into one number."""
    unit: np.ndarray
    """(entries,) int64."""
    pattern: np.ndarray
    """(entries,) int64: a place in PATTERNS."""
    fixed: np.ndarray
    """(entries, 3) int64: what the pattern fixes, in the order of its offsets; NONE after that."""
    mean: np.ndarray
    """(entries,) float64: the activation that is expected."""

    @classmethod
    def of(cls, unit: np.ndarray, pattern: np.ndarray, fixed: np.ndarray, mean: np.ndarray) -> Self:
        """Graphs from their entries, in any order: (entries,) each, `pattern` and `fixed` as the fields say."""
        key = _key(unit, pattern, fixed)
        order = np.argsort(key, kind="stable")
        return cls(key[order], unit[order], pattern[order], fixed[order], mean[order])

    @classmethod
    def explain(cls, unit: np.ndarray, tokens: np.ndarray, activations: np.ndarray, place: np.ndarray) -> Self:
        """Graphs from excerpts: unit (rows,), tokens and activations (rows, T), place (rows,) of the first token.

        For each unit that graph of CHAINS is chosen which predicts each excerpt best from the unit's others.
        """
        shown = _Shown(unit, tokens, activations, place)
        parts = [shown.entries(pattern_index) for pattern_index in reversed(range(len(PATTERNS)))]
        return cls.of(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, T) that begin at place (rows,): (rows, T).

        0 for a unit without a graph, which was shown nothing because it never fired.
        """
        expected = np.zeros(tokens.shape)
        for pattern_index in np.unique(self.pattern):
            rows = np.flatnonzero(np.isin(unit, self.unit[self.pattern == pattern_index]))
            fixed, whole = _fixed(PATTERNS[pattern_index], tokens[rows], place[rows])
            units = np.repeat(unit[rows], tokens.shape[1])
            entry = places_among(self.key, _key(units, np.array(pattern_index), fixed))
            entry, whole = (values.reshape(len(rows), tokens.shape[1]) for values in (entry, whole))
            known = whole & (entry >= 0)
            expected[rows] = np.where(known, self.mean[entry], expected[rows])
        return expected

    def simulate_all(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The same for each of units (units,) on the same tokens (rows, T): what they hold is looked up once."""
        expected = np.zeros((len(unit), tokens.size))
        row_of_entry = places_among(unit, self.unit)
        for pattern_index in np.unique(self.pattern):
            fixed, whole = _fixed(PATTERNS[pattern_index], tokens, place)
            distinct, which = np.unique(_key(np.zeros(len(fixed)), pattern_index, fixed), return_inverse=True)
            mine = np.flatnonzero((self.pattern == pattern_index) & (row_of_entry >= 0))
            column = places_among(distinct, _key(np.zeros(len(mine)), pattern_index, self.fixed[mine]))
            mine, column = mine[column >= 0], column[column >= 0]
            rows, row = np.unique(row_of_entry[mine], return_inverse=True)
            means = np.full((len(rows), len(distinct)), np.nan)
            means[row, column] = self.mean[mine]
            found = np.where(whole, means[:, which], np.nan)
            expected[rows] = np.where(np.isnan(found), expected[rows], found)
        return expected.reshape(len(unit), *tokens.shape)

    def describe(self, unit: int, texts: Sequence[str], words: int = 8) -> str:
        """One unit's graph as a sentence: its strongest patterns, with their share of its strongest mean."""
        mine = self._by_unit[slice(*np.searchsorted(self._units, [unit, unit + 1]))]
        mine = mine[self.mean[mine] > 0]
        rules = mine[self.pattern[mine] > 0]
        if not len(rules):
            return NEVER_FIRES
        order = rules[np.lexsort((self.key[rules], -self.mean[rules]))]
        highest = self.mean[order[0]]
        named = ", ".join(f"{self._named(entry, texts)} {self.mean[entry] / highest:.2f}" for entry in order[:words])
        more = f", less on {len(order) - words} more patterns" if len(order) > words else ""
        other = self.mean[mine[self.pattern[mine] == 0]].sum() / highest
        return f"fires {named}{more}; elsewhere {other:.2f}"

    @cached_property
    def _by_unit(self) -> np.ndarray:
        return np.argsort(self.unit, kind="stable")

    @cached_property
    def _units(self) -> np.ndarray:
        return self.unit[self._by_unit]

    def _named(self, entry: int, texts: Sequence[str]) -> str:
        offsets, fixed = PATTERNS[self.pattern[entry]], self.fixed[entry]
        if offsets == (PLACE,):
            return f"at place {fixed[0]} of the text"
        by_offset = {offset: quoted(texts[fixed[k]]) for k, offset in enumerate(offsets)}
        before = [by_offset.get(offset, "any token") for offset in range(max(offsets), 0, -1)]
        on = f"on {by_offset[0]}" if 0 in by_offset else "on any token"
        return f"{on} after {' '.join(before)}" if before else on


class _Shown:
    """The excerpts that graphs are made from, and how well each kind of pattern predicts each from the others."""

    def __init__(self, unit: np.ndarray, tokens: np.ndarray, activations: np.ndarray, place: np.ndarray):
        self.tokens, self.place = tokens, place
        self.value = activations.astype(np.float64).ravel()
        self.row = np.repeat(np.arange(len(unit)), tokens.shape[1])
        self.shown, self.unit_row = np.unique(unit, return_inverse=True)
        self.unit = unit[self.row]
        self.highest = np.zeros(len(self.shown))
        np.maximum.at(self.highest, self.unit_row, activations.max(1))
        self.groups = [self._grouped(pattern_index) for pattern_index in range(len(PATTERNS))]
        self.chain = self._best_chain()
        self.covered = np.zeros(len(self.value), dtype=bool)

    def _grouped(self, pattern_index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each position's group under a kind of pattern, its mean, and its mean in the other excerpts (NaN: none)."""
        fixed, whole = _fixed(PATTERNS[pattern_index], self.tokens, self.place)
        key = _key(self.unit, np.full(len(self.unit), pattern_index), fixed)
        _, group = np.unique(key, return_inverse=True)
        group = np.where(whole, group, group.max(initial=-1) + 1)  # what has no context before it, together
        _, part = np.unique(group * len(self.place) + self.row, return_inverse=True)  # the group's part in the excerpt
        count, total = np.bincount(group), np.bincount(group, self.value)
        elsewhere = count[group] - np.bincount(part)[part]
        with np.errstate(invalid="ignore", divide="ignore"):
            others = (total[group] - np.bincount(part, self.value)[part]) / elsewhere
            mean = total / count
        usable = whole & (elsewhere > 0)
        return np.where(whole, group, -1), mean[group], np.where(usable, others, np.nan)

    def _best_chain(self) -> np.ndarray:
        """Each shown unit's chain: the least squared error, the first where several have it. (units,)"""
        positions = self.unit_row[self.row]
        errors = []
        for chain in CHAINS:
            expected = np.zeros(len(self.value))
            for pattern in chain:
                others = self.groups[PATTERNS.index(pattern)][2]
                expected = np.where(np.isnan(others), expected, others)
            errors.append(np.bincount(positions, (self.value - expected) ** 2))
        penalty = np.where(np.arange(len(CHAINS)) < OF_TOKENS, 1 - MUST_GAIN, 1)
        return np.argmin(penalty[:, None] * np.array(errors), axis=0)

    def entries(self, pattern_index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The entries of one kind of pattern: unit, pattern, fixed and mean of the groups that units need.

        Longer patterns come first: a pattern speaks for the positions that no longer one, seen in two excerpts or
        more, speaks for already.
        """
        group, mean, others = self.groups[pattern_index]
        fixed, _ = _fixed(PATTERNS[pattern_index], self.tokens, self.place)
        needed = np.array([PATTERNS[pattern_index] in chain for chain in CHAINS])[self.chain][self.unit_row[self.row]]
        changes = np.abs(mean - self._shorter(pattern_index)) >= SURVIVES * self.highest[self.unit_row[self.row]]
        kept = np.flatnonzero(needed & (group >= 0) & changes)
        rest = kept[~self.covered[kept]]
        count = np.bincount(group[rest], minlength=group.max(initial=-1) + 2)
        total = np.bincount(group[rest], self.value[rest], minlength=len(count))
        # Over the positions that are left; a group of which none is left keeps the mean of all of it.
        own = np.where(count[group] > 0, total[group] / np.maximum(count[group], 1), mean)
        if PATTERNS[pattern_index]:
            # NaN: the pattern was seen in one excerpt alone, and may be chance. The plain mean covers nothing.
            self.covered[kept[~np.isnan(others[kept])]] = True
        _, first = np.unique(group[kept], return_index=True)
        first = kept[np.sort(first)]
        held = np.full((len(first), MOST), NONE)
        held[:, : fixed.shape[1]] = fixed[first]
        return self.unit[first], np.full(len(first), pattern_index), held, own[first]

    def _shorter(self, pattern_index: int) -> np.ndarray:
        """What each position's unit expects there by the pattern that this one refines; inf if it refines none."""
        expected = np.full(len(self.value), np.inf)
        for index, chain in enumerate(CHAINS):
            for before, pattern in pairwise(chain[1:]):
                if pattern == PATTERNS[pattern_index] and set(before) < set(pattern):
                    mine = self.chain[self.unit_row[self.row]] == index
                    expected[mine] = self.groups[PATTERNS.index(before)][1][mine]
        return expected


def _fixed(offsets: tuple[int, ...], tokens: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a pattern fixes at each position, (rows * T, offsets), and whether all of it lies within the excerpt."""
    rows, width = tokens.shape
    fixed = np.full((rows, width, len(offsets)), NONE, dtype=np.int64)
    whole = np.ones((rows, width), dtype=bool)
    for column, offset in enumerate(offsets):
        if offset == PLACE:
            fixed[..., column] = place[:, None] + np.arange(width)
        else:
            fixed[:, offset:, column] = tokens[:, : width - offset]
            whole[:, :offset] = False
    return fixed.reshape(rows * width, len(offsets)), whole.ravel()


def _key(unit: np.ndarray, pattern: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """One number for a unit, a kind of pattern and what it fixes: splitmix64's mixing, column by column.

    `fixed` is (rows, up to MOST). Among a million entries two share a number once in 30 million layers.
    """
    key = unit.astype(np.uint64) * np.uint64(len(PATTERNS)) + pattern.astype(np.uint64)
    for column in range(MOST):
        # A column that is not there mixes in the same number everywhere.
        held = fixed[:, column] - NONE if column < fixed.shape[1] else np.zeros(1)
        key = mix(key ^ mix(held.astype(np.uint64) + np.uint64(column << 32)))
    return key


class GraphExplainer(Explainer):
    """A graph of patterns, from the excerpts that the protocol shows."""

    name = "graph"
    help = "a unit's mean activation on patterns of up to three tokens, or at places in the context"
    order = 20
    recovers = 9

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> PatternGraphs:
        """The graphs of the units of some excerpts."""
        return PatternGraphs.explain(excerpts.unit, excerpts.tokens, excerpts.activations, excerpts.place)

    def write(self, made: Explanations, path: Path) -> None:
        """An entry a row."""
        assert isinstance(made, PatternGraphs)
        columns = {"unit": pa.array(made.unit, pa.int32()), "pattern": pa.array(made.pattern, pa.int8())}
        columns |= {f"fixed_{k}": pa.array(made.fixed[:, k], pa.int32()) for k in range(MOST)}
        columns["mean"] = pa.array(made.mean, pa.float64())
        pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=["pattern"])

    def read(self, path: Path, kept: Kept) -> PatternGraphs:
        """What was written."""
        entries = read_columns(path)
        unit, pattern = (entries[name].astype(np.int64) for name in ("unit", "pattern"))
        fixed = np.stack([entries[f"fixed_{k}"].astype(np.int64) for k in range(MOST)], axis=1)
        return PatternGraphs.of(unit, pattern, fixed, entries["mean"])


GRAPH = GraphExplainer()
