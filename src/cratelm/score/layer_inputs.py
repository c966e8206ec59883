"""What metrics work on: one layer's units, their excerpts, and what an explainer says of them."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from cratelm.artifacts import Artifact
from cratelm.explain.explainer import Explanations
from cratelm.explain.selection import select, slots
from cratelm.protocols import Draw, Protocol
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import read_units
from cratelm.score.excerpt_sums import Series
from cratelm.score.positions import Positions
from cratelm.score.scored import CONSTANT, DEAD, FAILED, SILENT
from cratelm.score.shuffled import Shuffled
from cratelm.seeds import derive_seed

T = TypeVar("T")
SAYS = 0.1
"""An explanation names a position where it expects more than this share of the unit's maximum; a unit fires strongly
where it is above it."""


class LayerInputs:
    """One layer's units, and one explainer's explanations of them."""

    def __init__(
        self,
        records: Artifact,
        layer: int,
        protocol: Protocol,
        explanations: dict[str, Explanations],
        units: np.ndarray,
        seed: int,
        shared: dict[tuple, Any] | None = None,
    ):
        """`explanations` are those of each evidence; `units` (units,) are the numbers of those that are scored.

        `shared` keeps what does not depend on the explainer, for the layer's others.
        """
        self._shared = {} if shared is None else shared
        self._of_explainer: dict[tuple, Any] = {}
        self.records, self.layer, self.units, self.seed = records, layer, units, seed
        self.protocol, self.explanations = protocol, explanations
        statistics = read_units(records, layer, protocol.scored_on)
        shown = read_units(records, layer, protocol.explained_on)
        self.every_unit = len(units) == len(statistics["firing_rate"])
        self.dead = statistics["firing_rate"][units] == 0
        """(units,): which never fire in the score half."""
        self.strong = SAYS * shown["maximum"]
        """(all units of the layer,): by number, what a unit fires strongly above."""
        self.shuffled = Shuffled.draw(units, shown["maximum"], derive_seed(seed, "shuffle", layer))

    def scored_excerpts(self, name: str) -> list[Excerpts]:
        """The excerpts that the protocol scores under a name, by draw."""
        return self.select(self.protocol.scored_on, self.protocol.scored[name])

    def select(self, half: str, draws: Sequence[Draw]) -> list[Excerpts]:
        """The units' excerpts of each draw in one half."""
        return self.once(_selected, half, tuple(draws))

    def once(self, make: Callable[..., T], *given: Hashable) -> T:
        """make(self, *given), which must not depend on explanations: it is made once for all explainers."""
        key = make, *given, None if self.every_unit else self.units.tobytes()
        if key not in self._shared:
            self._shared[key] = make(self, *given)
        return self._shared[key]

    def for_all_metrics(self, make: Callable[..., T], *given: Hashable) -> T:
        """make(self, *given), made once for all metrics of this explainer."""
        key = make, *given
        if key not in self._of_explainer:
            self._of_explainer[key] = make(self, *given)
        return self._of_explainer[key]

    def of_every_unit(self, make: Callable[..., T], *given: Hashable) -> T | None:
        """What `once` has made for another explainer, of all units of the layer; None if it has not."""
        return self._shared.get((make, *given, None))

    def pair(self, name: str, evidence: str, kind: str | None = None) -> tuple[Series, Series]:
        """Truth and simulation on the excerpts of a name, or on those of a kind among them: own and shuffled."""
        return self.for_all_metrics(_pair, name, evidence, kind)

    def row(self, excerpts: Excerpts) -> np.ndarray:
        """The place among `units` of each excerpt's unit: (rows,)."""
        return np.searchsorted(self.units, excerpts.unit)

    def simulate(self, explanation: Explanations, excerpts: Excerpts, shuffled: bool) -> np.ndarray:
        """What is expected of the units on excerpts, by their own explanations or by other units': (rows, T)."""
        given = excerpts.unit, excerpts.tokens, excerpts.place
        return self.shuffled.simulate(explanation, *given) if shuffled else explanation.simulate(*given)

    def status(self, series: Series) -> np.ndarray:
        """Why each unit cannot be scored, or 0 for `scored`: places in STATUS, (units,)."""
        silent = series.positions.of_unit(series.truth > 0) == 0
        lost = _lost(series) if series.failed is not None and series.failed.any() else np.False_
        # The first that holds counts: a dead unit is silent, and often constant, as well.
        reasons = [self.dead, lost, silent, ~series.positions.varies(series.simulated)]
        return np.select(reasons, [DEAD, FAILED, SILENT, CONSTANT], 0)


@dataclass(frozen=True)
class _Layout:
    """The excerpts of some draws, and their positions in the order of units."""

    parts: list[Excerpts]
    positions: Positions
    order: np.ndarray
    """(positions,): where each stands when the excerpts are taken one after the other."""


def _laid_out(inputs: LayerInputs, name: str, kind: str | None) -> _Layout:
    drawn = zip(inputs.protocol.scored[name], inputs.scored_excerpts(name), strict=True)
    parts = [part for draw, part in drawn if kind in (None, draw.kind)]
    slotted = slots(parts)
    document = np.zeros((len(inputs.units), 1 + max(int(slot.max(initial=0)) for slot in slotted)), np.int64)
    for part, slot in zip(parts, slotted, strict=True):
        document[inputs.row(part), slot] = part.document
    unit = np.concatenate([np.repeat(inputs.row(part), part.tokens.shape[1]) for part in parts])
    slot = np.concatenate([np.repeat(slot, part.tokens.shape[1]) for part, slot in zip(parts, slotted, strict=True)])
    truth = np.concatenate([part.activations.ravel() for part in parts]).astype(np.float64)
    # By unit, and within a unit in the order of its excerpts: sums over it are then the same on every machine.
    order = np.argsort(unit, kind="stable")
    return _Layout(parts, Positions(unit[order], slot[order], truth[order], document), order)


def _pair(inputs: LayerInputs, name: str, evidence: str, kind: str | None) -> tuple[Series, Series]:
    layout, explanation = inputs.once(_laid_out, name, kind), inputs.explanations[evidence]
    own, shuffled = (
        [inputs.simulate(explanation, part, by_another) for part in layout.parts] for by_another in (False, True)
    )
    return _series(inputs, layout, own), _series(inputs, layout, shuffled)


def _series(inputs: LayerInputs, layout: _Layout, simulated: list[np.ndarray]) -> Series:
    """What was simulated of each part (rows, T), in the order of units."""
    expected = np.concatenate([values.ravel() for values in simulated])[layout.order]
    # An answer of a judge that failed is NaN throughout: its excerpt has no part in any sum.
    lost = [np.isnan(values).any(1) for values in simulated]
    rows = np.concatenate([inputs.row(part)[gone] for part, gone in zip(layout.parts, lost, strict=True)])
    failed = np.bincount(rows, minlength=len(inputs.units))
    if not len(rows):
        return Series(layout.positions, expected, failed)
    known = np.concatenate([np.repeat(~gone, values.shape[1]) for gone, values in zip(lost, simulated, strict=True)])
    known = known[layout.order]
    return Series(layout.positions.where(known), expected[known], failed)


def _selected(inputs: LayerInputs, half: str, draws: tuple[Draw, ...]) -> list[Excerpts]:
    if (read := inputs.of_every_unit(_selected, half, draws)) is not None:
        return [part.where(np.isin(part.unit, inputs.units)) for part in read]
    units = None if inputs.every_unit else inputs.units.tolist()
    return select(inputs.records, inputs.layer, half, draws, inputs.protocol.once, units)


def _lost(series: Series) -> np.ndarray:
    """The units half of whose excerpts or more have no simulation: (units,)."""
    assert series.failed is not None
    kept = (series.positions.by_excerpt(np.ones(len(series.truth))) > 0).sum((1, 2))
    return (series.failed > 0) & (series.failed >= kept)
