"""The score stage: records and explanations in, scores with intervals and controls out.

By the records' protocol. Strict: explained from one half of the text, scored on the other; truth is the raw
activation; units that cannot be scored count as 0 and their shares are shown. Each layer's mean comes with a
bootstrap over documents and units together, and with the score that another unit's explanation would get.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from cratelm.artifacts import Artifact, read_json, run_stage
from cratelm.bootstrap import draw_weights
from cratelm.errors import InputError
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import Explanations, read_explanations, require_same_records, vocabulary_of
from cratelm.explain.selection import PROTOCOLS
from cratelm.progress import Progress
from cratelm.records.store import read_layers, read_protocol, read_tables
from cratelm.score.config import CORRELATIONS, ScoreConfig
from cratelm.score.context import context_gains
from cratelm.score.layer import ScoredLayer
from cratelm.seeds import derive_seed
from cratelm.shards import EngineConfig, run_shards


def score(
    config: ScoreConfig,
    records: Artifact,
    explanations: Artifact,
    out: Path,
    progress: Progress,
    engine: EngineConfig | None = None,
) -> Artifact:
    """Make the scores of `explanations` on `records` in `out`; a layer is a shard.

    Raises InputError for explanations of other records.
    """
    require_same_records(records, explanations)
    inputs = {"records": records, "explanations": explanations}

    def work(folder: Path) -> None:
        layers = len(read_layers(records))
        with progress.task(f"scoring {records.path.name}"):
            layer = _LayerWork(config, records, explanations, folder)
            run_shards(layer, layers, engine or EngineConfig(), folder / "log" / "score")

    return run_stage(out, "scores", config, inputs, work)


@dataclass(frozen=True)
class _LayerWork:
    """The scores of one layer, by its number; picklable, so that any engine can carry it."""

    config: ScoreConfig
    records: Artifact
    explanations: Artifact
    out: Path

    def __call__(self, layer: int) -> None:
        """Write units-LAYER.parquet and replicates-LAYER.safetensors."""
        protocol = read_protocol(self.records)
        rows: list[pa.Table] = []
        replicates: dict[str, np.ndarray] = {}
        for explainer in ExplainConfig(**self.explanations.config).names:
            metrics = [name for name in self.config.metrics if protocol == "strict" or name in CORRELATIONS]
            if explainer == "table-full":  # which has seen the explain half, and speaks of 64 tokens
                metrics = [
                    name for name in metrics if protocol == "strict" and name in ("top-and-random", "random-only")
                ]
            scored_layer = self._open(layer, explainer, protocol)
            for metric in metrics:
                scored = scored_layer.scored(metric)
                rows.append(scored_layer.table(explainer, metric, scored))
                seed = derive_seed(self.config.seed, "units", layer, explainer)
                found = scored_layer.replicates(metric, scored, self._drawn, seed)
                replicates |= {replicates_key(layer, explainer, metric, name): found[name] for name in found}
            if explainer == "graph" and protocol == "strict":
                rows.append(context_gains(self.records, layer, scored_layer.explanations["openai"]))
        save_file(replicates, self.out / f"replicates-{layer}.safetensors")
        pq.write_table(_together(rows), self.out / f"units-{layer}.parquet", compression="zstd")

    @property
    def _drawn(self) -> np.ndarray:
        """How often each document is drawn in each replicate: (replicates, documents)."""
        half = PROTOCOLS[read_protocol(self.records)].scored_on
        documents = read_json(self.records.path / "records.json")["halves"][half]["documents"]
        return draw_weights(documents, self.config.replicates, derive_seed(self.config.seed, "documents"))

    def _open(self, layer: int, explainer: str, protocol: str) -> ScoredLayer:
        vocabulary = vocabulary_of(self.records)
        explanations: dict[str, Explanations] = {
            evidence: read_explanations(self.explanations, explainer, evidence, layer, vocabulary)
            for evidence in PROTOCOLS[protocol].shown
        }
        every = np.arange(read_layers(self.records)[layer])
        units = read_tables(self.records, layer)["units"] if explainer == "table-full" else every
        return ScoredLayer(self.config, self.records, layer, protocol, explanations, units)


def _together(rows: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(rows, promote_options="default")


def replicates_key(layer: int, explainer: str, metric: str, name: str) -> str:
    """The name of a layer's replicates; `name` is `own` or `shuffled`."""
    return f"{explainer}/{metric}/{layer}/{name}"


def read_scores(scores: Artifact) -> dict[str, np.ndarray]:
    """The scores of all units of all layers: a column a name.

    Raises InputError where a file cannot be read.
    """
    paths = sorted(scores.path.glob("units-*.parquet"), key=lambda path: int(path.stem.rpartition("-")[2]))
    try:
        table = pa.concat_tables([pq.read_table(path) for path in paths])
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{scores.path} is damaged ({error}). Remove it and score again.") from error
    return {name: _column(table[name]) for name in table.column_names}


def _column(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return column.to_numpy()


def read_replicates(scores: Artifact) -> dict[str, np.ndarray]:
    """The replicates of all layers' means, by `replicates_key`."""
    found: dict[str, Any] = {}
    for path in sorted(scores.path.glob("replicates-*.safetensors")):
        found |= load_file(path)
    return found
