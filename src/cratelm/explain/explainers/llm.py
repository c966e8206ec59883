"""Explanations in words of a sample of units, by a language model: made, kept, and read again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import Artifact
from cratelm.errors import InputError
from cratelm.explain.explainer import Evidence, Explainer, Explanations, Kept
from cratelm.judges.ask_for_explanations import explain_units
from cratelm.judges.sentences import NEVER_FIRES, Sentences
from cratelm.llm.model import Failure
from cratelm.parquet import read_table
from cratelm.protocols import PROTOCOLS
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import read_protocol, read_units
from cratelm.seeds import derive_seed

FAILURE_PREFIX = "failed: "
"""What the sentence of an explanation that could not be used begins with; the reason follows."""


def drawn_units(units: int, count: int, seed: int, layer: int) -> np.ndarray:
    """Uniformly drawn units of a layer, ascending: the same for every model whose layers are of one size."""
    generator = np.random.default_rng(derive_seed(seed, "judged units", layer))
    return np.sort(generator.choice(units, min(count, units), replace=False))


@dataclass(frozen=True)
class UnreadWords:
    """What a language model says of some units, before anybody has read it."""

    said: dict[int, str | Failure]
    """By unit."""

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Always raises InputError: words expect nothing until a judge reads them (judges/sentences.py)."""
        raise InputError("explanations in words are simulated by a language model: name it with --llm.")

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """One unit's explanation, or why there is none."""
        said = self.said[unit]
        return FAILURE_PREFIX + said.reason if isinstance(said, Failure) else said


class LanguageModelExplainer(Explainer):
    """A sentence of a language model about each of some units."""

    name = "llm"
    help = "a sentence that a language model writes, and then reads to predict, for a sample of units"
    order = 60
    in_words = True

    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> UnreadWords:
        """Raises InputError: words need a language model."""
        raise InputError("the explainer llm needs a language model: name it with --llm URL or --llm PATH.")

    def explain(self, evidence: Evidence) -> UnreadWords:
        """Ask about units that are drawn by seed; InputError without a language model."""
        if evidence.model is None:
            raise InputError("the explainer llm needs a language model: name it with --llm URL or --llm PATH.")
        drawn = drawn_units(evidence.units, evidence.llm_units, evidence.seed, evidence.layer).tolist()
        said = dict(explain_units(evidence.model, evidence.excerpts_of(drawn), drawn, evidence.texts))
        return UnreadWords({unit: said.get(unit, NEVER_FIRES) for unit in drawn})

    def write(self, made: Explanations, path: Path) -> None:
        """A row a unit: its explanation, or why there is none."""
        assert isinstance(made, UnreadWords)
        answers = list(made.said.values())
        columns = {
            "unit": pa.array(made.said, pa.int32()),
            "explanation": pa.array([None if isinstance(said, Failure) else said for said in answers], pa.string()),
            "failure": pa.array([said.reason if isinstance(said, Failure) else None for said in answers], pa.string()),
        }
        pq.write_table(pa.table(columns), path, compression="zstd")

    def read(self, path: Path, kept: Kept) -> Sentences:
        """What was said, for a judge to read."""
        assert kept.reader is not None
        table = read_table(path)
        said = dict(zip(table["unit"].to_pylist(), table["explanation"].to_pylist(), strict=True))
        silent = frozenset(unit for unit, sentence in said.items() if sentence == NEVER_FIRES)
        known = {unit: None if unit in silent else sentence for unit, sentence in said.items()}
        half = PROTOCOLS[read_protocol(kept.records)].explained_on
        return Sentences(known, silent, read_units(kept.records, kept.layer, half)["maximum"], kept.reader)

    def units(self, read: Explanations) -> np.ndarray:
        """Those that were asked about."""
        assert isinstance(read, Sentences)
        return np.array(list(read.sentence), np.int64)

    def sentences(self, made: Explanations, units: int, texts: Sequence[str]) -> list[str | None]:
        """None for a unit that was not asked about."""
        assert isinstance(made, UnreadWords)
        return [made.describe(unit, texts) if unit in made.said else None for unit in range(units)]


def count_failures(explanations: Artifact) -> Counter[str]:
    """How many explanations of the language model failed, by reason."""
    evidences = sorted({name for protocol in PROTOCOLS.values() for name in protocol.shown})
    paths = [path for name in evidences for path in explanations.path.glob(f"{LLM.name}-{name}-*.parquet")]
    tables = [read_table(path, columns=["failure"]) for path in paths]
    reasons = [reason for table in tables for reason in table["failure"].to_pylist() if reason is not None]
    return Counter(reason.split(":")[0] for reason in reasons)


LLM = LanguageModelExplainer()
