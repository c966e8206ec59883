"""The engine `ray`: tasks of a Ray cluster that is running already."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from cratelm.errors import InputError, RunError, first_line
from cratelm.shards.config import EngineConfig
from cratelm.shards.job import Job, Tell, left

RETRIES = 3
"""How often Ray makes a shard again whose worker or node died."""


def require_ray(engine: EngineConfig, threads: int | None) -> None:
    """Join the cluster. Raises InputError where there is none, or none of its nodes has the processors."""
    if find_spec("ray") is None:
        raise InputError("the engine ray needs a package: pip install 'cratelm[ray]'.")
    ray = _joined()
    largest = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if largest < (threads or 1):
        raise InputError(
            f"a shard computes on {threads} threads, and no node of the Ray cluster has more than {largest:.0f} "
            f"processors. Set OMP_NUM_THREADS={max(1, int(largest))} or less."
        )


def _joined() -> Any:
    ray = import_module("ray")
    if not ray.is_initialized():
        try:
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"no Ray cluster answers ({first_line(error)}). Start one by `ray start --head`, or set RAY_ADDRESS."
            ) from error
    return ray


def run_ray(job: Job, engine: EngineConfig, tell: Tell) -> None:
    """Make the job's missing shards. Raises what a shard raised, and RunError where its workers died."""
    ray = _joined()
    attempt = ray.remote(_attempt).options(num_cpus=job.threads or 1, max_retries=RETRIES)
    given = ray.put(job)
    todo, busy = job.missing(), {}
    try:
        while todo or busy:
            while todo and len(busy) < engine.workers:
                shard = todo.pop(0)
                busy[attempt.remote(given, shard)] = shard
            (done, *_), _ = ray.wait(list(busy))
            shard = busy.pop(done)
            error = _answer(ray, done, shard, job)
            if error is not None:
                raise error
    finally:
        for task in busy:
            ray.cancel(task, force=True)


def _attempt(job: Job, shard: int) -> Exception | None:
    return job.attempt(shard)


def _answer(ray: Any, task: Any, shard: int, job: Job) -> Exception | None:
    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        said = first_line(error).rstrip(".")
        raise RunError(f"Ray could not make shard {shard} ({said}). {left(job)}.") from error
