"""One unit of a study or of a recording."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cratelm.errors import InputError
from cratelm.interface.excerpt import Excerpt
from cratelm.records.logits import SIDES
from cratelm.records.one_unit import read_groups
from cratelm.report.unit_facts import SCORES, read_unit
from cratelm.viewer.simulated_excerpts import explanations_of, simulated
from cratelm.viewer.viewed_study import ViewedModel


@dataclass(frozen=True, eq=False)
class Unit:
    """A unit's recording, its explanations, and their scores.

    In a notebook it is shown as in the viewer.

    >>> import cratelm
    >>> unit = cratelm.open(STUDY).unit("crate/0/3")
    >>> unit.site
    'model.layers.0.coding.code'
    >>> sorted(unit.statistics)
    ['explain', 'score']
    """

    address: str
    """`model/layer/unit`; of a recording `layer/unit`."""
    _known: dict[str, Any]
    _excerpts: tuple[Excerpt, ...]

    @property
    def site(self) -> str:
        """The module of the model whose output holds the unit."""
        return self._known["site"]

    @property
    def statistics(self) -> dict[str, dict[str, Any]]:
        """By half: firing rate, maximum, mean, variance, token share, histogram and others."""
        return self._known["statistics"]

    @property
    def explanations(self) -> dict[str, str]:
        """What each explainer says of it, in words."""
        return {name: said for name, said in self._known["explanations"].items() if said}

    @property
    def scores(self) -> list[dict[str, Any]]:
        """A row an explainer and metric: score, its interval (low, high), the shuffled control, and the status."""
        return self._known["scores"]

    @property
    def raised(self) -> list[tuple[str, float]]:
        """The next tokens whose logits it raises most through the unembedding, and by how much an activation of 1
        raises each; none where the recording has none."""
        return self._written(SIDES[0])

    @property
    def lowered(self) -> list[tuple[str, float]]:
        """Those that it lowers most."""
        return self._written(SIDES[1])

    def _written(self, side: str) -> list[tuple[str, float]]:
        logits = self._known["logits"]
        return list(zip(logits[side], logits[f"{side}_by"], strict=True)) if logits else []

    @cached_property
    def halves(self) -> list[str]:
        """The halves of the text, the one that explanations are scored on last."""
        return list(self.statistics)

    def excerpts(self, kind: str | None = None, half: str | None = None) -> list[Excerpt]:
        """Its excerpts of one kind (`top`, `random`, `interval`, `other`) and half (`explain`, `score`), or all.

        Raises InputError for a kind or a half that it has nothing of.

        >>> import cratelm
        >>> unit = cratelm.open(STUDY).unit("crate/0/3")
        >>> {excerpt.kind for excerpt in unit.excerpts("top", half="score")}
        {'top'}
        """
        _require(kind, list(dict.fromkeys(excerpt.kind for excerpt in self._excerpts)), "kind")
        _require(half, self.halves, "half")
        return [one for one in self._excerpts if kind in (None, one.kind) and half in (None, one.half)]

    def __repr__(self) -> str:
        said = next(iter(self.explanations.values()), "no explanation")
        return f"<unit {self.address}, {self.site}: {said}>"

    def _repr_html_(self) -> str:
        from cratelm.notebook.unit_view import unit_view

        return unit_view(self._known | {"address": self.address}, self._excerpts, self.halves)


def _require(name: str | None, names: list[str], what: str) -> None:
    if name is not None and name not in names:
        raise InputError(f"there is no {what} {name!r} of this unit, but {', '.join(names) or 'none at all'}.")


def open_unit(folder: Path, address: str, viewed: ViewedModel | None = None) -> Unit:
    """A unit of a study, of which `viewed` is the model, or of a recording.

    Raises InputError where there is no such unit.
    """
    known = read_unit(folder, address)
    layer, number = (int(part) for part in known["unit"].split("/")[-2:])
    excerpts = tuple(_excerpts(known["excerpts"]))
    if viewed is not None:
        known |= {"explanations": _said(viewed, layer, number), "scores": _scores(viewed, layer, number)}
        both = zip(excerpts, _expected(viewed, layer, number), strict=True)
        excerpts = tuple(replace(excerpt, expected=expected) for excerpt, expected in both)
    return Unit(known["unit"], known, excerpts)


def _excerpts(rows: list[dict[str, Any]]) -> Iterator[Excerpt]:
    for row in rows:
        activations = np.array(row["activations"], np.float32)
        yield Excerpt(row["half"], row["kind"], row["interval"], row["document"], row["tokens"], activations)


def _said(viewed: ViewedModel, layer: int, unit: int) -> dict[str, str | None]:
    return {name: rows[unit] for name, rows in viewed.sentences(layer).items()}


def _scores(viewed: ViewedModel, layer: int, unit: int) -> list[dict[str, Any]]:
    columns = viewed.layer_scores(layer)
    rows = np.flatnonzero(columns["unit"] == unit)
    return [{name: _plain(columns[name][row]) for name in SCORES} for row in rows]


def _plain(value: Any) -> Any:
    """A number or a name as Python has it; None for one that is not there."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _expected(viewed: ViewedModel, layer: int, unit: int) -> Iterator[dict[str, np.ndarray]]:
    """What the explanations expect on each excerpt, in the order of `read_groups`."""
    for group in read_groups(viewed.records, layer, [unit]):
        by_name = simulated(explanations_of(viewed, layer, group.length), group.excerpts)
        for row in range(len(group.excerpts.unit)):
            yield {name: values[row] for name, values in by_name.items()}
