"""The last two and the last three tokens of the whole explain half: the ceilings of what a list of them can say.

They are there for a sample of the units with a token table, since n-grams are many. Next to `table-full` they tell how
much of a unit is in the tokens just before its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.errors import InputError
from cratelm.explain.explainer import Evidence, Explainer, Explanations, Kept
from cratelm.explain.reading import read_columns
from cratelm.records.excerpts import Excerpts
from cratelm.records.ngrams import NgramMeans, read_ngrams
from cratelm.stats import places_among


@dataclass(frozen=True)
class NgramTables:
    """What is expected of units at each of the n-grams that records keep, up to so many tokens."""

    known: NgramMeans
    order: int

    @property
    def units(self) -> np.ndarray:
        """The units that are explained, ascending."""
        return self.known.units

    @cached_property
    def _expected(self) -> np.ndarray:
        return self.known.expected(self.order)

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, T): (rows, T) float64.

        At an excerpt's first token nothing is known of the text before it. 0 for a unit that is not explained.
        """
        column = places_among(self.units, unit)
        row = self.known.ngrams.longest(tokens, self.order)  # -1, the last row, for a token that is unknown
        return np.where(column[:, None] < 0, 0.0, self._expected[row, column[:, None]])

    def simulate_all(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The same for each of units (units,) on the same tokens (rows, T), whose n-grams are looked up once."""
        column = places_among(self.units, unit)[:, None, None]
        row = self.known.ngrams.longest(tokens, self.order)
        return np.where(column < 0, 0.0, self._expected[row, column])

    def describe(self, unit: int, texts: object) -> str:
        """What it is."""
        return f"means on up to {self.order} tokens of the whole explain half"


class NgramExplainer(Explainer):
    """Means on the last tokens, backed off to fewer, from the whole explain half."""

    role = "ceiling"
    sees = "tables"
    speaks = False

    def __init__(self, name: str, tokens: int, order: int):
        """`tokens`: how many of the last ones it looks at; `order`: its place in tables."""
        self.name, self.tokens, self.order = name, tokens, order
        self.help = f"a unit's mean activation by the last {tokens} tokens, from the whole explain half: a ceiling"

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> Explanations:
        """Raises InputError: there is no half to take the means of."""
        raise InputError(f"{self.name} explains from the explain half of a recording, not from excerpts.")

    def explain(self, evidence: Evidence) -> NgramTables:
        """The means of the units that the recording keeps."""
        return NgramTables(read_ngrams(evidence.records, evidence.layer, len(evidence.texts)), self.tokens)

    def write(self, made: Explanations, path: Path) -> None:
        """The units that are explained: the means lie in the records."""
        assert isinstance(made, NgramTables)
        pq.write_table(pa.table({"unit": pa.array(made.units, pa.int32())}), path, compression="zstd")

    def read(self, path: Path, kept: Kept) -> NgramTables:
        """The same means, from the records."""
        read_columns(path)  # of a file that is damaged it says so
        return NgramTables(read_ngrams(kept.records, kept.layer, kept.vocabulary), self.tokens)

    def units(self, read: Explanations) -> np.ndarray:
        """Those whose means the recording keeps."""
        assert isinstance(read, NgramTables)
        return read.units


BIGRAM_FULL = NgramExplainer("bigram-full", 2, 31)
TRIGRAM_FULL = NgramExplainer("trigram-full", 3, 32)
