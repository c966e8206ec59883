"""All metrics of one layer's units by one explainer: scores, intervals, status, and the shuffled control."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa

from cratelm.artifacts import Artifact
from cratelm.explain.explain import Explanations
from cratelm.explain.selection import EVIDENCE, PROTOCOLS, Draw, select, slots
from cratelm.records.store import Excerpts, read_units
from cratelm.score.config import CORRELATIONS, ScoreConfig
from cratelm.score.detection import CHANCES as TOLD_APART
from cratelm.score.replicates import layer_replicates
from cratelm.score.shuffled import Shuffled
from cratelm.score.sums import CHANCE, ExcerptSums, Series, ratio
from cratelm.score.verdicts import Verdicts
from cratelm.seeds import derive_seed
from cratelm.stats import draw_weights, interval

STATUS = ("scored", "dead", "silent", "constant", "failed", "one-sided")
"""`dead`: the unit never fires in the score half; `silent`: not in its scored excerpts; `constant`: the simulation
does not vary on them. Under the strict protocol these three score 0 (AUROC: 0.5), under the paper's nothing.
`failed`: half of a judge's answers or more could not be used; the unit has no score. `one-sided`: too few excerpts in
which it fires, or in which it is silent, to tell one from the other; the score is then that of chance."""
FAILED, ONE_SIDED = STATUS.index("failed"), STATUS.index("one-sided")
CHANCES = {"auroc": CHANCE} | TOLD_APART
"""What a simulation that says nothing gets, where that is not 0."""
FEWEST_EXCERPTS = 20
"""Below these a unit's own score has no interval: a bootstrap over five excerpts covers 57 to 82% where it says 95%."""
WITH_UNIT_INTERVALS = ("anthropic",)
"""The metrics of enough excerpts a unit, whose interval has been shown to cover; it is tested."""
DOCUMENTS = "documents"
"""The name of a layer's replicates with documents alone drawn again."""
SAYS = 0.1
"""An explanation names a position where it expects more than this share of the unit's maximum; a unit fires strongly
where it is above it."""


@dataclass(frozen=True)
class Scored:
    """One metric: the sums that give each unit's score, and those of the shuffled control."""

    own: ExcerptSums
    shuffled: ExcerptSums
    status: np.ndarray
    """(units,): places in STATUS."""
    columns: dict[str, np.ndarray]
    """What else is known of each unit, (units,) each."""


class ScoredLayer:
    """One layer's units, scored by one explainer's explanations."""

    def __init__(
        self,
        config: ScoreConfig,
        records: Artifact,
        layer: int,
        protocol: str,
        explanations: dict[str, Explanations],
        units: np.ndarray,
        selected: dict[tuple, list[Excerpts]] | None = None,
    ):
        """`explanations` are those of each evidence; `units` (units,) are the numbers of those that are scored.

        `selected` keeps what was read of the layer's records, for its other explainers.
        """
        self._selected = {} if selected is None else selected
        self.config, self.records, self.layer, self.units = config, records, layer, units
        self.name, self.protocol, self.explanations = protocol, PROTOCOLS[protocol], explanations
        statistics = read_units(records, layer, self.protocol.scored_on)
        shown = read_units(records, layer, self.protocol.explained_on)
        self.all_units = len(units) == len(statistics["firing_rate"])
        self.dead = statistics["firing_rate"][units] == 0
        self.strong = SAYS * shown["maximum"]
        self.shuffled = Shuffled.draw(units, shown["maximum"], derive_seed(config.seed, "shuffle", layer))

    def scored(self, metric: str) -> Scored:
        """One of METRICS."""
        if metric in CORRELATIONS:
            return self._correlation(metric)
        if metric in TOLD_APART:
            return self._told_apart(metric)
        return {"auroc": self._auroc, "consistency": self._consistency, "specificity": self._specificity}[metric]()

    def _excerpts(self, metric: str) -> list[Excerpts]:
        return self.select(self.protocol.scored_on, self.protocol.scored[metric])

    def select(self, half: str, draws: Sequence[Draw]) -> list[Excerpts]:
        """The units' excerpts of each draw in one half."""
        key = half, tuple(draws), self.units.tobytes()
        if key not in self._selected:
            units = None if self.all_units else self.units.tolist()
            self._selected[key] = select(self.records, self.layer, half, draws, self.protocol.once, units)
        return self._selected[key]

    def _series(self, parts: Sequence[Excerpts], evidence: str, shuffled: bool) -> Series:
        """Truth and simulation on excerpts, by the units' own explanations or by those of other units."""
        explanation = self.explanations[evidence]
        numbered = list(zip(parts, slots(parts), strict=True))
        document = np.zeros((len(self.units), 1 + max((int(slot.max(initial=0)) for _, slot in numbered))), np.int64)
        columns, failed = [], np.zeros(len(self.units), np.int64)
        for part, slot in numbered:
            row = np.searchsorted(self.units, part.unit)
            document[row, slot] = part.document
            simulated = self.simulate(explanation, part, shuffled)
            known = ~np.isnan(simulated).any(1)
            failed += np.bincount(row[~known], minlength=len(failed))
            width = part.tokens.shape[1]
            truth = part.activations[known].ravel().astype(np.float64)
            columns.append(
                (np.repeat(row[known], width), np.repeat(slot[known], width), truth, simulated[known].ravel())
            )
        unit, slot, truth, expected = (np.concatenate(column) for column in zip(*columns, strict=True))
        order = np.argsort(unit, kind="stable")
        return Series(unit[order], slot[order], truth[order], expected[order], document, failed)

    def simulate(self, explanation: Explanations, excerpts: Excerpts, shuffled: bool) -> np.ndarray:
        """What is expected of the units on excerpts, by their own explanations or by other units': (rows, T)."""
        given = excerpts.unit, excerpts.tokens, excerpts.place
        return self.shuffled.simulate(explanation, *given) if shuffled else explanation.simulate(*given)

    @cached_property
    def _long(self) -> tuple[Series, Series]:
        """Top and random excerpts of 64 tokens."""
        parts = self._excerpts("top-and-random")
        return self._series(parts, "openai", False), self._series(parts, "openai", True)

    def _correlation(self, metric: str) -> Scored:
        if metric == "top-and-random":
            own, other = self._long
        else:
            parts, evidence = self._excerpts(metric), EVIDENCE[metric]
            own, other = (self._series(parts, evidence, shuffled) for shuffled in (False, True))
        status, columns = self._status(own), {"pearson": own.pearson().scores()}
        columns |= {
            "rsquared": own.rsquared(),
            "absolute_deviation_explained": own.absolute_deviation_explained(),
        }
        if metric == "anthropic" and self.name == "strict":  # Spearman's rho; the paper takes Pearson's r
            own, other = own.ranked(), other.ranked()
        return Scored(own.pearson(), other.pearson(), status, columns | _failures(own))

    def _auroc(self) -> Scored:
        own, other = self._long
        return Scored(own.auroc(), other.auroc(), self._status(own), _failures(own))

    def _consistency(self) -> Scored:
        """The share of a unit's activation on top excerpts that falls where its explanation says that it fires."""
        top = self._excerpts("top-and-random")[self._kinds().index("top")]
        own, other = (self._series([top], "openai", shuffled) for shuffled in (False, True))
        return Scored(self._named(own), self._named(other), self._status(own), _failures(own))

    def _told_apart(self, metric: str) -> Scored:
        """Detection, fuzzing or intruder; chance where a unit cannot be asked about."""
        verdicts = Verdicts(self)
        own, other, failed = verdicts.intruders() if metric == "intruder" else verdicts.classified(metric)
        answers = (own.sums != 0).any(-1).sum(1)
        lost = (failed > 0) & (failed >= answers)
        status = np.select([self.dead, lost, np.isnan(own.scores())], [1, FAILED, ONE_SIDED], 0)
        return Scored(own, other, status, {"failed": failed})

    def _named(self, series: Series) -> ExcerptSums:
        said = series.simulated > self.strong[self.units][series.unit]
        activation = np.maximum(series.truth, 0)
        return series.share(activation * said, activation)

    def _specificity(self) -> Scored:
        """One less the share of random excerpts in which a unit fires strongly and its explanation says nothing."""
        random = self._excerpts("random-only")
        own, other = (self._series(random, "openai", shuffled) for shuffled in (False, True))
        return Scored(self._unsaid(own), self._unsaid(other), self._status(own), _failures(own))

    def _unsaid(self, series: Series) -> ExcerptSums:
        strong = self.strong[self.units][series.unit]
        fires, says, present = np.moveaxis(
            series.by_excerpt(series.truth > strong, series.simulated > strong, np.ones(len(series.unit))) > 0, -1, 0
        )
        kept = present & ~(fires & ~says)
        return ExcerptSums(series.document, np.stack([kept, present, present], axis=-1).astype(np.float64), ratio)

    def _kinds(self) -> list[str]:
        return [draw.kind for draw in self.protocol.scored["top-and-random"]]

    def _status(self, series: Series) -> np.ndarray:
        """Why each unit cannot be scored, or 0 for `scored`: places in STATUS, (units,)."""
        fires = series.of_unit(series.truth > 0) > 0
        lowest, highest = np.full(len(self.units), np.inf), np.full(len(self.units), -np.inf)
        np.minimum.at(lowest, series.unit, series.simulated)
        np.maximum.at(highest, series.unit, series.simulated)
        lost = self._lost(series) if series.failed is not None and series.failed.any() else np.False_
        return np.select([self.dead, lost, ~fires, lowest >= highest], [1, FAILED, 2, 3], 0)

    def _lost(self, series: Series) -> np.ndarray:
        """The units half of whose excerpts or more have no simulation: (units,)."""
        assert series.failed is not None
        kept = (series.by_excerpt(np.ones(len(series.unit))) > 0).sum((1, 2))
        return (series.failed > 0) & (series.failed >= kept)

    def table(self, explainer: str, metric: str, scored: Scored) -> pa.Table:
        """A row a unit: score, its interval over excerpts, status, and the score of another unit's explanation."""
        low, high = self._unit_intervals(metric, scored)
        policy = self._policy(metric, scored.status)
        own, other = (np.where(scored.status == 0, of.scores(), policy) for of in (scored.own, scored.shuffled))
        values = {"score": own, "low": low, "high": high, "shuffled": other}
        names = ("pearson", "rsquared", "absolute_deviation_explained")
        nothing = np.full(len(self.units), np.nan)
        values |= {name: np.where(scored.status == 0, scored.columns.get(name, nothing), np.nan) for name in names}
        return pa.table(
            {
                "layer": pa.array(np.full(len(self.units), self.layer), pa.int16()),
                "unit": pa.array(self.units, pa.int32()),
                "explainer": [explainer] * len(self.units),
                "metric": [metric] * len(self.units),
                **{name: pa.array(value, pa.float64(), from_pandas=True) for name, value in values.items()},
                "excerpts": pa.array((scored.own.sums != 0).any(-1).sum(1), pa.int16()),
                "failed": pa.array(scored.columns.get("failed", np.zeros(len(self.units), int)), pa.int16()),
                "status": pa.DictionaryArray.from_arrays(pa.array(scored.status, pa.int8()), list(STATUS)),
            }
        )

    def _unit_intervals(self, metric: str, scored: Scored) -> tuple[np.ndarray, np.ndarray]:
        """The ends of each unit's interval over its excerpts, (units,); NaN where it has too few of them."""
        nothing = np.full(len(self.units), np.nan)
        if metric not in WITH_UNIT_INTERVALS:
            return nothing, nothing
        weights = _excerpt_weights(scored.own.document.shape[1], self.config.replicates, self.config.seed)
        ends = interval(scored.own.scores(weights[:, None, :]))
        enough = (scored.status == 0) & ((scored.own.sums != 0).any(-1).sum(1) >= FEWEST_EXCERPTS)
        return np.where(enough, ends[0], np.nan), np.where(enough, ends[1], np.nan)

    def _policy(self, metric: str, status: np.ndarray) -> np.ndarray:
        """The score of each unit that cannot be scored, (units,): NaN is none."""
        if self.name == "paper":
            return np.full(len(status), np.nan)
        return np.where(status == FAILED, np.nan, CHANCES.get(metric, 0.0))

    def replicates(
        self, metric: str, scored: Scored, drawn: np.ndarray, unit_weights: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The layer's mean score in each replicate, of its own explanations and of shuffled ones (replicates.py)."""
        policy = self._policy(metric, scored.status)

        def under_policy(sums: ExcerptSums) -> ExcerptSums:
            # A unit that lost its excerpts stays NaN in a replicate; one that cannot be scored has the policy's value.
            def reduce(values: np.ndarray) -> np.ndarray:
                found = sums.reduce(values)
                lost = np.isnan(found) & (metric not in TOLD_APART)
                return np.where((scored.status == 0) | lost, found, policy)

            return replace(sums, reduce=reduce)

        own, of_documents = layer_replicates(under_policy(scored.own), drawn, unit_weights)
        shuffled, _ = layer_replicates(under_policy(scored.shuffled), drawn, unit_weights)
        return {"own": own, "shuffled": shuffled, DOCUMENTS: of_documents}


@lru_cache(maxsize=8)
def _excerpt_weights(slots: int, replicates: int, seed: int) -> np.ndarray:
    return draw_weights(slots, replicates, derive_seed(seed, "excerpts"))


def _failures(series: Series) -> dict[str, np.ndarray]:
    return {} if series.failed is None else {"failed": series.failed}
