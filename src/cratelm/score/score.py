"""The score stage: records and explanations in, scores with intervals and controls out.

By the records' protocol. Strict: explained from one half of the text, scored on the other; truth is the raw
activation; units that cannot be scored count as 0 and their shares are shown. Each layer's mean comes with a
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
from cratelm.corpus.tokenizer import token_texts
from cratelm.corpus.tokens import read_tokenizer
from cratelm.errors import InputError
from cratelm.explain.config import LLM, ExplainConfig
from cratelm.explain.explain import Explanations, read_explanations, require_same_records, vocabulary_of
from cratelm.explain.selection import PROTOCOLS
from cratelm.explain.words import read_words
from cratelm.judges.sentences import Reader
from cratelm.llm.config import JudgeConfig
from cratelm.llm.model import LanguageModel
from cratelm.llm.plan import Plan, Planned
from cratelm.progress import Bar, Progress
from cratelm.records.store import Excerpts, read_layers, read_protocol, read_tables
from cratelm.score.config import CORRELATIONS, DETECTIONS, ScoreConfig
from cratelm.score.layer import ScoredLayer
from cratelm.score.trial import JUDGE, try_on_puzzles
from cratelm.score.whole_text import EXPLAINERS as OF_TOKENS
from cratelm.score.whole_text import whole_text
from cratelm.seeds import derive_seed
from cratelm.shards import EngineConfig, require_engine, run_shards
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
    in_words = LLM in explainers_of(explanations)
    if in_words and model is None:
        raise InputError(f"the explanations in {explanations.path} are in words: name who reads them with --llm.")
    if in_words and engine != EngineConfig():
        raise InputError("a language model is not asked by several workers: say --concurrency instead of --workers.")
    inputs = {"records": records, "explanations": explanations}
    settings = as_plain(config) | ({"judge": as_plain(judge)} if in_words else {})

    def work(folder: Path) -> None:
        layers = len(read_layers(records))
        with progress.task(f"scoring {records.path.name}") as bar:
            if in_words and model is not None:
                _score_words(_LayerWork(config, records, explanations, folder, _reader(config, records, model, bar)))
                return
            layer = _LayerWork(config, records, explanations, folder)
            run_shards(layer, layers, engine, folder / "log" / "score")

    return run_stage(out, SCORES, settings, inputs, work, lambda: require_engine(engine))


def explainers_of(explanations: Artifact) -> list[str]:
    """The names of those who explained."""
    return ExplainConfig(explainer=explanations.config["explainer"]).names


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
        if LLM in explainers_of(explanations):
            work = _LayerWork(config, records, explanations, Path(), reader)
            for layer in range(len(read_layers(records))):
                opened = work.open(layer, LLM)
                for metric in work.metrics(LLM):
                    opened.scored(metric)
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
        selected: dict[tuple, list[Excerpts]] = {}
        drawn = self._drawn()
        for explainer in explainers_of(self.explanations):
            metrics = self.metrics(explainer)
            if not metrics:
                continue
            scored_layer = self.open(layer, explainer, selected)
            # The same for every explainer, so that two of them are compared on the same units.
            seed = derive_seed(self.config.seed, "units", layer)
            unit_weights = draw_weights(len(scored_layer.units), len(drawn), seed)
            for metric in metrics:
                scored = scored_layer.scored(metric)
                rows.append(scored_layer.table(explainer, metric, scored))
                found = scored_layer.replicates(metric, scored, drawn, unit_weights)
                replicates |= {replicates_key(layer, explainer, metric, name): found[name] for name in found}
            if explainer in OF_TOKENS and self.protocol == "strict":
                said = scored_layer.explanations["openai"]
                rows.append(whole_text(self.records, layer, explainer, said, self.config.seed))
        save_file(replicates, self.out / f"replicates-{layer}.safetensors")
        pq.write_table(_together(rows), self.out / f"units-{layer}.parquet", compression="zstd")

    @property
    def protocol(self) -> str:
        """That of the records."""
        return read_protocol(self.records)

    def metrics(self, explainer: str) -> list[str]:
        """What can be measured of an explainer, of what was asked for."""
        found = [name for name in self.config.metrics if self.protocol == "strict" or name in CORRELATIONS]
        if explainer == "table-full":  # which has seen the explain half, and speaks of 64 tokens
            return [name for name in found if self.protocol == "strict" and name in ("top-and-random", "random-only")]
        if explainer == "random":  # a control of the correlations; what chance gets by the others is known
            return [name for name in found if name not in DETECTIONS]
        return found

    def _drawn(self) -> np.ndarray:
        """How often each document is drawn in each replicate: (replicates, documents)."""
        half = PROTOCOLS[read_protocol(self.records)].scored_on
        documents = read_json(self.records.path / "records.json")["halves"][half]["documents"]
        return draw_weights(documents, self.config.replicates, derive_seed(self.config.seed, "documents"))

    def open(self, layer: int, explainer: str, selected: dict[tuple, list[Excerpts]] | None = None) -> ScoredLayer:
        """A layer's units with what an explainer says of them."""
        vocabulary = vocabulary_of(self.records)
        units = np.arange(read_layers(self.records)[layer])
        explanations: dict[str, Explanations] = {}
        for evidence in PROTOCOLS[self.protocol].shown:
            if explainer == LLM:
                assert self.reader is not None
                found = read_words(self.explanations, self.records, evidence, layer, self.reader)
                explanations[evidence], units = found
            else:
                explanations[evidence] = read_explanations(self.explanations, explainer, evidence, layer, vocabulary)
        if explainer == "table-full":
            units = read_tables(self.records, layer, "explain")["units"]
        return ScoredLayer(self.config, self.records, layer, self.protocol, explanations, units, selected)


def _together(rows: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(rows, promote_options="default")


def replicates_key(layer: int, explainer: str, metric: str, name: str) -> str:
    """The name of a layer's replicates; `name` is `own`, `shuffled` or `documents`."""
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
