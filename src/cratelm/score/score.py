"""The score stage: records and explanations in, scores with intervals and controls out.

By the records' protocol. Strict: explained from one half of the text, scored on the other; truth is the raw
activation; units that cannot be scored count as chance does, and their shares are shown. Each layer's mean comes with a
bootstrap over documents and units together, and with the score that another unit's explanation would get.

Explanations in words are read by a language model, which is tried on puzzles first: what it made of them stands in
judge.json, beside how its answers failed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from cratelm.artifacts import Artifact, Stage, as_plain, read_json, run_stage, write_json
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.errors import InputError
from cratelm.explain.explain import explainers_of, read_explanations, require_same_records
from cratelm.explain.explainer import Explainer
from cratelm.judges.sentences import Reader
from cratelm.llm.config import JudgeConfig
from cratelm.llm.model import LanguageModel
from cratelm.llm.planned_requests import Plan, Planned
from cratelm.parquet import read_table
from cratelm.progress import Bar, Progress
from cratelm.protocols import PROTOCOLS, Protocol
from cratelm.records.store import read_layers, read_protocol
from cratelm.score.config import ScoreConfig
from cratelm.score.judge_check import JUDGE, try_on_puzzles
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import Metric
from cratelm.score.registry import metrics_named
from cratelm.score.scored import Scored
from cratelm.seeds import derive_seed
from cratelm.shards.config import EngineConfig
from cratelm.shards.run import require_engine, run_shards
from cratelm.stats import draw_weights

SCORES = Stage("scores", files=("units-[0-9]*.parquet", "replicates-[0-9]*.safetensors", JUDGE))


def score(
    config: ScoreConfig,
    records: Artifact,
    explanations: Artifact,
    out: Path,
    progress: Progress,
    engine: EngineConfig | None = None,
    judge: JudgeConfig | None = None,
    model: LanguageModel | None = None,
) -> Artifact:
    """Make the scores of `explanations` on `records` in `out`; a layer is a shard.

    `model`, which `judge` names, reads explanations in words. Raises InputError for explanations of other records,
    and where there are explanations in words and no model.
    """
    engine = engine or EngineConfig()
    require_same_records(records, explanations)
    in_words = _in_words(explanations)
    if in_words and model is None:
        raise InputError(f"the explanations in {explanations.path} are in words: name who reads them with --llm.")
    if in_words and engine != EngineConfig():
        raise InputError("a language model is not asked by several workers: give --concurrency in place of --workers.")
    _require_applicable(config, records, explanations)
    inputs = {"records": records, "explanations": explanations}
    settings = as_plain(config) | ({"judge": as_plain(judge)} if in_words else {}) | _versions(config)

    def work(folder: Path) -> None:
        layers = len(read_layers(records))
        with progress.task(f"scoring {records.path.name}") as bar:
            if in_words and model is not None:
                _score_words(_LayerWork(config, records, explanations, folder, _reader(config, records, model, bar)))
                return
            layer = _LayerWork(config, records, explanations, folder)
            run_shards(layer, range(layers), engine, folder / "log" / "score", progress.say)

    return run_stage(out, SCORES, settings, inputs, work, lambda: require_engine(engine))


def _versions(config: ScoreConfig) -> dict[str, dict[str, str]]:
    """The versions of the metrics that have one."""
    versions = {metric.name: metric.version for metric in metrics_named(config.metric) if metric.version}
    return {"metric_versions": versions} if versions else {}


def _in_words(explanations: Artifact) -> bool:
    return any(explainer.in_words for explainer in explainers_of(explanations))


def _require_applicable(config: ScoreConfig, records: Artifact, explanations: Artifact) -> None:
    by, protocol = explainers_of(explanations), PROTOCOLS[read_protocol(records)]
    if not any(metric.applies(explainer, protocol) for metric in metrics_named(config.metric) for explainer in by):
        raise InputError(
            f"{config.metric} applies to none of {', '.join(explainer.name for explainer in by)} under the protocol "
            f"{protocol.name}. Name another --metric, or explain by another explainer."
        )


def _reader(config: ScoreConfig, records: Artifact, model: LanguageModel, bar: Bar) -> Reader:
    return Reader(config.simulator, model, token_texts(read_tokenizer(records)), bar)


def _score_words(work: "_LayerWork") -> None:
    """All layers in turn; a run that was stopped goes on from the file of answers."""
    reader = work.reader
    assert reader is not None
    tried = try_on_puzzles(reader, work.config.puzzles)
    for layer in range(len(read_layers(work.records))):
        work(layer)
    write_json(work.out / JUDGE, tried | {"answers": reader.answers, "failures": dict(reader.failures)})


def plan_score(
    config: ScoreConfig,
    records: Artifact,
    explanations: Artifact,
    price: float,
    progress: Progress,
    judge: JudgeConfig,
) -> Plan:
    """What scoring explanations in words would send to `judge`."""
    require_same_records(records, explanations)
    planned = Planned(judge.llm_max_tokens)
    with progress.task("planning") as bar:
        reader = _reader(config, records, planned, bar)
        try_on_puzzles(reader, config.puzzles)
        work = _LayerWork(config, records, explanations, Path(), reader)
        for explainer in (explainer for explainer in explainers_of(explanations) if explainer.in_words):
            for layer in range(len(read_layers(records))):
                inputs = work.open(layer, explainer)
                for metric in work.metrics(explainer):
                    metric.compute(inputs)
    return planned.plan(price)


@dataclass(frozen=True)
class _LayerWork:
    """The scores of one layer, by its number; picklable without a reader, so that any engine can carry it."""

    config: ScoreConfig
    records: Artifact
    explanations: Artifact
    out: Path
    reader: Reader | None = None

    def __call__(self, layer: int) -> None:
        """Write units-LAYER.parquet and replicates-LAYER.safetensors."""
        rows: list[pa.Table] = []
        replicates: dict[str, np.ndarray] = {}
        shared: dict[tuple, Any] = {}
        drawn = self._drawn()
        for explainer in explainers_of(self.explanations):
            if not (metrics := self.metrics(explainer)):
                continue
            inputs = self.open(layer, explainer, shared)
            for metric in metrics:
                scored = metric.compute(inputs)
                rows.append(self._rows(layer, explainer, metric, scored))
                if scored.sums is not None and len(scored.units):
                    # The same for every explainer, so that two of them are compared on the same units.
                    seed = derive_seed(self.config.seed, "units", layer)
                    unit_weights = draw_weights(len(scored.units), len(drawn), seed)
                    layer_means = scored.replicates(metric.missing(self.protocol), drawn, unit_weights)
                    names = {replicates_key(layer, explainer.name, metric.name, name): name for name in layer_means}
                    replicates |= {key: layer_means[name] for key, name in names.items()}
        save_file(replicates, self.out / f"replicates-{layer}.safetensors")
        table = pa.concat_tables(rows, promote_options="default")
        pq.write_table(table, self.out / f"units-{layer}.parquet", compression="zstd")

    def _rows(self, layer: int, explainer: Explainer, metric: Metric, scored: Scored) -> pa.Table:
        if scored.sums is None and (metric.headline or metric.endpoint or metric.unit_intervals):
            raise InputError(f"the metric {metric.name} is registered with intervals, but gives no sums over excerpts.")
        if metric.unit_intervals:
            ends = scored.unit_intervals(self.config.replicates, self.config.seed)
        else:
            ends = scored.no_intervals()
        return scored.rows(layer, explainer.name, metric.name, metric.missing(self.protocol), ends)

    @property
    def protocol(self) -> Protocol:
        """That of the records."""
        return PROTOCOLS[read_protocol(self.records)]

    def metrics(self, explainer: Explainer) -> list[Metric]:
        """What can be measured of an explainer, of what was asked for."""
        return [metric for metric in metrics_named(self.config.metric) if metric.applies(explainer, self.protocol)]

    def _drawn(self) -> np.ndarray:
        """How often each document is drawn in each replicate: (replicates, documents)."""
        documents = read_json(self.records.path / "records.json")["halves"][self.protocol.scored_on]["documents"]
        return draw_weights(documents, self.config.replicates, derive_seed(self.config.seed, "documents"))

    def open(self, layer: int, explainer: Explainer, shared: dict[tuple, Any] | None = None):
        """A layer's units with what an explainer says of them."""
        said = {
            evidence: read_explanations(self.explanations, self.records, explainer.name, evidence, layer, self.reader)
            for evidence in self.protocol.shown
        }
        # Which units are explained does not depend on the evidence: those of the first are those of all.
        units = explainer.units(next(iter(said.values())))
        if units is None:
            units = np.arange(read_layers(self.records)[layer])
        return LayerInputs(self.records, layer, self.protocol, said, units, self.config.seed, shared)


def replicates_key(layer: int, explainer: str, metric: str, name: str) -> str:
    """The name of a layer's replicates; `name` is `own`, `shuffled` or `documents`."""
    return f"{explainer}/{metric}/{layer}/{name}"


def read_scores(scores: Artifact) -> dict[str, np.ndarray]:
    """The scores of all units of all layers: a column a name.

    Raises InputError where a file cannot be read.
    """
    paths = sorted(scores.path.glob("units-*.parquet"), key=lambda path: int(path.stem.rpartition("-")[2]))
    table = pa.concat_tables([read_table(path) for path in paths])
    return {name: _column(table[name]) for name in table.column_names}


def _column(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return column.to_numpy()


def read_replicates(scores: Artifact) -> dict[str, np.ndarray]:
    """The replicates of all layers' means, by `replicates_key`."""
    replicates: dict[str, Any] = {}
    for path in sorted(scores.path.glob("replicates-*.safetensors")):
        replicates |= load_file(path)
    return replicates
