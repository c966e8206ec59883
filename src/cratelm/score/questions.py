"""The questions of detection, fuzzing and intruder: can an explanation tell where a unit fires, excerpt by excerpt?

Detection and fuzzing are those of Paulo et al. (arXiv 2410.13928), the intruder that of arXiv 2507.08473, on excerpts
of 9 tokens. `detection`: does the unit fire in this excerpt? `fuzzing`: does it fire on these tokens, which are marked
in an excerpt that it fires in? Both are balanced accuracies, chance 0.5. `intruder`: which of five excerpts is the one
that it is silent in? Chance is 0.2.

Excerpts that fire are those drawn from all strengths; silent ones are random ones, and ones with the unit's own top
tokens, that the records say it is silent in, at every token. An explanation that simulates is a judge by a threshold:
the one that would have done best on excerpts of the explain half.
"""

from dataclasses import dataclass

import numpy as np

from cratelm.protocols import SHORT, Draw
from cratelm.records.excerpts import Excerpts
from cratelm.score.excerpt_sums import ExcerptSums
from cratelm.score.layer_inputs import LayerInputs
from cratelm.seeds import derive_seed
from cratelm.stats import places_in_sorted

DRAWS = (Draw(SHORT, "interval", range(2)), Draw(SHORT, "random", range(20)), Draw(SHORT, "other", range(30)))
"""Excerpts that fire come from the first, silent ones from the other two."""
MOST_SILENT = 24
"""Silent excerpts of a unit at most: as many as fire, with two of each of 12 intervals."""
NOTE = (
    "excerpts have 9 tokens, and the explanation's simulation decides by a threshold that is fixed on the explain half"
)
OTHERS = 4
"""Excerpts that fire, next to an intruder."""
TRIALS = 10
"""Intruders of a unit at most."""


@dataclass(frozen=True)
class Asked:
    """What is asked of the units of a layer: of each excerpt, or of tokens marked in it, whether the unit fires."""

    half: str
    row: np.ndarray
    """(rows,): of each excerpt among those that detection asks about in this half."""
    excerpts: Excerpts
    marked: np.ndarray
    """(rows, T): the tokens that count; all of them in detection."""
    fires: np.ndarray
    """(rows,): the right answer."""


def whole_excerpts(inputs: LayerInputs, half: str) -> Asked:
    """Detection's questions in one half of the text: does the unit fire in this excerpt?"""
    firing, *others = inputs.select(half, DRAWS)
    excerpts = Excerpts.concatenate([firing, silent_only(Excerpts.concatenate(others))])
    marked = np.ones(excerpts.tokens.shape, bool)
    return Asked(half, np.arange(len(marked)), excerpts, marked, excerpts.activations.max(1, initial=0) > 0)


def marked_tokens(inputs: LayerInputs, half: str) -> Asked:
    """Fuzzing's questions: does it fire on the tokens that are marked in this excerpt?"""
    firing = inputs.select(half, DRAWS)[0]
    generator = np.random.default_rng(derive_seed(inputs.seed, "fuzzing", inputs.layer, half))
    row, marked, right = fuzzed(firing.activations, generator.random(firing.tokens.shape))
    return Asked(half, row, firing.where(row), marked, right)


def silent_only(excerpts: Excerpts) -> Excerpts:
    """The first MOST_SILENT excerpts of each unit in which it fires nowhere."""
    excerpts = excerpts.where(excerpts.activations.max(1, initial=0) <= 0)
    order = np.argsort(excerpts.unit, kind="stable")
    return excerpts.where(order[places_in_sorted(excerpts.unit[order]) < MOST_SILENT])


def fuzzed(activations: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each excerpt twice: its strongest tokens marked, and as many silent ones, those with the least `noise`.

    As many are marked as there are of the fewer kind; an excerpt that has one kind alone is left out. `activations` and
    `noise` are (excerpts, T). Gives the excerpt of each question, what is marked in it, (questions, T), and whether the
    unit fires there.
    """
    fires = activations > 0
    count = np.minimum(fires.sum(1), (~fires).sum(1))
    kept = np.flatnonzero(count)
    activations, fires, noise, count = activations[kept], fires[kept], noise[kept], count[kept]
    # Infinity ranks last, so that silent tokens are never among the strongest, nor firing ones among the silent.
    strongest = _ranks(np.where(fires, -activations, np.inf)) < count[:, None]
    silent = _ranks(np.where(fires, np.inf, noise)) < count[:, None]
    right = np.repeat([True, False], len(count))
    return np.r_[kept, kept], np.concatenate([strongest, silent]), right


def _ranks(values: np.ndarray) -> np.ndarray:
    """The place of each value in its row, the lowest first."""
    return np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1, kind="stable")


def strengths(simulated: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """What an explanation expects of marked tokens: their mean, or where all are marked the highest. (rows,)"""
    every = marked.all(1)
    with np.errstate(invalid="ignore"):
        mean = np.where(marked, simulated, 0).sum(1) / marked.sum(1)
    return np.where(every, simulated.max(1, initial=-np.inf), mean)


def best_thresholds(unit: np.ndarray, value: np.ndarray, fires: np.ndarray, units: int) -> np.ndarray:
    """The threshold by which `value >= threshold` tells best, in balanced accuracy, where each unit fires: (units,).

    `unit`, `value` and `fires` are (rows,). A threshold lies midway between two values; the highest of equals is
    taken. NaN where a unit lacks one of the two kinds.
    """
    order = np.lexsort((-value, unit))
    unit, value, fires = unit[order], value[order], fires[order]
    # Cut to the rows: without any, np.r_ would still hold its True.
    begins = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]][: len(unit)])
    unit_place = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(unit)]))
    gain = _running_share(fires, begins, unit_place) - _running_share(~fires, begins, unit_place)
    ends = np.r_[unit[1:] != unit[:-1], True][: len(unit)]
    # The 0 is never used: the last row is the end of a unit.
    below = np.where(ends, -np.inf, np.r_[value[1:], 0])
    gain = np.where(below < value, gain, -np.inf)  # a threshold lies between two values, or below all
    best = np.maximum.reduceat(gain, begins) if len(begins) else gain
    first = np.flatnonzero(gain == best[unit_place])
    first = first[np.unique(unit_place[first], return_index=True)[1]]
    thresholds = np.full(units, np.nan)
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isinf(below[first]), -np.inf, (value[first] + below[first]) / 2)
    thresholds[unit[first]] = np.where(best[unit_place[first]] > 0, middle, np.inf)  # to call none is as good as chance
    return thresholds


def _running_share(kind: np.ndarray, begins: np.ndarray, unit_place: np.ndarray) -> np.ndarray:
    """The share of each unit's rows of a kind that lie at or before each of its rows; NaN where it has none."""
    total = np.cumsum(kind)
    before = (total[begins] - kind[begins])[unit_place]
    with np.errstate(invalid="ignore"):
        return (total - before) / np.bincount(unit_place, kind)[unit_place]


def balanced(sums: np.ndarray) -> np.ndarray:
    """Balanced accuracy from sums (..., 4): firing ones called so, firing ones, silent ones called so, silent ones."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[..., 0] / sums[..., 1] + sums[..., 2] / sums[..., 3]) / 2


def balanced_sums(asked: Asked, called: np.ndarray, row: np.ndarray, slot: np.ndarray, units: int) -> ExcerptSums:
    """The sums of answers `called` (rows,) at `row` and `slot`; an answer that is NaN failed and is left out."""
    width = 1 + int(slot.max(initial=0))
    document, sums = np.zeros((units, width), np.int64), np.zeros((units, width, 4))
    document[row, slot] = asked.excerpts.document
    known = ~np.isnan(called)
    right = np.nan_to_num(called) == asked.fires
    values = np.stack([right & asked.fires, asked.fires, right & ~asked.fires, ~asked.fires], axis=1)
    sums[row, slot] = np.where(known[:, None], values, 0)
    return ExcerptSums(document, sums, balanced)


@dataclass(frozen=True)
class Trials:
    """Line-ups of one silent excerpt among OTHERS that fire."""

    row: np.ndarray
    """(trials,): the unit's row."""
    slot: np.ndarray
    """(trials,): which of the unit's trials."""
    excerpt: np.ndarray
    """(trials, 1 + OTHERS): rows among the excerpts that detection asks about, the intruder first."""


def line_ups(unit: np.ndarray, fires: np.ndarray, generator: np.random.Generator) -> Trials:
    """Trials of units, by row (rows,): each of a unit's first TRIALS silent excerpts with others drawn at random.

    A unit with fewer than OTHERS excerpts that fire has none.
    """
    rows, slots, chosen = [], [], []
    for unit_row in np.unique(unit):
        firing, silent = np.flatnonzero((unit == unit_row) & fires), np.flatnonzero((unit == unit_row) & ~fires)
        for slot, intruder in enumerate(silent[:TRIALS] if len(firing) >= OTHERS else []):
            rows.append(unit_row)
            slots.append(slot)
            chosen.append([intruder, *generator.choice(firing, OTHERS, replace=False)])
    return Trials(np.array(rows, int), np.array(slots, int), np.array(chosen, int).reshape(-1, 1 + OTHERS))


def found_lowest(value: np.ndarray) -> np.ndarray:
    """How sure the first of each row (trials, n) is found as the lowest: 1, or its share of a tie. (trials,)"""
    lowest = value.min(1, keepdims=True)
    return (value[:, 0] == lowest[:, 0]) / (value == lowest).sum(1)
