"""The explain stage: records in, an explanation of every unit out, by each explainer and for each evidence."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact, Stage, as_plain, read_json, run_stage
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.errors import InputError
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explainer import Evidence, Explainer, Explanations, Kept
from cratelm.explain.registry import EXPLAINERS, explainers_named
from cratelm.judges.sentences import Reader
from cratelm.llm.config import JudgeConfig
from cratelm.llm.model import LanguageModel
from cratelm.llm.planned_requests import Plan, Planned
from cratelm.parquet import read_table
from cratelm.progress import Progress
from cratelm.protocols import ENDPOINT, PROTOCOLS, Protocol
from cratelm.records.store import read_layers, read_protocol

EXPLANATIONS = Stage("explanations", files=("*-[0-9]*.parquet",))


def explain(
    config: ExplainConfig,
    records: Artifact,
    out: Path,
    progress: Progress,
    judge: JudgeConfig | None = None,
    model: LanguageModel | None = None,
) -> Artifact:
    """Make the explanations of all units of `records` in `out`; who explains in words is `model`, which `judge` names.

    Raises InputError where words are asked for and there is no model.
    """
    in_words = any(explainer.in_words for explainer in explainers_named(config.explainer))
    if in_words and model is None:
        raise InputError("the explainer llm needs a language model: name it with --llm URL or --llm PATH.")
    inputs = {"records": records}
    settings = as_plain(config) | ({"judge": as_plain(judge)} if in_words else {})
    work = _Work(config, records, token_texts(read_tokenizer(records)), model)
    return run_stage(out, EXPLANATIONS, settings, inputs, lambda folder: _explain(work, folder, progress))


@dataclass(frozen=True)
class _Work:
    """What the layers of one recording share."""

    config: ExplainConfig
    records: Artifact
    texts: list[str]
    model: LanguageModel | None

    @property
    def protocol(self) -> Protocol:
        return PROTOCOLS[read_protocol(self.records)]

    def evidence(self, name: str, layer: int, units: int) -> Evidence:
        config = self.config
        return Evidence(self.records, layer, name, units, self.texts, config.seed, self.model, config.llm_units)


def _explain(work: _Work, folder: Path, progress: Progress) -> None:
    layers = read_layers(work.records)
    with progress.task(f"explaining {work.records.path.name}", total=len(layers)) as bar:
        for layer, units in enumerate(layers):
            if not (folder / f"sentences-{layer}.parquet").is_file():  # the layer's last: a killed run goes on here
                _explain_layer(work, folder, layer, units)
            bar.advance()


def _explain_layer(work: _Work, folder: Path, layer: int, units: int) -> None:
    sentences: dict[str, pa.Array] = {"unit": pa.array(range(units), pa.int32())}
    for evidence_index, name in enumerate(work.protocol.shown):
        evidence = work.evidence(name, layer, units)
        for explainer in explainers_named(work.config.explainer):
            file = explainer.file(name, layer)
            if file is None or (explainer.sees_half and (evidence_index or not work.protocol.tables)):
                continue  # what is kept of a half is one evidence, and not every protocol keeps it
            made = explainer.explain(evidence)
            explainer.write(made, folder / file)
            if explainer.speaks and not evidence_index:
                sentences[explainer.name] = pa.array(explainer.sentences(made, units, work.texts), pa.string())
    whole = folder / f"sentences-{layer}.parquet"
    beside = whole.with_name(whole.name + ".new")  # the file says that the layer is done: never half of it
    pq.write_table(pa.table(sentences), beside, compression="zstd")
    beside.replace(whole)


def plan_explain(config: ExplainConfig, records: Artifact, price: float, judge: JudgeConfig) -> Plan:
    """What explaining in words would send to `judge`."""
    planned = Planned(judge.llm_max_tokens)
    work = _Work(config, records, token_texts(read_tokenizer(records)), planned)
    for explainer in (explainer for explainer in explainers_named(config.explainer) if explainer.in_words):
        for layer, units in enumerate(read_layers(records)):
            for name in work.protocol.shown:
                explainer.explain(work.evidence(name, layer, units))
    return planned.plan(price)


def explainers_of(explanations: Artifact) -> list[Explainer]:
    """Those who explained."""
    return explainers_named(explanations.config["explainer"])


def explainers_that_spoke(explanations: Artifact) -> list[str]:
    """The names of those whose explanations are kept as sentences, of the first layer and so of all."""
    return read_table(explanations.path / "sentences-0.parquet").column_names[1:]


def read_explanations(
    explanations: Artifact,
    records: Artifact,
    explainer: str,
    evidence: str,
    layer: int,
    reader: Reader | None = None,
) -> Explanations:
    """What one explainer says of a layer of `records` from one evidence; `reader` reads words.

    Raises InputError where the file cannot be read.
    """
    by = EXPLAINERS[explainer]
    kept = Kept(records, layer, vocabulary_of(records), explanations.config["seed"], reader)
    return by.read(explanations.path / (by.file(evidence, layer) or ""), kept)


def read_sentences(explanations: Artifact, layer: int, explainer: str = ENDPOINT.explainer) -> list[str]:
    """One layer's explanations as sentences, a unit each; None for a unit that is not explained."""
    return read_table(explanations.path / f"sentences-{layer}.parquet")[explainer].to_pylist()


def require_same_records(records: Artifact, explanations: Artifact) -> None:
    """Refuse explanations that were made of other records."""
    if explanations.manifest["inputs"]["records"] != records.sha256:
        raise InputError(
            f"the explanations in {explanations.path} were made of other records than {records.path}. "
            "Explain these first."
        )


def vocabulary_of(records: Artifact) -> int:
    """The size of the vocabulary that the records' tokens are of."""
    return read_json(records.path / "records.json")["vocabulary"]
