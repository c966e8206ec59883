"""What one task of a Slurm job array runs: `python -m cratelm.shards.task JOB`, which makes one shard of a pickled job.

What goes wrong is pickled next to the job, for the command that waits to raise.
"""

import os
import pickle
import sys
import traceback
from pathlib import Path

from cratelm.shards.job import Job


def answer_path(job: Path, shard: int) -> Path:
    """Where a task writes why it could not make a shard."""
    return job.with_name(f"{job.stem}-{shard}.error")


def main() -> None:
    """Make the shard of this task. Exit status 1 where it failed."""
    path = Path(sys.argv[1])
    job: Job = pickle.loads(path.read_bytes())
    shard = job.shards[int(os.environ["SLURM_ARRAY_TASK_ID"])]
    error = job.attempt(shard)
    if error is not None:
        answer_path(path, shard).write_bytes(pickle.dumps(error))
        traceback.print_exception(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
