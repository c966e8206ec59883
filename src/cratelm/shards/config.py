"""Which engine makes the shards."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cratelm.ranges import Configuration, whole


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Configuration):
    """Where the shards are made. Nothing that is written depends on it."""

    engine: Literal["local", "slurm", "ray"] = "local"
    """What runs the work: this machine, a Slurm cluster, or a Ray cluster."""
    workers: Annotated[int, whole(1, 10_000)] = 1
    """How many pieces of the work (shards) run at the same time."""
    partition: str = ""
    """With --engine slurm: the partition; by default the cluster's own."""
    time: str = ""
    """With --engine slurm: the time limit of one shard, such as 2:00:00; by default the partition's."""
