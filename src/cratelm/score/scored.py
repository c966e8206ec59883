"""What a metric says of a layer's units, and the rows that it is written as."""

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from cratelm.score.excerpt_sums import ExcerptSums
from cratelm.score.replicates import layer_replicates
from cratelm.seeds import derive_seed
from cratelm.stats import draw_weights, interval

STATUS = ("scored", "dead", "silent", "constant", "failed", "one-sided")
"""`dead`: the unit never fires in the score half; `silent`: not in its scored excerpts; `constant`: the simulation
does not vary on them. Under the strict protocol these three score as chance does, under the paper's nothing.
`failed`: half of a judge's answers or more could not be used; the unit has no score. `one-sided`: too few excerpts in
which it fires, or in which it is silent, to tell one from the other; the score is then that of chance."""
DEAD, SILENT, CONSTANT, FAILED, ONE_SIDED = range(1, len(STATUS))
FEWEST_EXCERPTS = 20
"""Below these a unit's own score has no interval: a bootstrap over five excerpts covers 57 to 82% where it says 95%."""
DOCUMENTS = "documents"
"""The name of a layer's replicates with documents alone drawn again."""


@dataclass(frozen=True)
class Scored:
    """The scores of some units of a layer by one metric."""

    units: np.ndarray
    """(units,): their numbers, ascending."""
    score: np.ndarray
    """(units,): a number wherever the status is `scored`; elsewhere the protocol's policy counts."""
    shuffled: np.ndarray
    """(units,): the same by the explanation of another unit."""
    status: np.ndarray
    """(units,): places in STATUS."""
    sums: tuple[ExcerptSums, ExcerptSums] | None = None
    """What `score` and `shuffled` are made of, excerpt by excerpt: without it there are no intervals."""
    failed: np.ndarray | None = None
    """(units,): excerpts, or questions, that a judge's answers were useless for."""
    lost_is_missing: bool = False
    """A unit that cannot be scored on the excerpts of a replicate counts there as one that cannot be scored at all;
    otherwise it has no part in that replicate."""
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    """What else is known of each unit, (units,) each."""

    @classmethod
    def of_excerpts(cls, units: np.ndarray, own: ExcerptSums, shuffled: ExcerptSums, status: np.ndarray, **more):
        """Scores of `units` (units,) from sums over their excerpts; `status` (units,) says which cannot be scored."""
        return cls(units, own.scores(), shuffled.scores(), status, (own, shuffled), **more)

    def missing(self, policy: float) -> np.ndarray:
        """What each unit counts as where it cannot be scored, (units,): nothing at all where a judge failed."""
        return np.where(self.status == FAILED, np.nan, policy)

    def rows(self, layer: int, explainer: str, metric: str, policy: float, ends: tuple[np.ndarray, np.ndarray]):
        """A row a unit; `ends` are those of its interval over excerpts, NaN where it has none."""
        count, usable = len(self.units), self.status == 0
        # Shuffled scores follow the unit's own status, so that both means are over the same units.
        own, other = (np.where(usable, score, self.missing(policy)) for score in (self.score, self.shuffled))
        values = {"score": own, "low": ends[0], "high": ends[1], "shuffled": other}
        values |= {name: np.where(usable, column, np.nan) for name, column in self.columns.items()}
        excerpts = [None] * count if self.sums is None else (self.sums[0].sums != 0).any(-1).sum(1)
        failed = np.zeros(count, int) if self.failed is None else self.failed
        return pa.table(
            {
                "layer": pa.array(np.full(count, layer), pa.int16()),
                "unit": pa.array(self.units, pa.int32()),
                "explainer": [explainer] * count,
                "metric": [metric] * count,
                **{name: pa.array(value, pa.float64(), from_pandas=True) for name, value in values.items()},
                "excerpts": pa.array(excerpts, pa.int16()),
                "failed": pa.array(failed, pa.int16()),
                "status": pa.DictionaryArray.from_arrays(pa.array(self.status, pa.int8()), list(STATUS)),
            }
        )

    def unit_intervals(self, replicates: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The ends of each unit's interval over its excerpts, (units,); NaN where it has too few of them."""
        assert self.sums is not None
        own = self.sums[0]
        weights = draw_weights(own.document.shape[1], replicates, derive_seed(seed, "excerpts"))
        ends = interval(own.scores(weights[:, None, :]))
        enough = (self.status == 0) & ((own.sums != 0).any(-1).sum(1) >= FEWEST_EXCERPTS)
        return np.where(enough, ends[0], np.nan), np.where(enough, ends[1], np.nan)

    def no_intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """NaN for every unit."""
        nothing = np.full(len(self.units), np.nan)
        return nothing, nothing

    def replicates(self, policy: float, drawn: np.ndarray, unit_weights: np.ndarray) -> dict[str, np.ndarray]:
        """The layer's mean score in each replicate, of its own explanations and of shuffled ones (replicates.py)."""
        assert self.sums is not None
        own, shuffled = (self._under_policy(sums, policy) for sums in self.sums)
        both, of_documents = layer_replicates(own, drawn, unit_weights)
        control, _ = layer_replicates(shuffled, drawn, unit_weights)
        return {"own": both, "shuffled": control, DOCUMENTS: of_documents}

    def _under_policy(self, sums: ExcerptSums, policy: float) -> ExcerptSums:
        # A unit that lost its excerpts stays NaN in a replicate; one that cannot be scored has the policy's value.
        def reduce(values: np.ndarray) -> np.ndarray:
            scores = sums.reduce(values)
            lost = np.isnan(scores) & (not self.lost_is_missing)
            return np.where((self.status == 0) | lost, scores, self.missing(policy))

        return replace(sums, reduce=reduce)
