"""Which excerpts of a unit an explainer sees, and which it is scored on: protocols `strict` and `paper` as data.

The numbers are those of OpenAI's *Language models can explain neurons in language models* (2023), of Anthropic's
*Towards Monosemanticity* (2023), and of the paper's official code, whose choices `paper` repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cratelm.artifacts import Artifact
from cratelm.records.store import Excerpts, read_excerpts
from cratelm.stats import places_in_group, places_in_sorted

Evidence = Literal["openai", "anthropic"]
"""What explanations are made from: top excerpts alone, or a spread over all strengths."""
EVIDENCE: dict[str, Evidence] = {
    "top-and-random": "openai",
    "random-only": "openai",
    "anthropic": "anthropic",
}
"""The evidence of each correlation."""


@dataclass(frozen=True)
class Draw:
    """Some excerpts of one kind and length of a unit."""

    length: int
    """Tokens in an excerpt."""
    kind: str
    """`top`, `random`, `interval` or `other`."""
    ranks: range
    """Which of them, by rank; of intervals, of each one."""
    crop: tuple[int, int] | None = None
    """From and to which of an excerpt's tokens; all of them with None."""


@dataclass(frozen=True)
class Protocol:
    """How units are measured."""

    explained_on: str
    """The half that explainers see."""
    scored_on: str
    """The half that they are scored on."""
    shown: dict[str, tuple[Draw, ...]]
    """What is shown, by evidence."""
    scored: dict[str, tuple[Draw, ...]]
    """What is scored, by metric."""
    once: bool
    """Whether an excerpt that stands in several draws is taken once, the next in line filling its place."""


PROTOCOLS = {
    "strict": Protocol(
        explained_on="explain",
        scored_on="score",
        shown={
            "openai": (Draw(64, "top", range(5)),),
            "anthropic": (
                Draw(9, "top", range(10)),
                Draw(9, "interval", range(2)),
                Draw(9, "random", range(5)),
                Draw(9, "other", range(10)),
            ),
        },
        scored={
            "top-and-random": (Draw(64, "top", range(5)), Draw(64, "random", range(5))),
            "random-only": (Draw(64, "random", range(5)),),
            "anthropic": (
                Draw(9, "top", range(6)),
                Draw(9, "interval", range(2)),
                Draw(9, "random", range(10)),
                Draw(9, "other", range(20)),
            ),
        },
        once=True,
    ),
    # Even ranks are shown and odd ones scored, from one text: neighbours of one passage are on both sides. "Other
    # contexts" are the middles of top excerpts.
    "paper": Protocol(
        explained_on="text",
        scored_on="text",
        shown={
            "openai": (Draw(64, "top", range(0, 10, 2)),),
            "anthropic": (Draw(8, "top", range(15)), Draw(8, "interval", range(2)), Draw(8, "random", range(5))),
        },
        scored={
            "top-and-random": (Draw(64, "random", range(0, 10, 2)), Draw(64, "top", range(1, 10, 2))),
            "random-only": (Draw(64, "random", range(0, 10, 2)),),
            "anthropic": (
                Draw(8, "top", range(15, 25)),
                Draw(8, "interval", range(2, 4)),
                Draw(8, "random", range(5, 10)),
                Draw(8, "top", range(25, 35), crop=(3, 6)),
            ),
        },
        once=False,
    ),
}


def select(
    records: Artifact, layer: int, half: str, draws: Sequence[Draw], once: bool, units: Sequence[int] | None = None
) -> list[Excerpts]:
    """The excerpts of each draw, in the order of the draws; with `once`, none is in two of them.

    Where too few are left of a unit, or of an interval of it, there are fewer.
    """
    taken = np.empty((2, 0), np.int64)
    found = []
    for draw in draws:
        excerpts = read_excerpts(records, layer, half, draw.kind, units, draw.length)
        if once:
            excerpts = _first(excerpts.where(~_among(excerpts, taken)), len(draw.ranks))
            taken = np.concatenate([taken, [excerpts.unit, excerpts.start]], axis=1)
        else:
            excerpts = excerpts.where(np.isin(excerpts.rank, list(draw.ranks)))
        found.append(_cropped(excerpts, draw.crop))
    return found


def _among(excerpts: Excerpts, taken: np.ndarray) -> np.ndarray:
    """Which excerpts, by unit and start, stand among pairs (2, pairs)."""
    pairs = np.concatenate([taken, [excerpts.unit, excerpts.start]], axis=1)
    _, number = np.unique(pairs, axis=1, return_inverse=True)
    return np.isin(number.ravel()[taken.shape[1] :], number.ravel()[: taken.shape[1]])


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
    found = []
    for part in parts:
        found.append(used[part.unit] + places_in_group(part.unit))
        used += np.bincount(part.unit, minlength=units)
    return found
