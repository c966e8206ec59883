"""Token tables: explanations that need no language model and are the same for every reader.

A table says how strongly a unit fires on each token that it was shown; on any other token it expects the unit's
mean over what it was shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.explain.explainer import Explainer, Explanations, Kept
from cratelm.explain.reading import read_columns
from cratelm.judges.sentences import NEVER_FIRES
from cratelm.records.excerpts import Excerpts
from cratelm.stats import places_among

OTHER = -1
"""Stands for every token that a unit was not shown."""


def quoted(text: str) -> str:
    """A token as an explanation shows it: between quotes, with what cannot be seen as escapes."""
    return repr(text)


@dataclass(frozen=True)
class TokenTables:
    """The tables of many units of one layer, which explain and simulate all of them at once.

    Entries are sorted by unit and token; a unit's first entry is that of OTHER tokens.
    """

    vocabulary: int
    unit: np.ndarray
    """(entries,) int64."""
    token: np.ndarray
    """(entries,) int64."""
    mean: np.ndarray
    """(entries,) float64: the mean activation of the unit on the token."""

    @classmethod
    def of(cls, vocabulary: int, unit: np.ndarray, token: np.ndarray, mean: np.ndarray) -> Self:
        """Tables from their entries (entries,), in any order."""
        order = np.argsort(unit * (vocabulary + 1) + token)
        return cls(vocabulary, unit[order], token[order], mean[order])

    @classmethod
    def explain(cls, unit: np.ndarray, tokens: np.ndarray, activations: np.ndarray, vocabulary: int) -> Self:
        """Tables from excerpts: unit (rows,), tokens and activations (rows, excerpt)."""
        keys, place = np.unique((unit[:, None] * vocabulary + tokens).ravel(), return_inverse=True)
        mean = np.bincount(place, activations.ravel()) / np.bincount(place)
        shown, row = np.unique(unit, return_inverse=True)
        overall = np.bincount(row, activations.mean(1, dtype=np.float64)) / np.bincount(row)
        return cls.of(
            vocabulary,
            np.r_[keys // vocabulary, shown],
            np.r_[keys % vocabulary, np.full(len(shown), OTHER)],
            np.r_[mean, overall],
        )

    def write(self, path: Path) -> None:
        """Keep the entries in a Parquet file."""
        columns = {
            "unit": pa.array(self.unit, pa.int32()),
            "token": pa.array(self.token, pa.int32()),
            "mean": pa.array(self.mean, pa.float64()),
        }
        # Hardly two means are alike: a dictionary of them takes longer to make than the file to write.
        pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=["unit"])

    @classmethod
    def read(cls, path: Path, vocabulary: int) -> Self:
        """The entries that were kept; InputError where they cannot be read."""
        entries = read_columns(path)
        return cls(vocabulary, entries["unit"].astype(np.int64), entries["token"].astype(np.int64), entries["mean"])

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, excerpt): (rows, excerpt) float64.

        `place` (rows,), of the first token in its context, is what other explainers ask for.

        0 for a unit without a table, which was shown nothing because it never fired.
        """
        units = np.broadcast_to(unit[:, None], tokens.shape)
        # A token that was not shown is expected to be like all that was: the unit's overall mean.
        other = self._look_up(unit, np.full(len(unit), OTHER), 0.0)
        return self._look_up(units, tokens, other[:, None])

    def simulate_all(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The same for each of units (units,) on the same tokens (rows, T), each different one looked up once."""
        distinct, which = np.unique(tokens, return_inverse=True)
        on_each = self.simulate(unit, np.broadcast_to(distinct, (len(unit), len(distinct))), place)
        return on_each[:, which.reshape(tokens.shape)]

    def _look_up(self, unit: np.ndarray, token: np.ndarray, missing: np.ndarray | float) -> np.ndarray:
        """The entries of pairs of unit and token, `missing` where there is none."""
        place = places_among(self._keys, self._key(unit, token))
        means = np.append(self.mean, 0.0)  # place -1 is the last
        return np.where(place < 0, missing, means[place])

    @cached_property
    def _keys(self) -> np.ndarray:
        return self._key(self.unit, self.token)

    def _key(self, unit: np.ndarray, token: np.ndarray) -> np.ndarray:
        # OTHER is -1: with one added, no token of one unit has the key of another's.
        return unit * (self.vocabulary + 1) + token + 1

    def describe(self, unit: int, texts: Sequence[str], words: int = 8) -> str:
        """One unit's table as a sentence: its strongest tokens, with their share of its strongest mean."""
        mine = slice(*np.searchsorted(self.unit, [unit, unit + 1]))
        tokens, means = self.token[mine], self.mean[mine]
        other = means[(tokens == OTHER) & (means > 0)].sum()
        tokens, means = (values[(tokens != OTHER) & (means > 0)] for values in (tokens, means))
        if not len(tokens):
            return NEVER_FIRES
        strongest = np.lexsort((tokens, -means))[:words]
        named = ", ".join(f"{quoted(texts[tokens[k]])} {means[k] / means.max():.2f}" for k in strongest)
        more = len(tokens) - len(strongest)
        rest = f", less on {more} more tokens" if more > 0 else ""
        return f"fires on {named}{rest}; on unknown tokens {other / means.max():.2f}"


class TableExplainer(Explainer):
    """A table of tokens, from the excerpts that the protocol shows."""

    name = "table"
    help = "a unit's mean activation on each token that it was shown"
    order = 10
    recovers = 4

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> TokenTables:
        """The tables of the units of some excerpts."""
        return TokenTables.explain(excerpts.unit, excerpts.tokens, excerpts.activations, len(texts))

    def write(self, made: Explanations, path: Path) -> None:
        """An entry a row."""
        assert isinstance(made, TokenTables)
        made.write(path)

    def read(self, path: Path, kept: Kept) -> TokenTables:
        """What was written."""
        return TokenTables.read(path, kept.vocabulary)


TABLE = TableExplainer()
