"""What an explainer is: it makes explanations of a layer's units, keeps them, and reads them again."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from cratelm.artifacts import Artifact
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.token_text import token_texts
from cratelm.explain.selection import select
from cratelm.judges.sentences import Reader
from cratelm.llm.model import LanguageModel
from cratelm.protocols import PROTOCOLS
from cratelm.records.excerpts import Excerpts
from cratelm.records.store import read_protocol


class Explanations(Protocol):
    """What an explainer says of all units of a layer."""

    def simulate(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The activations expected of units (rows,) on tokens (rows, T) that begin at place (rows,): (rows, T)."""
        ...

    def describe(self, unit: int, texts: Sequence[str]) -> str:
        """One unit's explanation as a sentence."""
        ...


@runtime_checkable
class OnOneText(Protocol):
    """Explanations that say faster what many units do on one text than row by row."""

    def simulate_all(self, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
        """What `simulate` gives for each of units (units,), ascending, on the same tokens (rows, T) that begin at place
        (rows,): (units, rows, T)."""
        ...


def simulate_all(said: Explanations, unit: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The activations expected of units (units,), ascending, all on the same tokens (rows, T): (units, rows, T)."""
    if isinstance(said, OnOneText):
        return said.simulate_all(unit, tokens, place)
    every = np.repeat(unit, len(tokens)), np.tile(tokens, (len(unit), 1)), np.tile(place, len(unit))
    return said.simulate(*every).reshape(len(unit), *tokens.shape)


@dataclass(frozen=True)
class Evidence:
    """What explainers may look at of one layer of a recording."""

    records: Artifact
    layer: int
    name: str
    """Which excerpts: one of the protocol's `shown`."""
    units: int
    """Of the layer."""
    texts: Sequence[str]
    """The vocabulary's tokens."""
    seed: int
    model: LanguageModel | None = None
    """Who explains in words."""
    llm_units: int = 0
    """How many units of a layer it is asked about."""

    @cached_property
    def excerpts(self) -> Excerpts:
        """The excerpts that the protocol shows, of all units."""
        return self.excerpts_of(None)

    def excerpts_of(self, units: Sequence[int] | None) -> Excerpts:
        """The excerpts that the protocol shows of some units; of all with None."""
        protocol = PROTOCOLS[read_protocol(self.records)]
        draws = protocol.shown[self.name]
        return Excerpts.concatenate(
            select(self.records, self.layer, protocol.explained_on, draws, protocol.once, units)
        )


@dataclass(frozen=True)
class Kept:
    """What is needed to read explanations again."""

    records: Artifact
    layer: int
    vocabulary: int
    seed: int
    """That they were made with."""
    reader: Reader | None = None
    """Who reads words."""

    @cached_property
    def texts(self) -> Sequence[str]:
        """The vocabulary's tokens."""
        return _texts(self.records.path, self.records.sha256)


@lru_cache(maxsize=1)
def _texts(records: Path, sha256: str) -> Sequence[str]:
    return token_texts(read_tokenizer(Artifact(records, {})))


class Explainer(ABC):
    """Subclass it and bind one instance in a module of `explain/explainers`, or offer one as an entry point of
    `cratelm.explainers`; nothing else has to change."""

    name: str
    help: str
    """One line: what it says of a unit, and what it looks at."""
    order: int = 100
    """Its place in tables: the lowest first."""
    role: Literal["explainer", "control", "ceiling"] = "explainer"
    """A control knows nothing of a unit: every score has to be above its own. A ceiling has seen more than is fair."""
    sees: Literal["excerpts", "tables", "text", "nothing"] = "excerpts"
    """The excerpts of each evidence; the units' means on every token of the explain half; the sample of its text, with
    the first evidence's excerpts; or nothing."""
    in_words: bool = False
    """Whether a language model writes its explanations, and has to read them before they can be scored: `read` then
    gives Sentences (judges/sentences.py)."""
    recovers: int | None = None
    """How many of the planted units of `cratelm validate` it recovers with seed 0; reports say so. None: untried."""
    speaks: bool = True
    """Whether its explanations are kept as sentences."""

    @property
    def sees_half(self) -> bool:
        """Whether it sees what a recording keeps of the whole explain half, which is one evidence and in one file."""
        return self.sees in ("tables", "text")

    def file(self, evidence: str, layer: int) -> str | None:
        """The name of the file that keeps a layer's explanations; None where there is nothing to keep."""
        if self.sees == "nothing":
            return None
        return f"{self.name}-{layer}.parquet" if self.sees_half else f"{self.name}-{evidence}-{layer}.parquet"

    @abstractmethod
    def of_excerpts(self, excerpts: Excerpts, texts: Sequence[str], seed: int) -> Explanations:
        """Explain the units of some excerpts; `texts` are the vocabulary's tokens."""

    def explain(self, evidence: Evidence) -> Explanations:
        """Explain all units of a layer."""
        return self.of_excerpts(evidence.excerpts, evidence.texts, evidence.seed)

    @abstractmethod
    def write(self, made: Explanations, path: Path) -> None:
        """Keep what `explain` made in a Parquet file."""

    @abstractmethod
    def read(self, path: Path, kept: Kept) -> Explanations:
        """What was written; raises InputError where the file cannot be read."""

    def units(self, read: Explanations) -> np.ndarray | None:
        """The units that are explained, ascending, of what `read` gave; None where all are."""
        return None

    def sentences(self, made: Explanations, units: int, texts: Sequence[str]) -> list[str | None]:
        """What `explain` made as sentences, a unit of the layer each; None for a unit that is not explained."""
        return [made.describe(unit, texts) for unit in range(units)]


class Control(Explainer):
    """Knows nothing of any unit, so there is nothing to keep."""

    role = "control"
    sees = "nothing"
    speaks = False

    def write(self, made: Explanations, path: Path) -> None:
        """There is nothing to write."""

    def read(self, path: Path, kept: Kept) -> Explanations:
        """Made again: of the vocabulary, a control knows no more than the size."""
        return self.of_excerpts(_NOTHING, [""] * kept.vocabulary, kept.seed)


_NONE = np.empty(0, np.int64)
_NOTHING = Excerpts(_NONE, _NONE, _NONE, _NONE, _NONE, _NONE, np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
