"""The engine `slurm`: a job array, a task a shard. The command hands it in and waits for it.

Jobs outlive a command that is killed or loses its terminal. Their name tells whose they are, so the same command finds
them and waits for them instead of handing them in twice. Ctrl-C cancels them.
"""

import dataclasses
import hashlib
import pickle
import shlex
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cratelm.errors import InputError, RunError
from cratelm.shards.config import EngineConfig
from cratelm.shards.job import Job, Tell, left
from cratelm.shards.task import answer_path

ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "STAGE_OUT"}
"""States of a task that is going to end, or to run; squeue knows the others as well, for some minutes."""
NEVER = {"PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "InvalidAccount", "InvalidQOS"}
"""Reasons for which a task waits until somebody changes the job."""
FIRST_POLL, LAST_POLL = 1.0, 15.0
"""Seconds between two looks at the queue: soon at first, then as seldom as administrators like it."""
DISK_DELAY = 10.0
"""Seconds within which a shared disk shows a file that another node wrote."""


def require_slurm(engine: EngineConfig, threads: int | None) -> None:
    """Ask Slurm whether it takes such a job. Raises InputError with what it says."""
    try:
        asked = _call("sbatch", "--test-only", *_options(engine, threads), "--wrap", "true")
    except FileNotFoundError as error:
        raise InputError(
            "the engine slurm needs sbatch, and there is none here: run this on the cluster's login node."
        ) from error
    if asked.returncode:
        raise InputError(f"Slurm refuses the job: {_said(asked)} `sinfo` lists what the cluster has.")


def run_slurm(job: Job, engine: EngineConfig, tell: Tell) -> None:
    """Make the job's missing shards. Raises what a shard raised, RunError where a task died or was ended, and
    InputError where Slurm would never start the job as it was asked for."""
    name = _name(job)
    try:
        for before in sorted({task.job for task in _queue(name) if task.active}):
            tell(f"Slurm job {before} of an earlier command is still under way.")
            _wait(name, before, tell)
        while todo := job.missing():
            _run_array(job, todo[: _longest_array()], name, engine, tell)
    except Exception:
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        _cancel(name)
        raise


def _run_array(job: Job, shards: list[int], name: str, engine: EngineConfig, tell: Tell) -> None:
    path = _write(dataclasses.replace(job, shards=shards))
    number = _submit(path, len(shards), name, engine, job.threads)
    tell(f"Slurm job {number}: {len(shards)} shards, {engine.workers} at a time. Their logs: {path.parent}.")
    states = _wait(name, number, tell)
    deadline = time.monotonic() + DISK_DELAY
    while failed := [shard for shard in shards if not job.mark(shard).is_file()]:
        answers = [answer_path(path, shard) for shard in failed]
        error = next((pickle.loads(answer.read_bytes()) for answer in answers if answer.is_file()), None)
        if error is not None:
            raise error
        if time.monotonic() > deadline:
            place = shards.index(failed[0])
            log = path.parent / f"{number}_{place}.out"
            state = states.get(place, "PENDING")
            state = "no longer in its queue" if state in ACTIVE else state
            raise RunError(f"Slurm ended shard {failed[0]} ({state}); its log is {log}. {left(job)}.")
        time.sleep(0.5)


def _write(job: Job) -> Path:
    folder = job.log / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{len(list(folder.glob('*.job')))}.job"
    path.write_bytes(pickle.dumps(job))
    return path


def _submit(path: Path, shards: int, name: str, engine: EngineConfig, threads: int | None) -> str:
    script = f"#!/bin/sh\nexec {shlex.join([sys.executable, '-m', 'cratelm.shards.task', str(path)])}\n"
    options = [
        *_options(engine, threads),
        f"--job-name={name}",
        f"--array=0-{shards - 1}%{engine.workers}",
        f"--output={path.parent}/%A_%a.out",
        "--requeue",
        "--open-mode=append",
        "--parsable",
    ]
    asked = _call("sbatch", *options, given=script)
    if asked.returncode:
        raise RunError(f"Slurm refuses the job: {_said(asked)} Run the same command again to go on.")
    return asked.stdout.strip().partition(";")[0]


def _options(engine: EngineConfig, threads: int | None) -> list[str]:
    """What the user said; the rest is the cluster's default or an environment variable that sbatch reads."""
    named = {"partition": engine.partition, "time": engine.time, "cpus-per-task": str(threads or 1)}
    return [f"--{option}={value}" for option, value in named.items() if value]


def _longest_array() -> int:
    """The cluster's limit, which counts from 0."""
    shown = _call("scontrol", "show", "config").stdout
    limits = [line.partition("=")[2] for line in shown.splitlines() if line.startswith("MaxArraySize")]
    return int(limits[0]) if limits else 1000


@dataclass(frozen=True)
class _Task:
    job: str
    place: int | None
    """Its number in the array; None for tasks that have not begun and that squeue puts together."""
    state: str
    reason: str

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


def _queue(name: str) -> list[_Task]:
    """The tasks of our jobs. Raises RunError where Slurm does not answer."""
    asked = _call("squeue", "--me", f"--name={name}", "--noheader", "--array", "--states=all", "--format=%F|%K|%T|%r")
    if asked.returncode:
        raise RunError(f"squeue: {_said(asked)}")
    rows = [line.strip().split("|") for line in asked.stdout.splitlines() if line.strip()]
    return [_Task(job, int(place) if place.isdigit() else None, state, reason) for job, place, state, reason in rows]


def _wait(name: str, number: str, tell: Tell) -> dict[int, str]:
    """Until no task of a job is left in the queue; gives the state in which each ended."""
    states: dict[int, str] = {}
    told, pause = "", FIRST_POLL
    while True:
        try:
            tasks = [task for task in _queue(name) if task.job == number]
        except RunError as silent:  # a controller is restarted now and then, and knows its jobs afterwards
            now = f"{silent} Still asking; the jobs are not affected."
        else:
            states |= {task.place: task.state for task in tasks if task.place is not None}
            if not any(task.active for task in tasks):
                return states
            _require_hope(tasks, name)
            now = f"Slurm job {number}: {_summary(tasks)}"
        if now != told:
            tell(now)
            told = now
        time.sleep(pause)
        pause = min(pause * 1.2, LAST_POLL)


def _require_hope(tasks: list[_Task], name: str) -> None:
    """Cancel a job that asks for what it never gets. Most clusters accept such a job: only its reason to wait tells."""
    reason = next((task.reason for task in tasks if task.active and task.reason in NEVER), None)
    if reason:
        _cancel(name)
        raise InputError(
            f"Slurm would never start the job ({reason}), so it is cancelled. Give another --partition or --time; "
            "`sinfo` lists what the cluster has."
        )


def _cancel(name: str) -> None:
    _call("scancel", "--me", f"--name={name}")


def _summary(tasks: list[_Task]) -> str:
    """How many tasks are in each state, and what those that wait wait for: `1 running, 3 pending (Resources)`."""
    counts = Counter((task.state.lower(), f" ({task.reason})" if task.state == "PENDING" else "") for task in tasks)
    return ", ".join(f"{count} {state}{reason}" for (state, reason), count in sorted(counts.items()))


def _name(job: Job) -> str:
    """The same for the same folder, whichever command asks."""
    return f"cratelm-{hashlib.sha256(str(job.log.resolve()).encode()).hexdigest()[:12]}"


def _call(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=given, capture_output=True, text=True)


def _said(asked: subprocess.CompletedProcess[str]) -> str:
    """The last line of a message, which says the reason, as a sentence."""
    lines = [line for line in asked.stderr.splitlines() if line.strip()] or [f"exit status {asked.returncode}"]
    return lines[-1].rpartition(": ")[2].rstrip(".") + "."
