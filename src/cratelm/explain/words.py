"""Explanations in words of a sample of units, by a language model: made, kept, and read again."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact
from cratelm.errors import InputError, first_line
from cratelm.explain.config import LLM
from cratelm.explain.selection import PROTOCOLS
from cratelm.judges.explainer import explain_units
from cratelm.judges.sentences import SILENT, Reader, Sentences
from cratelm.llm.model import Failure, LanguageModel
from cratelm.records.store import Excerpts, read_protocol, read_units
from cratelm.seeds import derive_seed

FAILED = "failed: "
"""What the sentence of an explanation that could not be used begins with; the reason follows."""


def drawn_units(units: int, count: int, seed: int, layer: int) -> np.ndarray:
    """Uniformly drawn units of a layer, ascending: the same for every model whose layers are of one size."""
    generator = np.random.default_rng(derive_seed(seed, "judged units", layer))
    return np.sort(generator.choice(units, min(count, units), replace=False))


def explain_in_words(
    model: LanguageModel, shown: Excerpts, units: np.ndarray, texts: Sequence[str]
) -> list[str | Failure]:
    """The explanation of each unit, in their order."""
    said = dict(explain_units(model, shown, units.tolist(), texts))
    return [said.get(unit, SILENT) for unit in units.tolist()]


def write_words(path: Path, units: np.ndarray, said: Sequence[str | Failure]) -> None:
    """Write a row a unit: its explanation, or why there is none."""
    columns = {
        "unit": pa.array(units, pa.int32()),
        "explanation": pa.array([None if isinstance(one, Failure) else one for one in said], pa.string()),
        "failure": pa.array([one.reason if isinstance(one, Failure) else None for one in said], pa.string()),
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


def count_failures(explanations: Artifact) -> Counter[str]:
    """How many explanations of the language model failed, by reason."""
    tables = [pq.read_table(path, columns=["failure"]) for path in explanations.path.glob(f"{LLM}-*.parquet")]
    reasons = [reason for table in tables for reason in table["failure"].to_pylist() if reason is not None]
    return Counter(reason.split(":")[0] for reason in reasons)


def read_words(
    explanations: Artifact, records: Artifact, evidence: str, layer: int, reader: Reader
) -> tuple[Sentences, np.ndarray]:
    """What was said of a layer's units from one evidence, for a judge to read; and which units those are."""
    path = explanations.path / f"{LLM}-{evidence}-{layer}.parquet"
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is damaged ({first_line(error)}). Remove its folder and explain again.") from error
    said = dict(zip(table["unit"].to_pylist(), table["explanation"].to_pylist(), strict=True))
    silent = frozenset(unit for unit, sentence in said.items() if sentence == SILENT)
    known = {unit: None if unit in silent else sentence for unit, sentence in said.items()}
    highest = read_units(records, layer, PROTOCOLS[read_protocol(records)].explained_on)["maximum"]
    return Sentences(known, silent, highest, reader), table["unit"].to_numpy().astype(np.int64)
