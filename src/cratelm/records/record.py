"""The record stage: a model and held-out text in, excerpts and statistics of every unit of every site out.

Two passes over the text, all sites at once. The first keeps maxima, sums and positions only, so that memory depends
on the number of units and not of tokens; the second computes everything again, in the very batches of the first, and
keeps the chosen excerpts' activations. The work is cut into shards that share nothing (tiling.py); what they found is
put together in their order, so the bytes depend on the text alone, not on how many processes worked.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist

from cratelm.artifacts import Artifact, Stage, run_stage, write_json
from cratelm.errors import InputError, RunError
from cratelm.loading import SPREAD
from cratelm.models.devices import find_device
from cratelm.models.subject import model_folder
from cratelm.progress import Bar, Progress
from cratelm.protocols import PROTOCOLS
from cratelm.records.config import RecordConfig
from cratelm.records.context_pass import ContextPass
from cratelm.records.distributed import run_on_ranks
from cratelm.records.recording import SIGNS, Pass, Recording, Step, forget_recording
from cratelm.records.shares import paired_tokens
from cratelm.records.store import SCHEMA
from cratelm.records.tiling import Half
from cratelm.records.write_context import write_context
from cratelm.records.write_logits import write_logits
from cratelm.shards.config import EngineConfig
from cratelm.shards.run import require_engine, run_shards

RECORDS = Stage(
    "records",
    files=(
        "layer-[0-9]*.parquet",
        "units.parquet",
        "logits.parquet",
        "tables-*.safetensors",
        "ngrams-*.safetensors",
        "text-*.parquet",
        "context.parquet",
        "context.json",
        "tokenizer.json",
        "records.json",
    ),
    scratch=("shards/*",),
    kept=("shards/first-*", "shards/second-*", "shards/context-*"),
)


def record(
    config: RecordConfig,
    model: Artifact,
    tokens: Artifact,
    out: Path,
    progress: Progress,
    engine: EngineConfig | None = None,
    device: str = "auto",
) -> Artifact:
    """Make the records of `model` on the held-out sides of `tokens` in `out`, with the model on `device`."""
    engine = engine or EngineConfig()
    inputs = {"model": model, "tokens": tokens}

    def work(folder: Path) -> None:
        try:
            _record(config, model, tokens, folder, progress, engine, device)
        finally:
            forget_recording()

    return run_stage(out, RECORDS, config, inputs, work, lambda: _require_ready(config, engine, device))


def _require_ready(config: RecordConfig, engine: EngineConfig, device: str) -> None:
    require_engine(engine)
    find_device(device)
    if config.logits and device in (SPREAD, "mps"):
        raise InputError(
            f"--logits reads the weights themselves, in float64. --device {SPREAD} may leave them on the disk, and mps "
            "has no float64: leave --logits out, or give another device."
        )


def _record(
    config: RecordConfig,
    model: Artifact,
    tokens: Artifact,
    folder: Path,
    progress: Progress,
    engine: EngineConfig,
    device: str,
) -> None:
    shards = folder / "shards"
    if (folder / "records.json").is_file():  # written when all else is whole; the last run died while tidying up
        shutil.rmtree(shards, ignore_errors=True)
        return
    shards.mkdir(exist_ok=True)
    given = (config, model_folder(model), tokens.path, shards, device)
    recording = Step(*given).recording
    with progress.task(f"looking at the sites of {model.name}"):
        recording.require_sense()
    _keep_signs(recording, shards / SIGNS, progress)
    name, log = model.name, folder / "log"
    steps = recording.steps
    _run_pass(steps.first(*given), f"recording {name}, first pass", engine, log / "first", progress)
    chooser = steps.choose(*given)
    if not (shards / "planned").is_file():
        with progress.task(f"choosing excerpts of {name}"):
            chooser.write()
        (shards / "planned").touch()
    _run_pass(steps.second(*given), f"recording {name}, second pass", engine, log / "second", progress)
    if steps.context is not None:
        _measure_context(steps.context(*given), name, folder, engine, progress)
    with progress.task(f"writing the records of {name}"):
        not_finite = steps.assemble(*given).write_store(folder)
        shutil.copyfile(tokens.path / "tokenizer.json", folder / "tokenizer.json")
    if config.logits:
        with progress.task(f"the tokens that units of {name} raise and lower"):
            unknown = write_logits(folder, recording, config.logits)
        if unknown:
            progress.say(f"what units write is not known at {', '.join(unknown)}: no logits of theirs are kept.")
    _tell_not_finite(recording, not_finite, progress)
    write_json(folder / "records.json", _summary(recording, model, not_finite))
    shutil.rmtree(shards)


def _keep_signs(recording: Recording, path: Path, progress: Progress) -> None:
    """Write which sites the text showed to be signed, for all processes of the passes, and tell it."""
    seen = {site.name: site for site in recording.sites if site.signs == "seen"}
    write_json(path, {name: site.signed for name, site in seen.items()})
    for name, site in seen.items():
        found = "is negative in this text: two units a coordinate" if site.signed else "is never negative in this text"
        progress.say(f"{name} {found}, {site.units} units. Its class does not tell.")


def _measure_context(work: ContextPass, name: str, folder: Path, engine: EngineConfig, progress: Progress) -> None:
    """Write how much of each unit its last tokens tell."""
    _run_pass(work, f"recording {name}, less context", engine, folder / "log" / "context", progress)
    if not work.told:
        progress.say(f"{name} takes no positions: an input of the last k tokens is read as a text of its own, from 0.")
    write_context(work, folder)


def _run_pass(work: Pass, description: str, engine: EngineConfig, log: Path, progress: Progress) -> None:
    sizes = work.sizes
    for ticks in work.folder.glob("ticks-*"):
        ticks.unlink()
    left = [number for number in range(len(sizes)) if not work.result(number).is_file()]
    batches = sum(sizes[number] for number in left)
    with progress.task(description, total=batches) as bar, _watched(work, bar):
        if dist.is_initialized():
            run_on_ranks(work, left)
        else:
            run_shards(work, range(len(sizes)), engine, log, progress.say)


@contextmanager
def _watched(work: Pass, bar: Bar) -> Iterator[None]:
    """Show how far the shards are, whichever process works on them."""
    done = threading.Event()

    def watch() -> None:
        seen = 0
        while not done.wait(0.5):
            now = sum(ticks.stat().st_size for ticks in work.folder.glob("ticks-*"))
            bar.advance(now - seen)
            seen = now

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _tell_not_finite(recording: Recording, not_finite: list[int], progress: Progress) -> None:
    if sum(not_finite) == sum(site.units for site in recording.sites):
        raise RunError("no unit's activations are finite: the model is damaged. Train it again.")
    for site, count in zip(recording.sites, not_finite, strict=True):
        if count:
            progress.say(f"{count} of {site.units} units at {site.name} are NaN or infinite somewhere: set aside.")


def _summary(recording: Recording, model: Artifact, not_finite: list[int]) -> dict:
    return {
        "schema": SCHEMA,
        "protocol": recording.config.protocol,
        "model": model.name,
        **model.origin,
        "vocabulary": recording.vocabulary,
        "sites": [
            {
                "layer": layer,
                "site": site.name,
                "units": site.units,
                "signed": site.signed,
                "signs": site.signs,
                "not_finite": count,
            }
            for layer, (site, count) in enumerate(zip(recording.sites, not_finite, strict=True))
        ],
        "halves": {half.name: _counts(half, recording) for half in recording.halves.values()},
    }


def _counts(half: Half, recording: Recording) -> dict[str, int | dict[str, int]]:
    paired = PROTOCOLS[recording.config.protocol].tables
    return {
        "documents": len(half.side.ends),
        "contexts": len(half.contexts.start),
        "longest": int(half.contexts.length.max()),
        "excerpts": {str(length): tiling.count for length, tiling in half.tilings.items()},
        "tokens": int(half.contexts.length.sum()),
        "dropped_tokens": half.contexts.dropped,
        **({"paired_tokens": paired_tokens(half, recording.vocabulary)} if paired else {}),
    }
