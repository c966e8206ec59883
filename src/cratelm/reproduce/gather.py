"""Questions put to the cells' results: one number of each, its mean over seeds, differences paired by seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cratelm.reproduce.matrix import CORPORA, SIZES
from cratelm.stats import seed_interval

Result = dict[str, Any]
END = "1"


@dataclass(frozen=True)
class Number:
    """A number of a cell's model."""

    value: Callable[[Result, str], float]
    """At a point of its training: the share of it that is done, as text."""
    replicates: Callable[[Result], np.ndarray | None] = lambda result: None
    """The number in the end with the held-out documents drawn again, (replicates,); None where the cell lacks them."""

    def __call__(self, result: Result, stage: str) -> float:
        return self.value(result, stage)


class Found(NamedTuple):
    """A mean difference over training seeds."""

    mean: float
    low: float
    """With `high`, the 95% interval; both are NaN where there is one seed."""
    high: float
    seeds: int
    p: float = float("nan")
    """Two-sided, not corrected."""
    of_text: bool = False
    """Whether the interval contains the choice of held-out documents, beside the seeds' spread."""


@dataclass(frozen=True)
class Results:
    """The results of the cells that are there, and where the primary question is asked."""

    cells: Sequence[Result]
    corpus: str = CORPORA[0]
    tokenizer: str = "bpe:4096"
    sizes: Sequence[int] = SIZES
    """Numbers of layers."""

    def of(self, **wanted: Any) -> list[Result]:
        """Those whose cell says so, by seed; those that were trained for longer where that group is asked for alone."""
        longer = wanted.get("group") == "longer"
        kept = [one for one in self.cells if (one["cell"]["group"] == "longer") == longer]
        found = [one for one in kept if all(one["cell"][key] == value for key, value in wanted.items())]
        return sorted(found, key=lambda one: one["cell"]["seed"])

    def main(self, **wanted: Any) -> list[Result]:
        """Those of the primary corpus and tokenizer."""
        return self.of(corpus=self.corpus, tokenizer=self.tokenizer, **wanted)

    def values(self, name: str) -> list[Any]:
        """The different values of one field of the cells, in the order in which they come."""
        return list(dict.fromkeys(one["cell"][name] for one in self.cells))


def score(explainer: str, metric: str, layer: int | str = "all") -> Number:
    """A mean score over units."""

    def replicates(result: Result) -> np.ndarray | None:
        kept = result.get("documents", {}).get(f"{explainer}/{metric}") if layer == "all" else None
        return None if kept is None else np.array(kept)

    return Number(_column("score", explainer, metric, layer).value, replicates)


def shuffled(explainer: str, metric: str) -> Number:
    """Its control: the same of each unit with another unit's explanation; NaN where a cell's was made wrongly."""
    control = _column("shuffled", explainer, metric, "all")
    return Number(lambda result, stage: float("nan") if _mixes_scales(result, metric) else control(result, stage))


def _mixes_scales(result: Result, metric: str) -> bool:
    """Whether a control compared one unit's expected activations with a threshold of another's: before 2026-11-28."""
    return metric in ("consistency", "specificity") and "unit_statistics" not in result


def above_control(explainer: str, metric: str) -> Number:
    """A mean score over units less its shuffled control."""
    of, control = score(explainer, metric), shuffled(explainer, metric)
    return Number(lambda result, stage: of(result, stage) - control(result, stage))


def _column(name: str, explainer: str, metric: str, layer: int | str) -> Number:
    def number(result: Result, stage: str) -> float:
        rows = result["stages"][stage]["scores"]
        wanted = (explainer, metric, layer)
        return next(_real(row[name]) for row in rows if _named(row) == wanted)

    return Number(number)


def of_scored(explainer: str, metric: str) -> Number:
    """The mean score over layers of the units that could be scored: those that could not count as 0 elsewhere."""

    def number(result: Result, stage: str) -> float:
        rows = [row for row in result["stages"][stage]["scores"] if row["layer"] != "all"]
        mine = [row for row in rows if (row["explainer"], row["metric"]) == (explainer, metric)]
        scored = [1 - row["dead"] - row["silent"] - row["constant"] for row in mine]
        return float(np.mean([_real(row["score"]) / share for row, share in zip(mine, scored, strict=True) if share]))

    return Number(number)


def paper_score(explainer: str, metric: str, layer: int | str = "all") -> Number:
    """A mean score by the paper's protocol, measured at the end of the training; NaN where it was not."""

    def number(result: Result, stage: str) -> float:
        wanted = (explainer, metric, layer)
        rows = [_real(row["score"]) for row in result.get("paper", []) if _named(row) == wanted]
        return rows[0] if rows else float("nan")

    return Number(number)


def latents(dictionary: str, number: Number) -> Number:
    """The same number of the latents of the autoencoders on the trained model; NaN where none were fitted."""

    def of(result: Result, stage: str) -> float:
        found = result.get("autoencoders", {}).get(dictionary)
        return float("nan") if found is None else number({"stages": {END: found}}, END)

    return Number(of)


def dictionaries(cells: Sequence[Result]) -> list[str]:
    """The names of those that were fitted to any of the models."""
    return list(dict.fromkeys(name for one in cells for name in one.get("autoencoders", {})))


def delta_loss(dictionary: str) -> Number:
    """Nats a token that the model loses more with the reconstructions of all layers in the place of its codes."""

    def of(result: Result, stage: str) -> float:
        rows = result["autoencoders"][dictionary]["quality"]
        return next(row["delta_loss"]["mean"] for row in rows if row["layer"] == "all")

    return Number(of)


def statistic(name: str, layer: int | str = "all") -> Number:
    """A mean statistic over units: token_share, position_share, firing_rate."""

    def number(result: Result, stage: str) -> float:
        rows = result["stages"][stage]["statistics"]
        return next(_real(row[name]) for row in rows if row["layer"] == layer)

    return Number(number)


def theory(name: str, layer: int) -> Number:
    """A number of the analysis of one layer."""
    return Number(lambda result, stage: _real(result["stages"][stage]["theory"][layer][name]))


loss = Number(lambda result, stage: result["stages"][stage]["nats_per_token"])
"""The validation loss in nats a token."""


def variance(metric: str, of: Callable[..., Number] = score) -> Number:
    """The population variance over layers of their mean scores by `table`, the paper's measure; NaN of one layer."""

    def number(result: Result, stage: str) -> float:
        layers = range(result["cell"]["layers"])
        if len(layers) == 1:
            return float("nan")
        return float(np.var([of("table", metric, layer)(result, stage) for layer in layers]))

    return Number(number)


def mean(cells: Sequence[Result], number: Number, stage: str = END) -> float:
    """The mean over cells, which are seeds."""
    return float(np.mean([number(cell, stage) for cell in cells]))


def paired(one: Sequence[Result], other: Sequence[Result], number: Number) -> Found:
    """The mean difference over the seeds that both have."""
    return paired_between(one, number, other, number)


def paired_between(one: Sequence[Result], number: Number, other: Sequence[Result], rival: Number) -> Found:
    """A number of the one less another number of the other."""

    def less(a: Result, b: Result) -> np.ndarray | None:
        drawn = number.replicates(a), rival.replicates(b)
        return None if drawn[0] is None or drawn[1] is None else drawn[0] - drawn[1]

    return paired_by(one, other, lambda a, b: number(a, END) - rival(b, END), less)


def paired_at_loss(one: Sequence[Result], other: Sequence[Result], number: Number) -> Found:
    """The same number, the other's at the point of its training where it loses as much as the one in the end."""
    return paired_by(one, other, lambda a, b: number(a, END) - at_loss(b, loss(a, END), number))


def paired_by(
    one: Sequence[Result],
    other: Sequence[Result],
    less: Callable[[Result, Result], float],
    less_drawn: Callable[[Result, Result], np.ndarray | None] = lambda a, b: None,
) -> Found:
    """The mean over the seeds that both have of what the one has more than the other; NaN without any.

    `less_drawn` gives the same with the held-out documents drawn again, (replicates,). All seeds are measured on the
    same documents, drawn alike, so the mean over seeds has a spread of its own that more seeds do not lower.
    """
    by_seed = {result["cell"]["seed"]: result for result in other}
    both = [(a, by_seed[a["cell"]["seed"]]) for a in one if a["cell"]["seed"] in by_seed]
    if not both:
        return Found(float("nan"), float("nan"), float("nan"), 0)
    drawn = [less_drawn(a, b) for a, b in both]
    known = [of for of in drawn if of is not None]
    of_text = len(known) == len(both)
    text_variance = float(np.var(np.mean(known, axis=0), ddof=1)) if of_text else 0.0
    mean, low, high, p = seed_interval([less(a, b) for a, b in both], text_variance)
    return Found(mean, low, high, len(both), p, of_text)


def at_loss(result: Result, wanted: float, number: Number) -> float:
    """A number of a model at the point of its training where its validation loss is `wanted`.

    Between two points that were measured it is interpolated along the loss; NaN outside them.
    """
    points = sorted((loss(result, stage), number(result, stage)) for stage in stages(result))
    losses, numbers = zip(*points, strict=True)
    return float(np.interp(wanted, losses, numbers, left=np.nan, right=np.nan))


def stages(result: Result) -> list[str]:
    """The points of the training that were measured, from its beginning."""
    return sorted(result["stages"], key=float)


def _named(row: dict[str, Any]) -> tuple[str, str, int | str]:
    return row["explainer"], row["metric"], row["layer"]


def _real(value: float | None) -> float:
    return float("nan") if value is None else float(value)
