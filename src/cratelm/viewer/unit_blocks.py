"""Units packed together for an export: what is the same in many excerpts is kept once, and activations are bytes.

A unit's activations, and what each explanation expects of it, are levels from 0 to 255 between its lowest and its
highest value: a step is 0.4% of that range. Excerpts hold the place of their first token on its half, and a text, which
the blocks of a shelf share, the tokens at all places that they cover. `viewer/src/packs.ts` reads both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cratelm.explain.registry import EXPLAINERS
from cratelm.records.excerpts import Excerpts
from cratelm.records.one_unit import Group, read_groups
from cratelm.records.store import UNITS_IN_ROW_GROUP
from cratelm.viewer.simulated_excerpts import explanations_of, simulated
from cratelm.viewer.unit_document import unit_facts
from cratelm.viewer.viewed_study import ViewedModel

UNITS_IN_BLOCK = UNITS_IN_ROW_GROUP
"""A block is read from one row group of the records."""
BLOCKS_ON_SHELF = 16
LEVELS = 255
TRUE = "activations"
"""The name of the true activations among the values of a unit; no explainer has it."""


@dataclass(frozen=True)
class _Values:
    """Excerpts of several units with their values: (rows, length) each, by name."""

    group: Group
    by_name: dict[str, np.ndarray]


_Scales = dict[str, tuple[np.ndarray, np.ndarray]]
"""The lowest and the highest value of each unit, 0 among them: (units,) each, by name."""


@dataclass
class Text:
    """The tokens at all places that excerpts cover, by half."""

    _places: dict[str, list[np.ndarray]] = field(default_factory=dict)
    _tokens: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, half: str, excerpts: Excerpts) -> None:
        """Take in the tokens of some excerpts."""
        places = excerpts.start[:, None] + np.arange(excerpts.tokens.shape[1])
        self._places.setdefault(half, []).append(places.ravel())
        self._tokens.setdefault(half, []).append(excerpts.tokens.ravel())

    def document(self, texts: Sequence[str]) -> dict[str, Any]:
        """`texts` of tokens, and by half the runs of places without a gap: each run's length and the gap before it."""
        halves = {half: self._of_half(half) for half in self._places}
        used = np.unique(np.concatenate([np.zeros(0, np.int64), *(tokens for _, tokens in halves.values())]))
        return {
            "texts": [texts[token] for token in used],
            "halves": {
                half: _runs(places) | {"tokens": np.searchsorted(used, tokens).tolist()}
                for half, (places, tokens) in halves.items()
            },
        }

    def _of_half(self, half: str) -> tuple[np.ndarray, np.ndarray]:
        places, first = np.unique(np.concatenate(self._places[half]), return_index=True)
        return places, np.concatenate(self._tokens[half])[first]


def _runs(places: np.ndarray) -> dict[str, list[int]]:
    """`gaps` and `lengths` of the runs in ascending places (n,)."""
    begins = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    lengths = np.diff(np.append(begins, len(places)))
    ends = places[begins] + lengths
    return {"gaps": (places[begins] - np.append(0, ends[:-1])).tolist(), "lengths": lengths.tolist()}


def unit_block(
    model: ViewedModel, layer: int, units: Sequence[int], text: Text, controls: bool = False
) -> tuple[dict[str, Any], bytes]:
    """A document of some units of a layer by number, and the levels that it refers to; `text` takes in their tokens.

    Scores of control explainers are left out unless `controls`.
    """
    every = _with_simulations(model, layer, read_groups(model.records, layer, units))
    scales = _scales(every, units)
    documents = {unit: _facts(model, layer, unit, controls) for unit in units}
    for place, unit in enumerate(units):
        ends = {name: [float(f"{end[place]:.6g}") for end in both] for name, both in scales.items()}
        documents[unit] |= {"scales": ends, "groups": []}
    levels = bytearray()
    for values in every:
        text.add(values.group.half, values.group.excerpts)
        _put_levels(values, scales, units, documents, levels)
    return {"units": documents}, bytes(levels)


def _facts(model: ViewedModel, layer: int, unit: int, controls: bool) -> dict[str, Any]:
    facts = unit_facts(model, layer, unit)
    shown = [row for row in facts["scores"] if controls or not _is_control(row["explainer"])]
    return facts | {"scores": shown}


def _is_control(explainer: str) -> bool:
    return explainer in EXPLAINERS and EXPLAINERS[explainer].role == "control"


def _put_levels(
    values: _Values, scales: _Scales, units: Sequence[int], documents: dict[int, dict[str, Any]], levels: bytearray
) -> None:
    """Add the levels of some excerpts, and to their units' documents where these lie."""
    excerpts = values.group.excerpts
    place = np.searchsorted(units, excerpts.unit)
    of_name = [_levels(shown, *(end[place] for end in scales[name])) for name, shown in values.by_name.items()]
    for unit in np.unique(excerpts.unit).tolist():
        rows = slice(*np.searchsorted(excerpts.unit, [unit, unit + 1]))
        documents[unit]["groups"].append(_group(values, rows, len(levels)))
        for shown in of_name:
            levels += shown[rows].tobytes()


def _with_simulations(model: ViewedModel, layer: int, groups: Sequence[Group]) -> list[_Values]:
    """Groups with what explanations expect, which are asked once for all excerpts of a length."""
    found = []
    for length in dict.fromkeys(group.length for group in groups):
        mine = [group for group in groups if group.length == length]
        together = Excerpts.concatenate([group.excerpts for group in mine])
        expected = simulated(explanations_of(model, layer, length), together)
        ends = np.cumsum([len(group.excerpts.unit) for group in mine])
        for group, end in zip(mine, ends.tolist(), strict=True):
            rows = slice(end - len(group.excerpts.unit), end)
            of_group = {name: values[rows] for name, values in expected.items()}
            found.append(_Values(group, {TRUE: group.excerpts.activations, **of_group}))
    return found


def _scales(every: Sequence[_Values], units: Sequence[int]) -> _Scales:
    scales: _Scales = {}
    for values in every:
        place = np.searchsorted(units, values.group.excerpts.unit)
        for name, shown in values.by_name.items():
            low, high = scales.setdefault(name, (np.zeros(len(units)), np.zeros(len(units))))
            np.minimum.at(low, place, shown.min(axis=1))
            np.maximum.at(high, place, shown.max(axis=1))
    return scales


def _levels(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Values (rows, length) as bytes between the ends (rows,) of their units' ranges."""
    span = np.where(high > low, high - low, 1.0)
    return np.rint((values - low[:, None]) / span[:, None] * LEVELS).astype(np.uint8)


def _group(values: _Values, rows: slice, offset: int) -> dict[str, Any]:
    """One unit's excerpts of a kind: by name, `names` in this order, the levels of all rows lie at `offset`."""
    group, excerpts = values.group, values.group.excerpts
    columns = {name: getattr(excerpts, name)[rows].tolist() for name in ("interval", "document", "place", "start")}
    names = list(values.by_name)
    return {"half": group.half, "kind": group.kind, "length": group.length, "names": names, "at": offset, **columns}
