"""The speed of the data: python benchmarks/data.py

windows   Reading training windows in their order, against what a laptop training step uses: at least 50 times.
tokenize  A shard's tokens a second on one core, against `tokenizers` encoding the same texts in batches: 90% or more;
          and two workers against one, on eight shards of 16 MB: at least 1.7 times.
"""

import json
import os
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"

from rich.console import Console

from cratelm.corpus import sources
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.packaged import PACKAGED
from cratelm.corpus.read_tokens import read_train
from cratelm.corpus.tokenizer import gpt2_tokenizer
from cratelm.corpus.tokens import tokenize
from cratelm.corpus.training_windows import Windows
from cratelm.corpus.writing import write_side
from cratelm.progress import Progress
from cratelm.shards.config import EngineConfig

TRAINING = 25_000
"""Tokens a second of a laptop training step (docs/log.md)."""
COPIES = 4
"""How often the reviews stand in the corpus of the shards, each time with another first word."""


def seconds(work) -> float:
    """The time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shards(folder: Path, texts: list[str]) -> Path:
    """A folder of eight files of distinct documents."""
    folder.mkdir()
    for shard in range(8):
        lines = [json.dumps({"text": f"{copy} {text}"}) for copy in range(COPIES) for text in texts[shard::8]]
        (folder / f"{shard}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def main() -> None:
    """Print the three figures."""
    quiet = Progress(Console(quiet=True))
    texts = list(PACKAGED["reviews"].texts())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens = tokenize(CorpusConfig(documents=5000), folder / "tokens", quiet)
        windows = Windows(read_train(tokens), 256, 50_000, seed=0)
        speed = len(windows) * 256 / seconds(lambda: [windows[index] for index in range(len(windows))])
        print(f"windows: {speed:,.0f} tokens a second, {speed / TRAINING:.0f} times what training uses")

        tokenizer, part = gpt2_tokenizer(), texts[:4000]
        ratios = []
        for _ in range(5):
            bare = seconds(lambda: tokenizer.encode_batch_fast(part, add_special_tokens=False))
            ratios.append(bare / seconds(lambda: write_side(folder / "side", part, tokenizer)))
        print(f"a shard on one core: {sorted(ratios)[2]:.0%} of the speed of tokenizers' batches")

        sources.SHARD_BYTES = 1
        config = CorpusConfig(
            corpus=str(shards(folder / "corpus", texts)),
            tokenizer="gpt2",
            validation_share=0.005,
            explain_share=0.01,
            score_share=0.01,
        )
        times = []
        for workers in (1, 2):
            out, engine = folder / f"out-{workers}", EngineConfig(workers=workers)
            times.append(seconds(lambda out=out, engine=engine: tokenize(config, out, quiet, engine)))
        one, two = times
        print("8 shards of 16 MB, from the files to the finished folder:")
        print(f"1 worker {one:.1f} s, 2 workers {two:.1f} s, {one / two:.2f} times as fast")


if __name__ == "__main__":
    main()
