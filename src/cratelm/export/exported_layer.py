"""One layer of a recording, as the writers read it: some units at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from cratelm.artifacts import Artifact
from cratelm.protocols import PROTOCOLS, Protocol
from cratelm.records.excerpts import Excerpts
from cratelm.records.logits import read_logits
from cratelm.records.store import UNITS_IN_ROW_GROUP, read_excerpts, read_units


@dataclass(frozen=True)
class Layer:
    """A site's units in one half."""

    records: Artifact
    summary: dict[str, Any]
    """What records.json holds."""
    half: str
    number: int
    texts: Sequence[str]
    """Each token as text."""

    @property
    def site(self) -> dict[str, Any]:
        """The site's entry in records.json."""
        return self.summary["sites"][self.number]

    @property
    def protocol(self) -> Protocol:
        """What the recording was made by."""
        return PROTOCOLS[self.summary["protocol"]]

    @cached_property
    def statistics(self) -> dict[str, np.ndarray]:
        """Each unit's statistics, (units, …)."""
        return read_units(self.records, self.number, self.half)

    @cached_property
    def logits(self) -> dict[int, dict[str, list]]:
        """By unit, the tokens that it raises and lowers most; empty where they were not kept."""
        return read_logits(self.records, self.number)

    def value(self, name: str, unit: int) -> float | None:
        """A statistic of a unit; None where it has none."""
        found = float(self.statistics[name][unit])
        return found if isfinite(found) else None

    def unit_excerpts(self, *kinds: tuple[str, int]) -> Iterator[tuple[int, list[Excerpts]]]:
        """Each unit, and its excerpts of these kinds and lengths; one row group of the store is read at a time."""
        units = self.site["units"]
        for first in range(0, units, UNITS_IN_ROW_GROUP):
            some = range(first, min(first + UNITS_IN_ROW_GROUP, units))
            read = [read_excerpts(self.records, self.number, self.half, kind, some, length) for kind, length in kinds]
            for unit in some:
                yield unit, [found.where(found.unit == unit) for found in read]

    def tokens(self, excerpts: Excerpts, row: int) -> list[str]:
        """One excerpt's tokens as text."""
        return [self.texts[token] for token in excerpts.tokens[row]]
