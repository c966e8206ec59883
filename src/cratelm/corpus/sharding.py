"""The corpus cut into shards, and the work on one: its train text tokenized, its held-out text set aside.

A shard is a run of files of at least 64 MB, or one larger file, or a packaged corpus; what it is depends on the
corpus alone.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cratelm.artifacts import write_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.documents import distinct_documents, packaged_texts
from cratelm.corpus.hub import dataset_folder
from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.readers import READERS, Texts, list_files, read_file
from cratelm.corpus.split import side_of
from cratelm.corpus.tokenizer import load_tokenizer
from cratelm.corpus.writing import write_side

SHARD_BYTES = 64_000_000
HUB = "hub:"


def shard_sources(config: CorpusConfig) -> list[list[str]]:
    """The files of each shard; a packaged corpus, or one that is read to a limit, is one shard."""
    if config.corpus in PACKAGED:
        return [[config.corpus]]
    files = list_files(corpus_path(config.corpus))
    if config.documents is not None:
        return [[str(file) for file in files]]
    shards: list[list[str]] = []
    size = SHARD_BYTES
    for file in files:
        if size >= SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(str(file))
        size += file.stat().st_size
    return shards


def corpus_path(corpus: str) -> Path:
    """Where a corpus lies: a path as it is, `hub:OWNER/NAME[:PATTERN]` in the hub's cache, downloaded if need be."""
    if not corpus.startswith(HUB):
        return Path(corpus)
    repository, _, pattern = corpus.removeprefix(HUB).partition(":")
    patterns = [pattern] if pattern else [f"*{ending}{packed}" for ending in READERS for packed in ("", ".gz", ".zst")]
    return dataset_folder(repository, patterns, None, "the path of a folder with its files")


def train_texts(config: CorpusConfig, sources: list[list[str]]) -> Iterator[str]:
    """The train side's documents in order, to train a tokenizer on."""
    for source in sources:
        for text in distinct_documents(_texts(config, source), Counter(), config.documents):
            if side_of(text, config) == "train":
                yield text


@dataclass(frozen=True)
class ShardWork:
    """The work on a shard, by its number; picklable, so that any engine can carry it."""

    config: CorpusConfig
    sources: list[list[str]]
    tokenizer: Path
    out: Path

    def __call__(self, number: int) -> None:
        """Write NUMBER.ds and .ds.index (train text), .held-out.json, .train.json and .counts.json."""
        name = self.out / f"{number:05d}"
        if len(self.sources) > 1:
            os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the shards are what runs in parallel
        counts: Counter[str] = Counter()
        held_out: list[tuple[str, str]] = []

        def train() -> Iterator[str]:
            for text in distinct_documents(_texts(self.config, self.sources[number]), counts, self.config.documents):
                side = side_of(text, self.config)
                if side == "train":
                    yield text
                else:
                    held_out.append((side, text))

        made = write_side(name, train(), load_tokenizer(self.tokenizer))
        write_json(name.with_suffix(".train.json"), made)
        write_json(name.with_suffix(".held-out.json"), held_out)
        write_json(name.with_suffix(".counts.json"), dict(counts))


def _texts(config: CorpusConfig, source: list[str]) -> Texts:
    if config.corpus in PACKAGED:
        return packaged_texts(config.corpus)
    alone = not config.corpus.startswith(HUB) and not Path(config.corpus).is_dir()
    return (found for file in source for found in read_file(Path(file), config.field, alone))
