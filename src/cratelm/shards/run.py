"""A stage's shards, made by the engine that the user named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cratelm.shards.config import EngineConfig
from cratelm.shards.job import Job, Tell
from cratelm.shards.local import require_local, run_local
from cratelm.shards.ray import require_ray, run_ray
from cratelm.shards.slurm import require_slurm, run_slurm
from cratelm.stages import threads


@dataclass(frozen=True)
class Engine:
    """One way to make shards."""

    require: Callable[[EngineConfig, int | None], None]
    """Refuse what this machine or cluster cannot do, before anything is written; raises InputError."""
    run: Callable[[Job, EngineConfig, Tell], None]
    """Make what is missing. Raises what a shard raised, and RunError where a worker died."""


ENGINES = {
    "local": Engine(require_local, run_local),
    "slurm": Engine(require_slurm, run_slurm),
    "ray": Engine(require_ray, run_ray),
}
"""One entry an engine, by the name that the user gives."""


def require_engine(engine: EngineConfig, on_threads: int | None = None) -> None:
    """Refuse an engine that is not there or takes no such job; raises InputError."""
    ENGINES[engine.engine].require(engine, on_threads or threads())


def run_shards(
    work: Callable[[int], None],
    shards: Sequence[int],
    engine: EngineConfig,
    log: Path,
    tell: Tell,
    on_threads: int | None = None,
) -> None:
    """Call `work` with every number among `shards` that `log` does not know as done.

    `work` has to be picklable. A worker computes with `on_threads` threads, or with as many as this process. Raises
    what a shard raised, and RunError where a worker or the cluster failed: the same call then goes on.
    """
    job = Job(work, tuple(shards), log.absolute(), on_threads or threads())
    if job.missing():
        ENGINES[engine.engine].run(job, engine, tell)
