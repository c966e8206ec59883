"""Which excerpts of a unit a draw names."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cratelm.artifacts import Artifact
from cratelm.protocols import Draw
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import read_excerpts
from cratelm.stats import places_in_group, places_in_sorted


def select(
    records: Artifact, layer: int, half: str, draws: Sequence[Draw], once: bool, units: Sequence[int] | None = None
) -> list[Excerpts]:
    """The excerpts of each draw, in the order of the draws; with `once`, none is in two of them.

    Where too few are left of a unit, or of an interval of it, there are fewer.
    """
    taken = np.empty((2, 0), np.int64)
    selected = []
    for draw in draws:
        excerpts = read_excerpts(records, layer, half, draw.kind, units, draw.length)
        if once:
            excerpts = _first(excerpts.where(~_among(excerpts, taken)), len(draw.ranks))
            taken = np.concatenate([taken, [excerpts.unit, excerpts.start]], axis=1)
        else:
            excerpts = excerpts.where(np.isin(excerpts.rank, list(draw.ranks)))
        selected.append(_cropped(excerpts, draw.crop))
    return selected


def _among(excerpts: Excerpts, taken: np.ndarray) -> np.ndarray:
    """Which excerpts, by unit and start, stand among pairs (2, pairs)."""
    places = 1 + max(taken[1].max(initial=0), excerpts.start.max(initial=0))
    return np.isin(excerpts.unit * places + excerpts.start, taken[0] * places + taken[1])


def _first(excerpts: Excerpts, count: int) -> Excerpts:
    """The first excerpts of each unit and interval, by rank."""
    order = np.lexsort((excerpts.rank, excerpts.interval, excerpts.unit))
    # An interval is -1 or more, and there are fewer than a hundred.
    within = places_in_sorted(100 * excerpts.unit[order] + excerpts.interval[order] + 1)
    return excerpts.where(order[within < count])


def _cropped(excerpts: Excerpts, crop: tuple[int, int] | None) -> Excerpts:
    if crop is None:
        return excerpts
    kept = slice(*crop)
    return replace(
        excerpts,
        start=excerpts.start + crop[0],
        place=excerpts.place + crop[0],
        tokens=excerpts.tokens[:, kept],
        activations=excerpts.activations[:, kept],
    )


def slots(parts: Sequence[Excerpts]) -> list[np.ndarray]:
    """A number for each excerpt that is its own within its unit, counted on from part to part: (rows,) each."""
    units = 1 + max((int(part.unit.max(initial=-1)) for part in parts), default=-1)
    used = np.zeros(units, np.int64)
    slots_by_part = []
    for part in parts:
        slots_by_part.append(used[part.unit] + places_in_group(part.unit))
        used += np.bincount(part.unit, minlength=units)
    return slots_by_part
