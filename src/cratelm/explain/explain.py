"""The explain stage: records in, an explanation of every unit out, by each explainer and for each evidence.

`table` and `graph` see the excerpts that the protocol shows. `table-full` sees the whole explain half; it is no rival
but the ceiling of what any table can say, and is kept for the sample of units that the records hold full tables of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact, Stage, as_plain, read_json, run_stage
from cratelm.corpus.tokenizer import token_texts
from cratelm.corpus.tokens import read_tokenizer
from cratelm.errors import InputError, first_line
from cratelm.explain.config import LLM, ExplainConfig
from cratelm.explain.controls import Constant, RandomNumbers
from cratelm.explain.graph import PatternGraphs
from cratelm.explain.selection import PROTOCOLS, select
from cratelm.explain.table import OTHER, TokenTables
from cratelm.explain.words import FAILED, drawn_units, explain_in_words, write_words
from cratelm.llm.config import JudgeConfig
from cratelm.llm.model import Failure, LanguageModel
from cratelm.llm.plan import Plan, Planned
from cratelm.progress import Progress
from cratelm.records.store import Excerpts, read_layers, read_protocol, read_tables

EXPLANATIONS = Stage("explanations", files=("*-[0-9]*.parquet",))


class Explanations(Protocol):
    """What an explainer says of all units of a layer."""

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, T) that begin at place (rows,): (rows, T)."""
        ...

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """One unit's explanation as a sentence."""
        ...


def explain(
    config: ExplainConfig,
    records: Artifact,
    out: Path,
    progress: Progress,
    judge: JudgeConfig | None = None,
    model: LanguageModel | None = None,
) -> Artifact:
    """Make the explanations of all units of `records` in `out`; `llm` is `model`, which `judge` names.

    Raises InputError where `llm` is to explain and there is no model.
    """
    if LLM in config.names and model is None:
        raise InputError("the explainer llm needs a language model: name it with --llm URL or --llm PATH.")
    inputs = {"records": records}
    settings = as_plain(config) | ({"judge": as_plain(judge)} if LLM in config.names else {})
    work = _Work(config, records, token_texts(read_tokenizer(records)), model)
    return run_stage(out, EXPLANATIONS, settings, inputs, lambda folder: _explain(work, folder, progress))


@dataclass(frozen=True)
class _Work:
    """What the layers of one recording share."""

    config: ExplainConfig
    records: Artifact
    texts: list[str]
    model: LanguageModel | None


def _explain(work: _Work, folder: Path, progress: Progress) -> None:
    layers = read_layers(work.records)
    with progress.task(f"explaining {work.records.path.name}", total=len(layers)) as bar:
        for layer, units in enumerate(layers):
            if not (folder / f"sentences-{layer}.parquet").is_file():  # the layer's last: a killed run goes on here
                _explain_layer(work, folder, layer, units)
            bar.advance()


def _explain_layer(work: _Work, folder: Path, layer: int, units: int) -> None:
    config, protocol = work.config, PROTOCOLS[read_protocol(work.records)]
    if "table-full" in config.names and protocol.explained_on == "explain":
        _write_table(folder / f"table-full-{layer}.parquet", _from_half(work.records, layer))
    sentences: dict[str, pa.Array] = {"unit": pa.array(range(units), pa.int32())}
    for evidence, draws in protocol.shown.items():
        shown = Excerpts.concatenate(select(work.records, layer, protocol.explained_on, draws, protocol.once))
        for name in config.with_sentences:
            path = folder / f"{name}-{evidence}-{layer}.parquet"
            said = _say(work, shown, path, layer, units) if name == LLM else _make(work, name, shown, path, units)
            if evidence == "openai":
                sentences[name] = pa.array(said, pa.string())
    whole = folder / f"sentences-{layer}.parquet"
    beside = whole.with_name(whole.name + ".new")  # the file says that the layer is done: never half of it
    pq.write_table(pa.table(sentences), beside, compression="zstd")
    beside.replace(whole)


def _make(work: _Work, name: str, shown: Excerpts, path: Path, units: int) -> list[str]:
    """Keep one LLM-free explainer's explanations; as sentences, a unit each."""
    made = make_explanations(name, shown, len(work.texts), work.config.seed)
    _write(path, made)
    return [made.describe(unit, work.texts) for unit in range(units)]


def _say(work: _Work, shown: Excerpts, path: Path, layer: int, units: int) -> list[str | None]:
    """Keep what the language model says of the drawn units; None for all others."""
    assert work.model is not None
    drawn = drawn_units(units, work.config.llm_units, work.config.seed, layer)
    said = explain_in_words(work.model, shown, drawn, work.texts)
    write_words(path, drawn, said)
    found: list[str | None] = [None] * units
    for unit, one in zip(drawn.tolist(), said, strict=True):
        found[unit] = FAILED + one.reason if isinstance(one, Failure) else one
    return found


def plan_explain(config: ExplainConfig, records: Artifact, price: float, judge: JudgeConfig) -> Plan:
    """What explaining by `llm` would send to `judge`."""
    planned, texts = Planned(judge.llm_max_tokens), token_texts(read_tokenizer(records))
    protocol = PROTOCOLS[read_protocol(records)]
    for layer, units in enumerate(read_layers(records) if LLM in config.names else []):
        drawn = drawn_units(units, config.llm_units, config.seed, layer)
        for draws in protocol.shown.values():
            shown = select(records, layer, protocol.explained_on, draws, protocol.once, drawn.tolist())
            explain_in_words(planned, Excerpts.concatenate(shown), drawn, texts)
    return planned.plan(price)


def make_explanations(name: str, shown: Excerpts, vocabulary: int, seed: int) -> Explanations:
    """What an explainer, of those that need excerpts alone, says of the units of some excerpts."""
    if name == "table":
        return TokenTables.explain(shown.unit, shown.tokens, shown.activations, vocabulary)
    if name == "graph":
        return PatternGraphs.explain(shown.unit, shown.tokens, shown.activations, shown.place)
    return RandomNumbers(vocabulary, seed) if name == "random" else Constant()


def _from_half(records: Artifact, layer: int) -> TokenTables:
    stored = read_tables(records, layer, "explain")
    counts, means, units = stored["counts"], stored["means"], stored["units"]
    sample, token = np.nonzero(np.broadcast_to(counts > 0, means.shape))
    return TokenTables.of(
        len(counts),
        np.r_[units[sample], units],
        np.r_[token, np.full(len(units), OTHER)],
        np.r_[means[sample, token], means @ counts / counts.sum()],
    )


def _write(path: Path, made: Explanations) -> None:
    if not isinstance(made, PatternGraphs):
        assert isinstance(made, TokenTables)
        _write_table(path, made)
        return
    columns = {"unit": pa.array(made.unit, pa.int32()), "pattern": pa.array(made.pattern, pa.int8())}
    columns |= {f"fixed_{k}": pa.array(made.fixed[:, k], pa.int32()) for k in range(made.fixed.shape[1])}
    pq.write_table(pa.table(columns | {"mean": pa.array(made.mean, pa.float64())}), path, compression="zstd")


def _write_table(path: Path, tables: TokenTables) -> None:
    columns = {
        "unit": pa.array(tables.unit, pa.int32()),
        "token": pa.array(tables.token, pa.int32()),
        "mean": pa.array(tables.mean, pa.float64()),
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


def read_explanations(
    explanations: Artifact, explainer: str, evidence: str, layer: int, vocabulary: int
) -> Explanations:
    """What one explainer says of a layer from one evidence; `table-full` has one of its own.

    Raises InputError where the file cannot be read.
    """
    if explainer == "random":
        return RandomNumbers(vocabulary, explanations.config["seed"])
    if explainer == "constant":
        return Constant()
    name = explainer if explainer == "table-full" else f"{explainer}-{evidence}"
    path = explanations.path / f"{name}-{layer}.parquet"
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is damaged ({first_line(error)}). Remove its folder and explain again.") from error
    unit, mean = table["unit"].to_numpy().astype(np.int64), table["mean"].to_numpy()
    if explainer == "graph":
        fixed = np.stack([table[f"fixed_{k}"].to_numpy().astype(np.int64) for k in range(3)], axis=1)
        return PatternGraphs.of(unit, table["pattern"].to_numpy().astype(np.int64), fixed, mean)
    return TokenTables(vocabulary, unit, table["token"].to_numpy().astype(np.int64), mean)


def read_sentences(explanations: Artifact, layer: int, explainer: str = "table") -> list[str]:
    """One layer's explanations as sentences, a unit each; of `llm`, None for a unit that it was not asked about."""
    return pq.read_table(explanations.path / f"sentences-{layer}.parquet")[explainer].to_pylist()


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
