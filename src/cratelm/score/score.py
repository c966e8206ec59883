"""The score stage: records and explanations in, scores with intervals and controls out.

Everything here is the strict protocol: explained from one half of the text, scored on the other; truth is the raw
activation; units that cannot be scored count as 0 and their shares are shown; each layer's mean comes with a
bootstrap over documents and units together, and with the score that another unit's explanation would get.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from cratelm.artifacts import Artifact, read_json, run_stage
from cratelm.bootstrap import draw_weights, interval
from cratelm.explain.config import EXPLAINERS
from cratelm.explain.explain import read_explanations
from cratelm.explain.table import TokenTables
from cratelm.progress import Progress
from cratelm.records.store import Excerpts, read_excerpts, read_layers, read_tables, read_units
from cratelm.score.config import METRICS, ScoreConfig
from cratelm.score.correlation import STATUS, ExcerptSums, excerpt_sums
from cratelm.seeds import derive_seed


def score(config: ScoreConfig, records: Artifact, explanations: Artifact, out: Path, progress: Progress) -> Artifact:
    """Make the scores of `explanations` on `records` in `out`."""
    inputs = {"records": records, "explanations": explanations}
    return run_stage(
        out, "scores", config, inputs, lambda folder: _score(config, records, explanations, folder, progress)
    )


def _score(config: ScoreConfig, records: Artifact, explanations: Artifact, folder: Path, progress: Progress) -> None:
    documents = read_json(records.path / "records.json")["halves"]["score"]["documents"]
    drawn = draw_weights(documents, config.replicates, derive_seed(config.seed, "documents"))
    layers = range(len(read_layers(records)))
    rows: list[pa.Table] = []
    replicates: dict[str, np.ndarray] = {}
    with progress.task(f"scoring {records.path.name}", total=len(layers)) as bar:
        for layer in layers:
            for explainer in EXPLAINERS:
                for metric in METRICS:
                    scored = ScoredLayer(config, records, explanations, layer, explainer, metric)
                    rows.append(scored.table())
                    replicates |= scored.replicates(drawn)
            bar.advance()
    pq.write_table(pa.concat_tables(rows), folder / "units.parquet", compression="zstd")
    save_file(replicates, folder / "replicates.safetensors")


class ScoredLayer:
    """All units of one layer, scored by one explainer and metric."""

    def __init__(
        self, config: ScoreConfig, records: Artifact, explanations: Artifact, layer: int, explainer: str, metric: str
    ):
        self.config, self.layer, self.explainer, self.metric = config, layer, explainer, metric
        stored = read_tables(records, layer)
        units = np.arange(read_layers(records)[layer])
        self.units = stored["units"] if explainer == "table-full" else units
        tables = read_explanations(explanations, explainer, layer, len(stored["counts"]))
        excerpts = self._scored_excerpts(records)
        self.unit_row = np.searchsorted(self.units, excerpts.unit)
        simulated = tables.simulate(excerpts.unit, excerpts.tokens)
        self.sums = self._sums(excerpts, simulated)
        self.status = self._status(excerpts, simulated, read_units(records, layer, "score")["firing_rate"])
        self.shuffled = self._sums(excerpts, self._simulate_shuffled(tables, excerpts))

    def _scored_excerpts(self, records: Artifact) -> Excerpts:
        random = read_excerpts(records, self.layer, "score", "random", self.units.tolist())
        random = random.where(random.rank < self.config.random)
        if self.metric == "random-only":
            return random
        top = read_excerpts(records, self.layer, "score", "top", self.units.tolist())
        top = top.where(top.rank < self.config.top)
        after = dataclasses.replace(top, rank=top.rank + self.config.random)
        both = Excerpts.concatenate([random, after])
        return both.where(np.lexsort((both.rank, both.unit)))

    def _sums(self, excerpts: Excerpts, simulated: np.ndarray) -> ExcerptSums:
        slots = self.config.random + (self.config.top if self.metric == "top-and-random" else 0)
        shape = (len(self.units), slots)
        return excerpt_sums(self.unit_row, excerpts.rank, excerpts.document, excerpts.activations, simulated, shape)

    def _status(self, excerpts: Excerpts, simulated: np.ndarray, firing_rate: np.ndarray) -> np.ndarray:
        """Why each unit cannot be scored, or 0 for `scored`: places in STATUS, (units,)."""
        count = len(self.units)
        fires = np.bincount(self.unit_row, (excerpts.activations > 0).any(1), minlength=count) > 0
        lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(lowest, self.unit_row, simulated.min(1))
        np.maximum.at(highest, self.unit_row, simulated.max(1))
        dead = firing_rate[self.units] == 0
        return np.select([dead, ~fires, lowest >= highest], [1, 2, 3], 0)

    def _simulate_shuffled(self, tables: TokenTables, excerpts: Excerpts) -> np.ndarray:
        """Each unit's excerpts simulated from another unit's explanation: the next one in a random circle."""
        generator = np.random.default_rng(derive_seed(self.config.seed, "shuffle", self.layer))
        circle = generator.permutation(self.units)
        other = np.empty(int(self.units.max()) + 1, dtype=np.int64)
        other[circle] = np.roll(circle, 1)
        return tables.simulate(other[excerpts.unit], excerpts.tokens)

    def table(self) -> pa.Table:
        """A row a unit: score, its interval over excerpts, status, and the score of another unit's explanation."""
        weights = draw_weights(
            self.sums.sums.shape[1], self.config.replicates, derive_seed(self.config.seed, "excerpts")
        )
        low, high = interval(self.sums.scores(weights[:, None, :]))
        return pa.table(
            {
                "layer": pa.array(np.full(len(self.units), self.layer), pa.int16()),
                "unit": pa.array(self.units, pa.int32()),
                "explainer": [self.explainer] * len(self.units),
                "metric": [self.metric] * len(self.units),
                "score": self.sums.scores(),
                "low": low,
                "high": high,
                "shuffled": self.shuffled.scores(),
                "status": pa.DictionaryArray.from_arrays(pa.array(self.status, pa.int8()), list(STATUS)),
            }
        )

    def replicates(self, drawn: np.ndarray) -> dict[str, np.ndarray]:
        """The layer's mean score in each replicate, of its own explanations and of shuffled ones.

        `drawn` (replicates, documents) says how often a document is drawn, the same for every model; units are
        drawn for each layer. Excerpts follow their documents.
        """
        seed = derive_seed(self.config.seed, "units", self.layer, self.explainer)
        unit_weights = draw_weights(len(self.units), len(drawn), seed)
        return {
            replicates_key(self.layer, self.explainer, self.metric, name): sums.layer_means(drawn, unit_weights)
            for name, sums in (("own", self.sums), ("shuffled", self.shuffled))
        }


def replicates_key(layer: int, explainer: str, metric: str, name: str) -> str:
    """The name of a layer's replicates in replicates.safetensors; `name` is `own` or `shuffled`."""
    return f"{explainer}/{metric}/{layer}/{name}"
