"""Results of cells as one table of numbers: a number of each, its mean over seeds, differences paired by seed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from cratelm.protocols import ENDPOINT
from cratelm.report.measured import Estimate
from cratelm.reproduce.matrix import CORPORA, PAIR, SIZES, TOKENIZER, Cell
from cratelm.reproduce.store import ALL, END, MODEL, PAPER_SOURCE, Key, Result
from cratelm.stats import seed_interval

Table = tuple[list[str], list[list[str]]]
"""Its head and its rows."""
LESS = "crate minus gpt2"
"""How a row of differences is named."""
TEXT = " †"
"""Marks an interval that contains the choice of held-out documents."""


@dataclass(frozen=True)
class Number:
    """A number of a cell's model."""

    value: Callable[[Result, str], float]
    """At a point of its training: the share of it that is done, as text."""
    replicates: Callable[[Result], np.ndarray | None] = lambda result: None
    """The number in the end with the held-out documents drawn again, (replicates,); None where the cell lacks them."""

    def __call__(self, result: Result, stage: str) -> float:
        return self.value(result, stage)


class Difference(NamedTuple):
    """A mean difference over training seeds."""

    mean: float
    low: float
    """With `high`, the 95% interval; both are NaN where there is one seed."""
    high: float
    seeds: int
    p: float = float("nan")
    """Two-sided, not corrected."""
    of_text: bool = False
    """Whether the interval contains the choice of held-out documents, in addition to the seeds' spread."""


@dataclass(frozen=True)
class Results:
    """The results of the cells that are there, and where the primary question is asked."""

    cells: Sequence[Result]
    corpus: str = CORPORA[0]
    tokenizer: str = TOKENIZER
    sizes: Sequence[int] = SIZES
    """Numbers of layers."""
    asked: Sequence[Cell] = ()
    """The cells of the matrix, run or not."""

    def of(self, **wanted: Any) -> list[Result]:
        """Those whose cell says so, by seed; those that were trained for longer where that group is asked for alone."""
        longer = wanted.get("group") == "longer"
        kept = [result for result in self.cells if (result["cell"]["group"] == "longer") == longer]
        matching = [result for result in kept if all(result["cell"][key] == value for key, value in wanted.items())]
        return sorted(matching, key=lambda result: result["cell"]["seed"])

    def main(self, **wanted: Any) -> list[Result]:
        """Those of the primary corpus and tokenizer."""
        return self.of(corpus=self.corpus, tokenizer=self.tokenizer, **wanted)

    def values(self, name: str) -> list[Any]:
        """The different values of one field of the cells, in the order in which they come."""
        return list(dict.fromkeys(result["cell"][name] for result in self.cells))


def keyed(name: str, layer: int | str = "", explainer: str = "", metric: str = "", source: str = MODEL) -> Number:
    """A number of the cell's table by its key."""
    return Number(lambda result, stage: result["numbers"][Key(name, source, stage, explainer, metric, str(layer))])


def score(explainer: str, metric: str, layer: int | str = ALL, source: str = MODEL) -> Number:
    """A mean score over units."""

    def replicates(result: Result) -> np.ndarray | None:
        drawn = result["numbers"].get(Key("draws", source, END, explainer, metric, str(layer)))
        return None if drawn is None else np.array(drawn)

    return Number(keyed("score", layer, explainer, metric, source).value, replicates)


def own_score(metric: str, layer: int | str = ALL) -> Number:
    """A mean score over units, by the endpoint's explainer."""
    return score(ENDPOINT.explainer, metric, layer)


def shuffled(explainer: str, metric: str) -> Number:
    """Its control: the same of each unit with another unit's explanation; NaN where a cell has none."""
    return keyed("shuffled", ALL, explainer, metric)


def above_control(explainer: str, metric: str) -> Number:
    """A mean score over units less its shuffled control."""
    own, control = score(explainer, metric), shuffled(explainer, metric)
    return Number(lambda result, stage: own(result, stage) - control(result, stage))


def of_scored(explainer: str, metric: str) -> Number:
    """The mean score over layers of the units that could be scored: those that could not count as 0 elsewhere."""

    def of_layer(result: Result, stage: str, layer: int) -> tuple[float, float]:
        names = ("score", "dead", "silent", "constant")
        mean, *lacking = (keyed(name, layer, explainer, metric)(result, stage) for name in names)
        return mean, 1 - lacking[0] - lacking[1] - lacking[2]

    def value(result: Result, stage: str) -> float:
        layers = [of_layer(result, stage, layer) for layer in range(result["cell"]["layers"])]
        return float(np.mean([mean / share for mean, share in layers if share]))

    return Number(value)


def paper_score(explainer: str, metric: str, layer: int | str = ALL) -> Number:
    """A mean score by the paper's protocol, measured at the end of the training; NaN where it was not."""
    key = Key("score", PAPER_SOURCE, END, explainer, metric, str(layer))
    return Number(lambda result, stage: result["numbers"].get(key, float("nan")))


def dictionaries(cells: Sequence[Result]) -> list[str]:
    """The names of the dictionaries that were fitted to any of the models."""
    return list(dict.fromkeys(name for cell in cells for name in cell.get("autoencoders", ())))


def latents(dictionary: str, metric: str, layer: int | str = ALL) -> Number:
    """The mean score by `table` of the latents of autoencoders on the trained model; NaN where none were fitted."""
    return _of_latents(dictionary, score(ENDPOINT.explainer, metric, layer, dictionary))


def latents_statistic(dictionary: str, name: str) -> Number:
    """A mean statistic over those latents."""
    return _of_latents(dictionary, keyed(name, ALL, source=dictionary))


def _of_latents(dictionary: str, number: Number) -> Number:
    def value(result: Result, stage: str) -> float:
        return number(result, END) if dictionary in result.get("autoencoders", ()) else float("nan")

    return Number(value)


def delta_loss(dictionary: str) -> Number:
    """Nats a token that the model loses more with the reconstructions of all layers in the place of its codes."""
    return keyed("delta_loss.mean", ALL, source=dictionary)


def statistic(name: str, layer: int | str = ALL) -> Number:
    """A mean statistic over units: token_share, position_share, firing_rate."""
    return keyed(name, layer)


loss = keyed("nats_per_token")
"""The validation loss in nats a token."""
ENDPOINT_SCORE = score(*ENDPOINT)
"""The primary endpoint's number."""
ENDPOINT_NAME = f"{ENDPOINT.metric}, {ENDPOINT.explainer}"
"""How tables head it."""


def variance(metric: str, number_of: Callable[..., Number] = score) -> Number:
    """The population variance over layers of their mean scores by `table`, the paper's measure; NaN of one layer."""

    def number(result: Result, stage: str) -> float:
        layers = range(result["cell"]["layers"])
        if len(layers) == 1:
            return float("nan")
        return float(np.var([number_of(ENDPOINT.explainer, metric, layer)(result, stage) for layer in layers]))

    return Number(number)


def mean(cells: Sequence[Result], number: Number, stage: str = END) -> float:
    """The mean over cells, which are seeds."""
    return float(np.mean([number(cell, stage) for cell in cells]))


def paired(first: Sequence[Result], second: Sequence[Result], number: Number) -> Difference:
    """The mean difference over the seeds that both have."""
    return paired_between(first, number, second, number)


def paired_between(first: Sequence[Result], number: Number, second: Sequence[Result], rival: Number) -> Difference:
    """A number of the first less another number of the second."""

    def less(a: Result, b: Result) -> np.ndarray | None:
        drawn = number.replicates(a), rival.replicates(b)
        return None if drawn[0] is None or drawn[1] is None else drawn[0] - drawn[1]

    return paired_by(first, second, lambda a, b: number(a, END) - rival(b, END), less)


def paired_at_loss(first: Sequence[Result], second: Sequence[Result], number: Number) -> Difference:
    """The same number, the second's at the point of its training where it loses as much as the first in the end."""
    return paired_by(first, second, lambda a, b: number(a, END) - at_loss(b, loss(a, END), number))


def paired_by(
    first: Sequence[Result],
    second: Sequence[Result],
    less: Callable[[Result, Result], float],
    less_drawn: Callable[[Result, Result], np.ndarray | None] = lambda a, b: None,
) -> Difference:
    """The mean over the seeds that both have of what the first has more than the second; NaN without any.

    `less_drawn` gives the same with the held-out documents drawn again, (replicates,). All seeds are measured on the
    same documents, drawn alike, so the mean over seeds has a spread of its own that more seeds do not lower.
    """
    by_seed = {result["cell"]["seed"]: result for result in second}
    both = [(a, by_seed[a["cell"]["seed"]]) for a in first if a["cell"]["seed"] in by_seed]
    if not both:
        return Difference(float("nan"), float("nan"), float("nan"), 0)
    return _between_seeds([less(a, b) for a, b in both], [less_drawn(a, b) for a, b in both])


def estimate(cells: Sequence[Result], number: Number) -> Estimate:
    """The mean over cells, which are seeds, with the interval that a difference has; NaN where there is one seed."""
    found = _between_seeds([number(cell, END) for cell in cells], [number.replicates(cell) for cell in cells])
    return Estimate(found.mean, found.low, found.high)


def _between_seeds(values: Sequence[float], drawn: Sequence[np.ndarray | None]) -> Difference:
    known = [replicates for replicates in drawn if replicates is not None]
    # With some seeds' draws alone, how their mean varies with the text is not known.
    of_text = len(known) == len(values)
    text_variance = float(np.var(np.mean(known, axis=0), ddof=1)) if of_text else 0.0
    mean, low, high, p = seed_interval(values, text_variance)
    return Difference(mean, low, high, len(values), p, of_text)


def at_loss(result: Result, wanted: float, number: Number) -> float:
    """A number of a model at the point of its training where its validation loss is `wanted`.

    Between two points that were measured it is interpolated along the loss; NaN outside them.
    """
    # np.interp wants ascending losses, and training goes the other way.
    points = sorted((loss(result, stage), number(result, stage)) for stage in stages(result))
    losses, numbers = zip(*points, strict=True)
    return float(np.interp(wanted, losses, numbers, left=np.nan, right=np.nan))


def stages(result: Result) -> list[str]:
    """The points of the training that were measured, from its beginning."""
    return sorted({key.stage for key in result["numbers"] if key.source == MODEL}, key=float)


def pairs(results: Results) -> list[tuple[str, int, tuple[list[Result], list[Result]]]]:
    """CRATE's and GPT-2's cells of each corpus and size that has both."""
    every_pair = []
    for corpus, layers in product(results.values("corpus"), results.sizes):
        crate, gpt2 = (results.of(group="sizes", corpus=corpus, layers=layers, model=model) for model in PAIR)
        if crate and gpt2:
            every_pair.append((corpus, layers, (crate, gpt2)))
    return every_pair


def over_seeds(cells: Sequence[Result], number: Number) -> list[str]:
    """The mean with the least and the greatest, and how many there are."""
    values = [number(cell, END) for cell in cells]
    spread = f" [{min(values):.3f}, {max(values):.3f}]" if len(values) > 1 else ""
    return [f"{sum(values) / len(values):.3f}{spread}", str(len(values))]


def with_interval(difference: Difference) -> str:
    """A mean difference with its interval, which has TEXT where it contains the choice of text; one seed has none."""
    if not math.isfinite(difference.mean):
        return "–"
    if difference.seeds == 1:
        return f"{difference.mean:.3f} (one seed)"
    return f"{difference.mean:.3f} [{difference.low:.3f}, {difference.high:.3f}]" + TEXT * difference.of_text


def decimal(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def versus(named: Sequence[str], cells: Sequence[Sequence[Result]], numbers: Sequence[Number]) -> list[list[str]]:
    """A row a model of the pair, and CRATE minus GPT-2."""
    rows = [[*named, model, *means(model_cells, numbers)] for model, model_cells in zip(PAIR, cells, strict=True)]
    crate, gpt2 = cells
    return [*rows, [*named, LESS, *(with_interval(paired(crate, gpt2, number)) for number in numbers)]]


def means(cells: Sequence[Result], numbers: Sequence[Number]) -> list[str]:
    """Of each number the mean over cells."""
    return [decimal(mean(cells, number)) for number in numbers]
