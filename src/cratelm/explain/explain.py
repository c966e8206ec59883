"""The explain stage: records in, an explanation of every unit out.

`table` sees a unit's top excerpts of the explain half. `table-full` sees that whole half; it is no rival but the
ceiling of what any table can say, and is kept for the sample of units that the records hold full tables of.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact, run_stage
from cratelm.corpus.tokenizer import token_texts
from cratelm.corpus.tokens import read_tokenizer
from cratelm.explain.config import ExplainConfig
from cratelm.explain.table import OTHER, TokenTables
from cratelm.progress import Progress
from cratelm.records.store import read_excerpts, read_layers, read_tables


def explain(config: ExplainConfig, records: Artifact, tokens: Artifact, out: Path, progress: Progress) -> Artifact:
    """Make the explanations of all units of `records` in `out`."""
    inputs = {"records": records, "tokens": tokens}
    return run_stage(
        out, "explanations", config, inputs, lambda folder: _explain(config, records, tokens, folder, progress)
    )


def _explain(config: ExplainConfig, records: Artifact, tokens: Artifact, folder: Path, progress: Progress) -> None:
    texts = token_texts(read_tokenizer(tokens))
    layers = read_layers(records)
    with progress.task(f"explaining {records.path.name}", total=len(layers)) as bar:
        for layer, units in enumerate(layers):
            tables = _from_excerpts(config, records, layer, len(texts))
            _write(folder / f"table-{layer}.parquet", tables)
            _write(folder / f"table-full-{layer}.parquet", _from_half(records, layer))
            sentences = {
                "unit": pa.array(range(units), pa.int32()),
                "explanation": [tables.describe(unit, texts) for unit in range(units)],
            }
            pq.write_table(pa.table(sentences), folder / f"sentences-{layer}.parquet", compression="zstd")
            bar.advance()


def _from_excerpts(config: ExplainConfig, records: Artifact, layer: int, vocabulary: int) -> TokenTables:
    excerpts = read_excerpts(records, layer, "explain", "top")
    shown = excerpts.where(excerpts.rank < config.top)
    return TokenTables.explain(shown.unit, shown.tokens, shown.activations, vocabulary)


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


def _write(path: Path, tables: TokenTables) -> None:
    columns = {
        "unit": pa.array(tables.unit, pa.int32()),
        "token": pa.array(tables.token, pa.int32()),
        "mean": pa.array(tables.mean, pa.float64()),
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


def read_explanations(explanations: Artifact, explainer: str, layer: int, vocabulary: int) -> TokenTables:
    """One layer's tables, by `table` or `table-full`."""
    table = pq.read_table(explanations.path / f"{explainer}-{layer}.parquet")
    unit, token = (table[name].to_numpy().astype(np.int64) for name in ("unit", "token"))
    return TokenTables(vocabulary, unit, token, table["mean"].to_numpy())


def read_sentences(explanations: Artifact, layer: int) -> list[str]:
    """One layer's explanations as sentences, a unit each, as `table` made them."""
    return pq.read_table(explanations.path / f"sentences-{layer}.parquet")["explanation"].to_pylist()
