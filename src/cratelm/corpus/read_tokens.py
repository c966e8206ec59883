"""Tokens read: the sides of a finished corpus folder, and its tokenizer.

tokens.py makes such folders, and says what is in them. Reading imports nothing of what makes them: SciPy and the hub's
client would take a command half a second to start.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cratelm.artifacts import Artifact, read_json
from cratelm.corpus.small_text import LARGER_SHARES
from cratelm.corpus.tokenizer import load_tokenizer
from cratelm.corpus.train_tokens import TrainTokens, require_size, token_type
from cratelm.errors import InputError

GROUPS = ".ds.groups"
"""Ending of the file that holds the group of near-duplicates of each document, as 64-bit numbers."""
GROUPED = ("explain", "score")
SIZES = ".ds.bytes"
"""Ending of the file that holds the bytes of text of each validation document, as 64-bit numbers."""


@dataclass(frozen=True)
class Side:
    """One held-out side's documents in a row."""

    tokens: np.ndarray
    """(N,) uint16 or uint32: every document's tokens, each document closed by end-of-text."""
    ends: np.ndarray
    """(documents,) int64: where each document ends, its end-of-text token included."""
    groups: np.ndarray | None = None
    """(documents,) int64: the group of near-duplicates that each document is in; None where they are not known."""

    @property
    def group(self) -> np.ndarray:
        """(documents,) int64: the same, with every document in a group of its own where they are not known."""
        return np.arange(len(self.ends)) if self.groups is None else self.groups

    def first(self, documents: int) -> "Side":
        """The side's first documents alone."""
        groups = None if self.groups is None else self.groups[:documents]
        return Side(self.tokens[: self.ends[documents - 1]], self.ends[:documents], groups)


def read_side(tokens: Artifact, side: str) -> Side:
    """Map the files of a held-out side into memory.

    Raises InputError, naming the file, where one is missing, cut off, or holds tokens beyond the vocabulary; and where
    the side has no document, as may be in tokens that were made to measure a model.
    """
    path, counts = tokens.path / f"{side}.ds", read_json(tokens.path / "counts.json")
    made, vocabulary = counts["sides"][side], counts["tokenizer"]["vocabulary"]
    if not made["documents"]:
        raise InputError(
            f"{tokens.path} has no document on the {side} side. Tokenize with larger shares: {LARGER_SHARES}."
        )
    kind = token_type(vocabulary)
    require_size(path, kind.itemsize * made["tokens"])
    require_size(path.with_suffix(".ds.index"), 8 * made["documents"])
    ends = np.fromfile(path.with_suffix(".ds.index"), dtype="<u8").astype(np.int64)
    mapped = np.memmap(path, dtype=kind, mode="r")
    if mapped.max() >= vocabulary or ends[-1] != len(mapped) or (np.diff(ends) < 1).any():
        raise InputError(f"{path} and its index do not fit a vocabulary of {vocabulary} or each other. Tokenize again.")
    return Side(mapped, ends, _read_groups(path.with_suffix(GROUPS), len(ends)) if side in GROUPED else None)


def _read_groups(path: Path, documents: int) -> np.ndarray:
    if not path.is_file():
        raise InputError(
            f"{path} is missing: an earlier version made these tokens, and did not say which documents are "
            "near-duplicates. Tokenize again."
        )
    require_size(path, 8 * documents)
    return np.fromfile(path, dtype="<u8").astype(np.int64)


def read_validation_bytes(tokens: Artifact) -> np.ndarray | None:
    """The bytes of text of each validation document, (documents,) int64; None where an earlier version made the tokens.

    Raises InputError where the file is cut off.
    """
    path = tokens.path / f"validation{SIZES}"
    if not path.is_file():
        return None
    require_size(path, 8 * read_json(tokens.path / "counts.json")["sides"]["validation"]["documents"])
    return np.fromfile(path, dtype="<u8").astype(np.int64)


def read_train(tokens: Artifact) -> TrainTokens:
    """The tokens of the train side, all documents in a row; InputError names a file that is missing or cut off."""
    counts = read_json(tokens.path / "counts.json")
    shards = counts["sides"]["train"]["shards"]
    files = [tokens.path / f"{train_name(number)}.ds" for number in range(len(shards))]
    return TrainTokens(files, [shard["tokens"] for shard in shards], counts["tokenizer"]["vocabulary"])


def train_name(shard: int) -> str:
    """What the files of a shard's train side are named, without their endings."""
    return f"train-{shard:05d}"


def read_tokenizer(tokens: Artifact) -> Tokenizer:
    """The tokenizer that made these tokens."""
    return load_tokenizer(tokens.path / "tokenizer.json")
