"""The corpus stage: text in, a folder of 16-bit tokens out, and the reader of that folder.

Each side is two files in datatrove's format: `SIDE.ds` holds the tokens of all its documents, little-endian
16-bit numbers, an end-of-text token after each document; `SIDE.ds.index` holds the documents' ends as 64-bit
numbers. Train text is tokenized shard by shard (sharding.py); the other sides are small, and made together.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cratelm.artifacts import Artifact, read_json, run_stage, write_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.sharding import ShardWork, shard_sources, train_texts
from cratelm.corpus.split import split_held_out
from cratelm.corpus.tokenizer import load_tokenizer, make_tokenizer
from cratelm.corpus.writing import append_side, write_side
from cratelm.errors import InputError
from cratelm.progress import Progress
from cratelm.shards import EngineConfig, run_shards

BPE_TEXT = 100_000_000
"""Characters of train text, from the start, that a BPE is trained on."""


@dataclass(frozen=True)
class Side:
    """One side's documents in a row."""

    tokens: np.ndarray
    """(N,) uint16: every document's tokens, each document closed by end-of-text."""
    ends: np.ndarray
    """(documents,) int64: where each document ends, its end-of-text token included."""


def tokenize(config: CorpusConfig, out: Path, progress: Progress, engine: EngineConfig | None = None) -> Artifact:
    """Make the tokens of `config.corpus` in `out`, on this machine unless another engine is named."""
    engine = engine or EngineConfig()
    return run_stage(out, "tokens", config, {}, lambda folder: _tokenize(config, folder, progress, engine))


def read_side(tokens: Artifact, side: str) -> Side:
    """Map one side's files into memory."""
    ends = np.fromfile(tokens.path / f"{side}.ds.index", dtype="<u8").astype(np.int64)
    return Side(np.memmap(tokens.path / f"{side}.ds", dtype="<u2", mode="r"), ends)


def read_tokenizer(tokens: Artifact) -> Tokenizer:
    """The tokenizer that made these tokens."""
    return load_tokenizer(tokens.path / "tokenizer.json")


def _tokenize(config: CorpusConfig, folder: Path, progress: Progress, engine: EngineConfig) -> None:
    shards = folder / "shards"
    if (folder / "counts.json").is_file():  # written when all else is whole; the last run died while tidying up
        shutil.rmtree(shards, ignore_errors=True)
        return
    sources = shard_sources(config)
    if not (folder / "tokenizer.json").is_file():
        with progress.task(f"preparing the tokenizer {config.tokenizer}"):
            _prepare_tokenizer(config, sources, folder / "tokenizer.json")
    shards.mkdir(exist_ok=True)
    with progress.task(f"tokenizing {len(sources)} shards of train text"):
        work = ShardWork(config, sources, folder / "tokenizer.json", shards)
        run_shards(work, len(sources), engine, folder / "log" / "tokenize")
    with progress.task("tokenizing held-out text"):
        summary = _put_together(config, folder, len(sources))
    if summary["documents"]["invalid_utf8"]:
        progress.say(f"{summary['documents']['invalid_utf8']} documents held invalid UTF-8: it became U+FFFD.")
    write_json(folder / "counts.json", summary)
    shutil.rmtree(shards)


def _prepare_tokenizer(config: CorpusConfig, sources: list[list[str]], path: Path) -> None:
    read = 0
    if next(train_texts(config, sources), None) is None:
        raise InputError(f"the corpus {config.corpus} holds no text for the train side.")

    def counted(text: str) -> bool:
        nonlocal read
        read += len(text)
        return read - len(text) < BPE_TEXT

    make_tokenizer(config.tokenizer, takewhile(counted, train_texts(config, sources))).save(str(path))


def _put_together(config: CorpusConfig, folder: Path, count: int) -> dict[str, dict]:
    """One file a side out of the shards; gives what was counted."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    shards = [folder / "shards" / f"{number:05d}" for number in range(count)]
    counts: Counter[str] = Counter()
    held_out: list[tuple[str, str]] = []
    for shard in shards:
        counts.update(read_json(shard.with_suffix(".counts.json")))
        held_out += read_json(shard.with_suffix(".held-out.json"))
    distinct = list({text: (side, text) for side, text in held_out}.values())
    counts["duplicate"] += len(held_out) - len(distinct)
    counts["kept"] -= len(held_out) - len(distinct)
    sides, near_duplicates = split_held_out(distinct, config)
    written = {side: write_side(folder / side, texts, tokenizer) for side, texts in sides.items()}
    written["train"] = append_side(folder / "train", shards)
    for side, made in written.items():
        if not made["documents"]:
            raise InputError(f"too little text: none of {counts['kept']} documents fell on the {side} side.")
    return {"documents": dict(counts), "near_duplicates": near_duplicates, "sides": written}
