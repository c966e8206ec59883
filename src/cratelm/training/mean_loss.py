"""The training loss between two logged steps, which a checkpoint between them keeps.

The Trainer begins its own sum anew where it goes on from a checkpoint, so after a stop between two logged steps its
next figure would be the mean of fewer steps, and the loss curve another one than that of a run without a stop.
"""

from pathlib import Path

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cratelm.artifacts import read_json, write_json
from cratelm.training.processes import mean_over_processes

FILE = "mean_loss.json"


class MeanLoss(TrainerCallback):
    """Adds up the losses of the steps since the last logged one. Comes before the callback that commits."""

    def __init__(self, resumed: Path | None):
        saved = read_json(resumed / FILE) if resumed else {"total": 0.0, "steps": 0}
        self.total, self.steps = saved["total"], saved["steps"]

    def add(self, loss: torch.Tensor) -> None:
        """What one pass adds to its step's loss."""
        self.total += loss.item()

    def on_step_end(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """One step more."""
        self.steps += 1

    def take(self) -> float:
        """The mean over the steps and processes; the sum then begins anew."""
        mean = mean_over_processes(self.total / self.steps)
        self.total, self.steps = 0.0, 0
        return mean

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """The sum, into the checkpoint: each process goes on from the mean of all."""
        total = mean_over_processes(self.total)
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            write_json(folder / FILE, {"total": total, "steps": self.steps})
