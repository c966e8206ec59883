"""What recording writes to the disk: python benchmarks/record_bytes.py [TOKENS]

The record stage of a study of the preset `laptop`, of its two models with random weights, by default on all its
held-out text (some 420,000 tokens a half). Printed for each model: bytes that the process handed to the system
(`wchar` of /proc/self/io), bytes that became due for the disk (`write_bytes`), and both for each byte that is kept. A
study records each model twice, trained and untrained: at most 1 GB in all.
"""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from rich.console import Console

from cratelm.artifacts import Artifact
from cratelm.corpus.tokens import tokenize
from cratelm.models.build import build_model
from cratelm.models.subject import ForeignModel
from cratelm.presets import preset
from cratelm.progress import Progress
from cratelm.records.record import record

COUNTERS = ("wchar", "write_bytes")
QUIET = Progress(Console(quiet=True))


def counted() -> dict[str, int]:
    """What this process has written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines) if name in COUNTERS}


def models(tokens: Artifact, folder: Path) -> dict[str, Path]:
    """The study's models as they are before training."""
    study = preset("laptop")
    for name in study.model_names:
        build_model(name, study.shape, 4096, 0, seed=0).save_pretrained(folder / name)
        (folder / name / "tokenizer.json").write_bytes((tokens.path / "tokenizer.json").read_bytes())
    return {name: folder / name for name in study.model_names}


def measure(name: str, model: Path, tokens: Artifact, count: int | None, out: Path) -> int:
    """Print what recording one model writes; gives the bytes that became due for the disk."""
    before = counted()
    records = record(replace(preset("laptop").records, tokens=count), ForeignModel(model, {}), tokens, out, QUIET)
    written = {counter: value - before[counter] for counter, value in counted().items()}
    kept = sum(file.stat().st_size for file in records.path.rglob("*") if file.is_file())
    shown = ", ".join(
        f"{counter} {value / 1e6:.0f} MB, {value / kept:.1f} a kept byte" for counter, value in written.items()
    )
    print(f"{name}: {kept / 1e6:.0f} MB kept; {shown}", flush=True)
    return written["write_bytes"]


def main(count: int | None = None) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        tokens = tokenize(preset("laptop").corpus, folder / "tokens", QUIET)
        each = models(tokens, folder)
        written = [measure(name, model, tokens, count, folder / f"{name}-records") for name, model in each.items()]
        print(f"a study, which records each of them twice: {2 * sum(written) / 1e9:.2f} GB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
