"""The token table of the whole explain half: no rival, but the ceiling of what any table can say.

It is there for the units that the recording keeps the mean on every token of.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cratelm.errors import InputError
from cratelm.explain.explainer import Evidence, Explainer, Explanations, Kept
from cratelm.explain.explainers.table import OTHER, TokenTables
from cratelm.protocols import PROTOCOLS
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import read_protocol, read_tables


class FullTableExplainer(Explainer):
    """A table of all tokens of the explain half."""

    name = "table-full"
    help = "a unit's mean activation on each token of the whole explain half: a ceiling"
    order = 30
    role = "ceiling"
    sees = "tables"
    speaks = False

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> TokenTables:
        """Raises InputError: there is no half to take the table of."""
        raise InputError("table-full explains from the explain half of a recording, not from excerpts.")

    def explain(self, evidence: Evidence) -> TokenTables:
        """The tables of the units that the recording keeps one of."""
        half = PROTOCOLS[read_protocol(evidence.records)].explained_on
        stored = read_tables(evidence.records, evidence.layer, half)
        tokens, counts, means, units = (stored[name] for name in ("tokens", "counts", "means", "units"))
        return TokenTables.of(
            len(evidence.texts),
            np.r_[np.repeat(units, len(tokens)), units],
            np.r_[np.tile(tokens, len(units)), np.full(len(units), OTHER)],
            np.r_[means.ravel(), means @ counts / counts.sum()],
        )

    def write(self, made: Explanations, path: Path) -> None:
        """An entry a row."""
        assert isinstance(made, TokenTables)
        made.write(path)

    def read(self, path: Path, kept: Kept) -> TokenTables:
        """What was written."""
        return TokenTables.read(path, kept.vocabulary)

    def units(self, read: Explanations) -> np.ndarray:
        """Those that have a table."""
        assert isinstance(read, TokenTables)
        return np.unique(read.unit)


FULL_TABLE = FullTableExplainer()
