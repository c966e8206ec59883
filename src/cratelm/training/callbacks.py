"""What the Trainer calls between steps: a stop at a bad gradient, and the progress line."""

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState

from cratelm.errors import RunError
from cratelm.progress import Bar


class StopAtBadGradient(TrainerCallback):
    """Raises RunError where a gradient is not finite, before the optimizer uses it."""

    def on_pre_optimizer_step(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Clipping spreads one NaN over all gradients, so their total norm tells."""
        gradients = [parameter.grad for parameter in kwargs["model"].parameters() if parameter.grad is not None]
        require_finite(nn.utils.get_total_norm(gradients), "a gradient", state.global_step)


class ShowProgress(TrainerCallback):
    """Steps, speed and loss on the progress line."""

    def __init__(self, bar: Bar, batch_tokens: int):
        self.bar, self.batch_tokens = bar, batch_tokens
        self.loss = ""

    def on_log(self, args, state: TrainerState, control: TrainerControl, logs: dict | None = None, **kwargs) -> None:
        """Keep the newest training loss."""
        if logs and "loss" in logs:
            self.loss = f"loss {logs['loss']:.3f}"

    def on_step_end(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """One step on."""
        self.bar.advance(1, self.loss, self.batch_tokens)


def require_finite(value: torch.Tensor, what: str, step: int) -> None:
    """Raise RunError, saying what to do, where a loss or a norm is not finite."""
    if not torch.isfinite(value):
        raise RunError(
            f"{what} was not finite at step {step + 1}, so training stopped before the optimizer's step. "
            "The last checkpoint is kept. Lower --training.learning-rate, or set --training.precision fp32."
        )
