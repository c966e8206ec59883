"""The speed and memory of recording: python benchmarks/records.py speed|memory|official|unit [TOKENS]

speed     Recording against one bare forward pass over the same text, neither with the LM head: both passes at 45% of
          its speed or more (50% is the limit of two passes), with planning and writing at 40%; for CRATE-2L and for 12
          layers of 3,072 units (by default on 60,000 and 10,000 tokens a half).
memory    A process that records against one that only runs the model, 12 x 3,072 units: at most 300 MB more, and no
          more at ten times the tokens.
official  The published procedure written plainly (all activations kept, each unit's column sorted, one run a layer)
          against ours, CRATE-2L: at least twice as fast, with a twentieth of the memory.
unit      All excerpts of one unit out of a file that is not in the page cache: under 20 ms.

Weights are random, text is the film reviews cut by GPT-2's tokenizer. Each measurement is a process of its own, on one
thread; seconds are the processor's, so that other work on the machine changes them little.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from rich.console import Console

from cratelm.artifacts import Artifact, open_artifact
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.contexts import context_tokens
from cratelm.corpus.tokens import tokenize
from cratelm.models.build import build_model
from cratelm.progress import Progress
from cratelm.records.assemble import Assembler
from cratelm.records.choose_excerpts import Planner
from cratelm.records.config import RecordConfig
from cratelm.records.one_unit import read_groups
from cratelm.records.pass1_statistics import FirstPass
from cratelm.records.pass2_excerpts import SecondPass
from cratelm.records.recording import Recording
from cratelm.records.tiling import Shard
from cratelm.shapes import ShapeConfig
from cratelm.units.sites import at_sites

SHAPES = {
    "2L": ShapeConfig(layers=2, width=128, heads=4, context=1024),
    "12x3072": ShapeConfig(layers=12, width=768, heads=12, context=1024),
}
TOKENS = {"2L": 60_000, "12x3072": 10_000}
GROWTH = (60_000, 180_000, 600_000, 1_800_000)
"""Tokens a half, of which a little more than a tenth are at documents' ends, in no excerpt."""


def prepare(folder: Path) -> None:
    """The tokens, and a random model of each shape."""
    shares = {"explain_share": 0.35, "score_share": 0.35}
    tokens = tokenize(CorpusConfig(tokenizer="gpt2", **shares), folder / "tokens", Progress(Console(quiet=True)))
    for name, shape in SHAPES.items():
        build_model("crate", shape, 50257, 50256, seed=0).save_pretrained(folder / name)
        shutil.copyfile(tokens.path / "tokenizer.json", folder / name / "tokenizer.json")


def opened(folder: Path, shape: str, tokens: int) -> tuple[RecordConfig, Path, Path, Path]:
    """What a step of recording is made of."""
    shards = folder / "shards"
    shutil.rmtree(shards, ignore_errors=True)
    shards.mkdir()
    return RecordConfig(tokens=tokens), folder / shape, folder / "tokens", shards


def forward(recording: Recording) -> float:
    """Seconds of the model alone over all batches of both halves."""
    began = time.process_time()
    for shard in recording.shards:
        for batch in shard.batches:
            read(recording, shard, batch)
    return time.process_time() - began


def forward_once(recording: Recording) -> None:
    """The model alone over the largest batch, which is what its memory depends on."""
    batches = [(shard, batch) for shard in recording.shards for batch in shard.batches]
    read(recording, *max(batches, key=lambda found: len(found[1]) * found[0].half.contexts.length[found[1][0]]))


@torch.inference_mode()
def read(recording: Recording, shard: Shard, batch: np.ndarray) -> None:
    """The model alone over a batch."""
    tokens = torch.from_numpy(context_tokens(shard.half.side, shard.half.contexts, batch))
    recording.network.base_model(input_ids=tokens, use_cache=False)


def record_times(given: tuple[RecordConfig, Path, Path, Path]) -> dict[str, float]:
    """Seconds of each part of a recording."""
    times = {}
    numbers = range(len(FirstPass(*given).recording.shards))
    parts = {
        "first": lambda: [FirstPass(*given)(number) for number in numbers],
        "plan": lambda: Planner(*given).write(),
        "second": lambda: [SecondPass(*given)(number) for number in numbers],
        "write": lambda: Assembler(*given).write_store(given[3]),
    }
    for name, part in parts.items():
        began = time.process_time()
        part()
        times[name] = time.process_time() - began
    return times


@torch.inference_mode()
def official(recording: Recording) -> float:
    """Seconds of keeping all activations of a layer, sorting each unit's column and cutting windows, layer by layer."""
    began = time.process_time()
    for site in recording.sites:
        kept: list[torch.Tensor] = []
        with at_sites(recording.network, [site.name], lambda name, output, kept=kept: kept.append(output.clone())):
            forward(recording)
        flat = torch.cat([part.flatten(0, 1) for part in kept])  # (tokens, units)
        for unit in range(flat.shape[1]):
            column = flat[:, unit]
            order = torch.argsort(column, descending=True)
            drawn = np.random.default_rng(unit).integers(32, len(column) - 32, 50)
            for position in [*order[:50].tolist(), *drawn]:
                column[max(0, position - 32) : position + 32].tolist()
    return time.process_time() - began


def one(folder: str, what: str, shape: str, tokens: str) -> None:
    """What a process of its own measures, as JSON."""
    given = opened(Path(folder), shape, int(tokens))
    recording = FirstPass(*given).recording
    recording.require_sense()
    found: dict = {"tokens": sum(int(half.contexts.length.sum()) for half in recording.halves.values())}
    if what in ("forward", "both"):
        forward(recording)  # the first pass over anything is slower
        found["forward"] = forward(recording)
    if what == "bare":
        forward_once(recording)
    if what in ("record", "both"):
        found |= record_times(given)
    if what == "both":  # before and after, so that a machine that slows down is seen
        found["forward again"] = forward(recording)
    if what == "official":
        found["official"] = official(recording)
    found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps(found))


def measure(folder: Path, what: str, shape: str, tokens: int) -> dict:
    """The same in a new process."""
    command = [sys.executable, __file__, "one", str(folder), what, shape, str(tokens)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def speed(folder: Path, tokens: int | None) -> None:
    """Passes against the bare forward pass."""
    for shape in SHAPES:
        found = measure(folder, "both", shape, tokens or TOKENS[shape])
        bare = (found["forward"] + found["forward again"]) / 2
        passes = found["first"] + found["second"]
        parts = ", ".join(f"{name} {found[name]:.1f}" for name in ("first", "plan", "second", "write"))
        print(
            f"{shape}, {found['tokens']:,} tokens: forward {found['forward']:.1f} and {found['forward again']:.1f} s; "
            f"{parts} s; passes at {bare / passes:.0%} of the forward pass's speed, all of it at "
            f"{bare / (passes + found['plan'] + found['write']):.0%}"
        )


def memory(folder: Path, tokens: int | None) -> None:
    """What recording takes above the model and its batch."""
    for count in (tokens or 10_000, 10 * (tokens or 10_000)):
        bare, ours = (measure(folder, what, "12x3072", count)["peak_gb"] for what in ("bare", "record"))
        print(
            f"12x3072, {count:,} tokens a half: {bare:.2f} GB bare, {ours:.2f} GB recording: {ours - bare:.2f} GB more"
        )


def compare(folder: Path, tokens: int | None) -> None:
    """Ours against the published procedure, as the text grows."""
    for count in [tokens] if tokens else GROWTH:
        theirs, ours, bare = (measure(folder, what, "2L", count) for what in ("official", "record", "bare"))
        mine = sum(ours[name] for name in ("first", "plan", "second", "write"))
        extra = [found["peak_gb"] - bare["peak_gb"] for found in (theirs, ours)]
        print(
            f"2L, {ours['tokens']:,} tokens: official {theirs['official']:.1f} s, ours {mine:.1f} s, "
            f"{theirs['official'] / mine:.1f} times as fast; above the model {extra[0]:.2f} against {extra[1]:.2f} GB",
            flush=True,
        )


def unit(records: str) -> None:
    """Units of a recording, each from a file that the page cache has forgotten."""
    artifact = Artifact(Path(records), {}) if not (Path(records) / "manifest.json").is_file() else None
    artifact = artifact or open_artifact(Path(records), "records")
    path, waited, worked = artifact.path / "layer-0.parquet", [], []
    read_groups(artifact, 0, 0)
    for number in range(20):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began, began_work = time.perf_counter(), time.process_time()
        read_groups(artifact, 0, 37 * number % 512)
        waited.append(time.perf_counter() - began)
        worked.append(time.process_time() - began_work)
    middle, least, work = (1e3 * value for value in (sorted(waited)[10], min(waited), sorted(worked)[10]))
    print(
        f"one unit from a cold file of {path.stat().st_size / 1e6:.0f} MB, 20 times: median {middle:.1f} ms, least "
        f"{least:.1f} ms; the processor's time {work:.1f} ms"
    )


def main(name: str, tokens: int | None = None) -> None:
    """Print one of the figures."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        {"speed": speed, "memory": memory, "official": compare}[name](Path(folder), tokens)


if __name__ == "__main__":
    if sys.argv[1] in ("one", "unit"):
        globals()[sys.argv[1]](*sys.argv[2:])
    else:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
