"""The work on one shard of a corpus: its train text tokenized, its held-out text set aside.

What a shard is depends on the corpus alone (sources.py), so its bytes do not depend on who makes it.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cratelm.artifacts import write_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.documents import distinct_documents
from cratelm.corpus.sources import Source, every_text
from cratelm.corpus.split import side_of
from cratelm.corpus.tokenizer import load_tokenizer
from cratelm.corpus.writing import write_side


def train_texts(config: CorpusConfig, source: Source) -> Iterator[str]:
    """The train side's documents in order, to train a tokenizer on."""
    for texts in every_text(source):
        for text in distinct_documents(texts, Counter(), config.documents):
            if side_of(text, config) == "train":
                yield text


@dataclass(frozen=True)
class ShardWork:
    """The work on a shard, by its number; picklable, so that any engine can carry it."""

    config: CorpusConfig
    source: Source
    tokenizer: Path
    out: Path

    def __call__(self, number: int) -> None:
        """Write NUMBER.ds and .ds.index (train text), .held-out.json, .train.json, .counts.json and .source.json."""
        name = self.out / f"{number:05d}"
        if len(self.source.shards) > 1:
            os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the shards are what runs in parallel
        counts: Counter[str] = Counter()
        held_out: list[tuple[str, str]] = []

        def train() -> Iterator[str]:
            for text in distinct_documents(self.source.texts(number), counts, self.config.documents):
                side = side_of(text, self.config)
                if side == "train":
                    yield text
                else:
                    held_out.append((side, text))

        made = write_side(name, train(), load_tokenizer(self.tokenizer))
        write_json(name.with_suffix(".train.json"), made)
        write_json(name.with_suffix(".held-out.json"), held_out)
        write_json(name.with_suffix(".counts.json"), dict(counts))
        write_json(name.with_suffix(".source.json"), self.source.describe(number))
        self.source.drop(number)
