"""Checkpoints that are whole or ignored.

The Trainer writes files straight into `checkpoint-N` and takes the highest N on resuming, whole or not. Here a
checkpoint counts only once `COMMITTED.json`, written last, lists every file's size and hash and names the run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cratelm.artifacts import hash_file, read_json, write_json
from cratelm.errors import InputError, RunError
from cratelm.progress import Progress
from cratelm.stages import IDENTITY
from cratelm.training.processes import processes

COMMIT = "COMMITTED.json"


class CommitCheckpoints(TrainerCallback):
    """Commits each checkpoint of a run when the Trainer has written it."""

    def __init__(self, run: str):
        self.run = run

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Flush the files to the disk, then write the list that makes them count, when every process has its own."""
        processes().wait_for_everyone()
        if not state.is_world_process_zero:
            return
        commit(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}", self.run)


def name_of_run(stage: Path) -> str:
    """What tells a run's checkpoints from any other's: the hash of its settings and inputs in a stage's folder."""
    return hash_file(stage / IDENTITY)


def commit(checkpoint: Path, run: str) -> None:
    """Write a checkpoint's list of files and hashes, and the run that it is of."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMMIT)
    for file in files:
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    listed = {file.relative_to(checkpoint).as_posix(): [file.stat().st_size, hash_file(file)] for file in files}
    write_json(checkpoint / COMMIT, {"run": run, "files": listed})


def damage(checkpoint: Path, run: str) -> str | None:
    """What is wrong with a checkpoint for this run, or None."""
    if not (checkpoint / COMMIT).is_file():
        return "was never finished"
    try:
        committed = read_json(checkpoint / COMMIT)
        theirs, listed = committed["run"], committed["files"]
    except (InputError, KeyError, TypeError):
        return f"has a damaged {COMMIT}"
    if theirs != run:
        return "is of another run"
    for name, (size, digest) in listed.items():
        file = checkpoint / name
        if not file.is_file() or file.stat().st_size != size or hash_file(file) != digest:
            return f"has a missing or damaged {name}"
    return None


@contextmanager
def tensors_alone(resumed: Path | None) -> Iterator[None]:
    """torch reads a checkpoint's tensors alone, and refuses whatever else a file asks it to make: a RunError."""
    try:
        yield
    except UnpicklingError as error:
        raise RunError(
            f"a file in {resumed} asks for more than tensors (it could run code), and was not loaded. "
            "Remove that folder, and run the same command again to go on from an earlier checkpoint."
        ) from error


def newest_committed(folder: Path, run: str, progress: Progress) -> Path | None:
    """The run's newest whole checkpoint in `folder`; the others found on the way are renamed aside and said."""
    checkpoints = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    for checkpoint in sorted(checkpoints, key=lambda path: -int(path.name.removeprefix("checkpoint-"))):
        wrong = damage(checkpoint, run)
        if wrong is None:
            return checkpoint
        progress.say(f"{checkpoint.name} {wrong}: set aside, going on from an earlier one.")
        checkpoint.rename(checkpoint.with_name(f"damaged-{checkpoint.name}-{os.getpid()}"))
    return None
