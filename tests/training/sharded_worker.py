"""One process of a training whose weights are shared out: python sharded_worker.py TOKENS OUT [STEP], under torchrun.

accelerate shares weights out on GPUs alone. Here it is told that gloo's processes are such, so that all that follows
is the real thing: its FSDP2 groups, the Trainer's checkpoints of them, and the whole model at the end.
"""

import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from cratelm.training import fit, ready, sharding
from tests.training import training_runs

begin = AcceleratorState.__init__


def begin_sharded(self, *arguments, fsdp_plugin=None, **kwargs) -> None:
    """What accelerate does for MULTI_GPU."""
    begin(self, *arguments, fsdp_plugin=fsdp_plugin, **kwargs)
    self.fsdp_plugin = fsdp_plugin or self.__dict__.get("fsdp_plugin")
    if self.fsdp_plugin is not None:
        self.distributed_type = DistributedType.FSDP


CONFIG = replace(training_runs.CONFIG, training=replace(training_runs.TRAINING, sharded=True, snapshots="0.5"))


def stop(self, args, state, control, **kwargs) -> None:
    """End the process behind the step that was asked for."""
    if len(sys.argv) > 3 and state.global_step == int(sys.argv[3]):
        sys.exit("stopped")


if __name__ == "__main__":
    with (
        patch.object(AcceleratorState, "__init__", begin_sharded),
        patch.object(ready, "sharding_arguments", lambda recipe: sharding.FSDP),
        patch.object(fit, "sharding_arguments", lambda recipe: sharding.FSDP),
        patch.object(fit.CommitInTime, "on_step_end", stop),
    ):
        training_runs.run(Path(sys.argv[1]), Path(sys.argv[2]), CONFIG)
