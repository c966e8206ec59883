"""A stage's shards on an existing engine, datatrove's executors: this machine, Slurm, Ray.

What a shard is never depends on the engine or on the number of workers, so neither do the bytes. A shard that was
done is not made again; one whose worker was killed is.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from cratelm.errors import InputError, RunError
from cratelm.ranges import Configuration, whole


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Configuration):
    """Where the shards are made. Nothing that is written depends on it."""

    engine: Literal["local", "slurm", "ray"] = "local"
    """This machine, a Slurm cluster, or a Ray cluster."""
    workers: Annotated[int, whole(1, 10_000)] = 1
    """Shards made at the same time."""
    partition: str = ""
    """Slurm's partition."""
    time: str = "24:00:00"
    """Slurm's limit for one shard."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.engine == "slurm" and not self.partition:
            raise InputError("the engine slurm needs --partition.")


@dataclass(frozen=True)
class _Shard:
    """A picklable step of a datatrove pipeline."""

    work: Callable[[int], None]
    quiet: bool

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A worker process begins by unpickling its work, before datatrove says anything."""
        self.__dict__.update(state)
        if self.quiet:
            _silence()

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        self.work(rank)


def require_engine(engine: EngineConfig) -> None:
    """Refuse an engine that this machine does not have; raises InputError."""
    if engine.engine == "slurm" and shutil.which("sbatch") is None:
        raise InputError("the engine slurm needs sbatch, and there is none here: run this on the cluster's login node.")
    if engine.engine == "ray" and find_spec("ray") is None:
        raise InputError("the engine ray needs a package: pip install ray.")


def run_shards(work: Callable[[int], None], shards: int, engine: EngineConfig, log: Path) -> None:
    """Call `work` with every number below `shards`; `log` remembers which are done.

    `work` has to be picklable. Raises RunError where an engine has shards still under way, to be asked again.
    """
    if engine.engine == "local" and engine.workers == 1:
        _run_here(work, shards, log / "completions")
        return
    quiet = engine.engine == "local"  # elsewhere datatrove's log files are what tells what went wrong
    if quiet:
        _silence()
    executor = _executor(_Shard(work, quiet), shards, engine, log)
    executor.run()
    missing = len(executor.get_incomplete_ranks(skip_completed=True))
    if missing:
        raise RunError(
            f"{missing} of {shards} shards are not made yet by {engine.engine}. "
            f"Run the same command again when its jobs are done; their logs are in {log}."
        )


def _run_here(work: Callable[[int], None], shards: int, done: Path) -> None:
    """One after another in this process, which may itself be an engine's worker and have none of its own.

    What is done is marked as datatrove marks it, so that any engine can go on.
    """
    done.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        mark = done / f"{shard:05d}"
        if not mark.is_file():
            work(shard)
            mark.touch()


def _executor(step: _Shard, shards: int, engine: EngineConfig, log: Path):
    common: dict[str, Any] = {"pipeline": [step], "tasks": shards, "workers": engine.workers, "logging_dir": str(log)}
    if engine.engine == "slurm":
        from datatrove.executor.slurm import SlurmPipelineExecutor

        return SlurmPipelineExecutor(**common, partition=engine.partition, time=engine.time, job_name="cratelm")
    if engine.engine == "ray":
        from datatrove.executor.ray import RayPipelineExecutor

        return RayPipelineExecutor(**common)
    from datatrove.executor.local import LocalPipelineExecutor
    from multiprocess.context import ForkServerContext

    # Imports take a worker seconds: workers are forked from a process that has imported what the first work needs.
    ForkServerContext().set_forkserver_preload([type(step.work).__module__])
    return LocalPipelineExecutor(**common)


def _silence() -> None:
    """Keep datatrove's log off the terminal, which is ours."""
    from loguru import logger

    logger.disable("datatrove")
