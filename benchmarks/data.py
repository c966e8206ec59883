"""The speed of the data: python benchmarks/data.py

windows   Reading training windows in their order, against what a laptop training step uses: at least 50 times.
tokenize  A shard's tokens a second on one core, against `tokenizers` encoding the same texts in batches: 90% or more;
          and two workers against one, on eight shards: at least 1.7 times.
"""

import json
import os
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"

from rich.console import Console

from cratelm.corpus import sharding
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.documents import read_documents
from cratelm.corpus.tokenizer import gpt2_tokenizer
from cratelm.corpus.tokens import read_side, tokenize
from cratelm.corpus.windows import Windows
from cratelm.corpus.writing import write_side
from cratelm.progress import Progress
from cratelm.shards import EngineConfig

TRAINING = 25_000
"""Tokens a second of a laptop training step (docs/log.md)."""


def seconds(work) -> float:
    """The time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the three figures."""
    quiet = Progress(Console(quiet=True))
    texts = read_documents("reviews")[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = tokenize(CorpusConfig(documents=5000), folder / "tokens", quiet)
        windows = Windows(read_side(tokens, "train"), 256, 50_000, seed=0)
        speed = len(windows) * 256 / seconds(lambda: [windows[index] for index in range(len(windows))])
        print(f"windows: {speed:,.0f} tokens a second, {speed / TRAINING:.0f} times what training uses")

        tokenizer, part = gpt2_tokenizer(), texts[:4000]
        ratios = []
        for _ in range(5):
            bare = seconds(lambda: tokenizer.encode_batch_fast(part, add_special_tokens=False))
            ratios.append(bare / seconds(lambda: write_side(folder / "side", part, tokenizer)))
        print(f"a shard on one core: {sorted(ratios)[2]:.0%} of the speed of tokenizers' batches")

        corpus = folder / "corpus"
        corpus.mkdir()
        for shard in range(8):
            lines = [json.dumps({"text": text}) for text in texts[shard::8]]
            (corpus / f"{shard}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        sharding.SHARD_BYTES = 1
        config = CorpusConfig(corpus=str(corpus), tokenizer="gpt2")
        both = []
        for run in range(3):
            times = []
            for workers in (1, 2):
                out = folder / f"out-{run}-{workers}"
                engine = EngineConfig(workers=workers)
                times.append(seconds(lambda out=out, engine=engine: tokenize(config, out, quiet, engine)))
            both.append(times)
        one, two = sorted(both, key=lambda times: times[0] / times[1])[1]
        print("8 shards, from the files to the finished folder:")
        print(f"1 worker {one:.1f} s, 2 workers {two:.1f} s, {one / two:.2f} times as fast")


if __name__ == "__main__":
    main()
