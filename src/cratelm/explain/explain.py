"""The explain stage: records in, an explanation of every unit out, by each explainer and for each evidence.

`table` and `graph` see the excerpts that the protocol shows. `table-full` sees the whole explain half; it is no rival
but the ceiling of what any table can say, and is kept for the sample of units that the records hold full tables of.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact, read_json, run_stage
from cratelm.corpus.tokenizer import token_texts
from cratelm.corpus.tokens import read_tokenizer
from cratelm.errors import InputError
from cratelm.explain.config import ExplainConfig
from cratelm.explain.controls import Constant, RandomNumbers
from cratelm.explain.graph import PatternGraphs
from cratelm.explain.selection import PROTOCOLS, select
from cratelm.explain.table import OTHER, TokenTables
from cratelm.progress import Progress
from cratelm.records.store import Excerpts, read_layers, read_protocol, read_tables


class Explanations(Protocol):
    """What an explainer says of all units of a layer."""

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, T) that begin at place (rows,): (rows, T)."""
        ...

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """One unit's explanation as a sentence."""
        ...


def explain(config: ExplainConfig, records: Artifact, out: Path, progress: Progress) -> Artifact:
    """Make the explanations of all units of `records` in `out`."""
    inputs = {"records": records}
    return run_stage(out, "explanations", config, inputs, lambda folder: _explain(config, records, folder, progress))


def _explain(config: ExplainConfig, records: Artifact, folder: Path, progress: Progress) -> None:
    texts = token_texts(read_tokenizer(records))
    layers = read_layers(records)
    with progress.task(f"explaining {records.path.name}", total=len(layers)) as bar:
        for layer, units in enumerate(layers):
            if not (folder / f"sentences-{layer}.parquet").is_file():  # the layer's last: a killed run goes on here
                _explain_layer(config, records, folder, layer, units, texts)
            bar.advance()


def _explain_layer(
    config: ExplainConfig, records: Artifact, folder: Path, layer: int, units: int, texts: list[str]
) -> None:
    protocol = PROTOCOLS[read_protocol(records)]
    if "table-full" in config.names and protocol.explained_on == "explain":
        _write_table(folder / f"table-full-{layer}.parquet", _from_half(records, layer))
    sentences: dict[str, pa.Array] = {"unit": pa.array(range(units), pa.int32())}
    for evidence, draws in protocol.shown.items():
        shown = Excerpts.concatenate(select(records, layer, protocol.explained_on, draws, protocol.once))
        for name in config.with_sentences:
            made = make_explanations(name, shown, len(texts), config.seed)
            _write(folder / f"{name}-{evidence}-{layer}.parquet", made)
            if evidence == "openai":
                sentences[name] = pa.array([made.describe(unit, texts) for unit in range(units)])
    pq.write_table(pa.table(sentences), folder / f"sentences-{layer}.parquet", compression="zstd")


def make_explanations(name: str, shown: Excerpts, vocabulary: int, seed: int) -> Explanations:
    """What an explainer, of those that need excerpts alone, says of the units of some excerpts."""
    if name == "table":
        return TokenTables.explain(shown.unit, shown.tokens, shown.activations, vocabulary)
    if name == "graph":
        return PatternGraphs.explain(shown.unit, shown.tokens, shown.activations, shown.place)
    return RandomNumbers(vocabulary, seed) if name == "random" else Constant()


def _from_half(records: Artifact, layer: int) -> TokenTables:
    stored = read_tables(records, layer)
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
        raise InputError(f"{path} is damaged ({error}). Remove its folder and explain again.") from error
    unit, mean = table["unit"].to_numpy().astype(np.int64), table["mean"].to_numpy()
    if explainer == "graph":
        fixed = np.stack([table[f"fixed_{k}"].to_numpy().astype(np.int64) for k in range(3)], axis=1)
        return PatternGraphs.of(unit, table["pattern"].to_numpy().astype(np.int64), fixed, mean)
    return TokenTables(vocabulary, unit, table["token"].to_numpy().astype(np.int64), mean)


def read_sentences(explanations: Artifact, layer: int, explainer: str = "table") -> list[str]:
    """One layer's explanations as sentences, a unit each."""
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
