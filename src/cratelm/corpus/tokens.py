"""The corpus stage: text in, a folder of 16-bit tokens out, and the reader of that folder.

Each side is two files in datatrove's format: `SIDE.ds` holds the tokens of all its documents, little-endian
16-bit numbers, an end-of-text token after each document; `SIDE.ds.index` holds the documents' ends as 64-bit
numbers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cratelm.artifacts import Artifact, run_stage, write_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.documents import read_documents
from cratelm.corpus.split import split
from cratelm.corpus.tokenizer import end_of_text_id, load_tokenizer, make_tokenizer
from cratelm.errors import InputError
from cratelm.progress import Progress


@dataclass(frozen=True)
class Side:
    """One side's documents in a row."""

    tokens: np.ndarray
    """(N,) uint16: every document's tokens, each document closed by end-of-text."""
    ends: np.ndarray
    """(documents,) int64: where each document ends, its end-of-text token included."""


def tokenize(config: CorpusConfig, out: Path, progress: Progress) -> Artifact:
    """Make the tokens of `config.corpus` in `out`."""
    return run_stage(out, "tokens", config, {}, lambda folder: _tokenize(config, folder, progress))


def read_side(tokens: Artifact, side: str) -> Side:
    """Map one side's files into memory."""
    ends = np.fromfile(tokens.path / f"{side}.ds.index", dtype="<u8").astype(np.int64)
    return Side(np.memmap(tokens.path / f"{side}.ds", dtype="<u2", mode="r"), ends)


def read_tokenizer(tokens: Artifact) -> Tokenizer:
    """The tokenizer that made these tokens."""
    return load_tokenizer(tokens.path / "tokenizer.json")


def _tokenize(config: CorpusConfig, folder: Path, progress: Progress) -> None:
    with progress.task("reading the corpus"):
        documents, counts = read_documents(config.corpus, config.documents, config.field)
    if counts["invalid_utf8"]:
        progress.say(f"{counts['invalid_utf8']} documents held invalid UTF-8: each such byte became U+FFFD.")
    with progress.task("finding near-duplicates among the held-out documents"):
        sides, near_duplicates = split(documents, config)
    for side, texts in sides.items():
        if not texts:
            raise InputError(f"too little text: none of {len(documents)} documents fell on the {side} side.")
    with progress.task(f"preparing the tokenizer {config.tokenizer}"):
        tokenizer = make_tokenizer(config.tokenizer, sides["train"])
    tokenizer.save(str(folder / "tokenizer.json"))
    written = {side: _write_side(folder, side, texts, tokenizer, progress) for side, texts in sides.items()}
    write_json(folder / "counts.json", {"documents": counts, "near_duplicates": near_duplicates, "sides": written})


def _write_side(
    folder: Path, side: str, texts: list[str], tokenizer: Tokenizer, progress: Progress, batch: int = 1000
) -> dict[str, int]:
    """Write one side's two files; gives its numbers of documents, tokens and bytes."""
    end_of_text = end_of_text_id(tokenizer)
    lengths: list[int] = []
    with (
        (folder / f"{side}.ds").open("wb") as file,
        progress.task(f"tokenizing the {side} side", total=len(texts)) as bar,
    ):
        for start in range(0, len(texts), batch):
            encodings = tokenizer.encode_batch_fast(texts[start : start + batch], add_special_tokens=False)
            for encoding in encodings:
                file.write(np.array([*encoding.ids, end_of_text], dtype="<u2").tobytes())
                lengths.append(len(encoding.ids) + 1)
            bar.advance(len(encodings))
    ends = np.cumsum(lengths, dtype="<u8")
    ends.tofile(folder / f"{side}.ds.index")
    return {
        "documents": len(texts),
        "tokens": int(ends[-1]),
        "bytes": sum(len(text.encode()) for text in texts),
    }
