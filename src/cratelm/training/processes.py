"""Which process of a distributed run this is, and what the processes agree on. One process is a run of its own."""

import os
import subprocess

import torch
import torch.distributed as dist
from accelerate import PartialState

from cratelm.errors import RunError

FIRST_PORT, PORTS = 20_000, 10_000
"""The processes that srun started meet at a port of their job's own, unless MASTER_PORT says otherwise: jobs share
nodes."""


def join_slurm() -> None:
    """Take this process's place from Slurm, where srun started several and no other launcher did.

    torchrun and accelerate name the places in the environment; srun leaves that to whom it starts.
    """
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks == 1 or "RANK" in os.environ:
        return
    os.environ |= {
        "RANK": os.environ["SLURM_PROCID"],
        "LOCAL_RANK": os.environ["SLURM_LOCALID"],
        "WORLD_SIZE": str(tasks),
    }
    os.environ.setdefault("MASTER_PORT", str(FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS))
    if "MASTER_ADDR" not in os.environ:
        os.environ["MASTER_ADDR"] = _first_host(os.environ["SLURM_STEP_NODELIST"])


def _first_host(nodes: str) -> str:
    """The first of Slurm's list of nodes, such as `gpu[03-06]`, which scontrol can read."""
    try:
        listed = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RunError(f"scontrol cannot say which hosts {nodes} are ({error}). Set MASTER_ADDR to one.") from error
    return listed.stdout.split()[0]


def rank() -> int:
    """This process's number: 0 writes what is shared."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes() -> PartialState:
    """The group of them, joined at the first call: gloo on CPUs, NCCL on GPUs."""
    return PartialState(cpu=not torch.cuda.is_available())


def mean_over_processes(value: float) -> float:
    """The mean of a number that each process has; all of them have to ask."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=processes().device)
    dist.all_reduce(total)
    return total.item() / world_size()


def any_process(flag: bool) -> bool:
    """Whether any process says yes; all of them have to ask, and all get the same answer."""
    return mean_over_processes(float(flag)) > 0
