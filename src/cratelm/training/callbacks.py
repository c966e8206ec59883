"""What the Trainer calls between steps: stops, snapshots, logs, the progress line."""

import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Self

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState

from cratelm.errors import RunError
from cratelm.progress import Bar
from cratelm.training.processes import any_process


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


class CommitAtTermination(TrainerCallback):
    """On SIGTERM, as a cluster sends it before it takes a node away, finishes the step, saves once and leaves."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Self:
        # A signal reaches the main thread alone; elsewhere it is somebody else's to handle.
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *error) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.before)
            if self.asked:
                # Saved: now tell the callbacks that asked for it.
                signal.raise_signal(signal.SIGTERM)

    def _ask(self, signal_number: int, frame: FrameType | None) -> None:
        self.asked = True

    def on_step_end(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """The last moment at which all of a step is done. One process that is asked is enough."""
        if any_process(self.asked):
            control.should_save = True
            control.should_training_stop = True


class CommitInTime(TrainerCallback):
    """Saves where the last checkpoint is older than so many minutes, so that a crash costs no more than them."""

    def __init__(self, minutes: float):
        self.seconds, self.saved = 60 * minutes, time.monotonic()

    def on_step_end(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """The processes' clocks need not agree."""
        if any_process(time.monotonic() - self.saved > self.seconds):
            control.should_save = True

    def on_save(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Any checkpoint counts."""
        self.saved = time.monotonic()


class Snapshots(TrainerCallback):
    """Keeps the model as it is after some of the steps. Every process calls `save`: a sharded model needs them all."""

    def __init__(self, steps: Mapping[str, int], save: Callable[[str], object]):
        """`steps`: after which step each snapshot is taken, by its name."""
        self.steps, self.save = steps, save

    def on_step_end(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """A run that goes on from an earlier step writes the same again."""
        for name, step in self.steps.items():
            if step == state.global_step:
                self.save(name)


def _step_of(line: str) -> int:
    """The step that a line of metrics is about; -1 of one that a kill or a full disk cut off."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return -1


class WriteMetrics(TrainerCallback):
    """Appends what is measured to a JSONL file, a line a logged step: no step is missing, and none is there twice."""

    def __init__(self, path: Path, done: int, batch_tokens: int, flops_per_token: float, parameters: int):
        self.path, self.batch_tokens, self.seen = path, batch_tokens, (done, time.monotonic())
        self.flops_per_token, self.parameters = flops_per_token, parameters
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        kept = "".join(line + "\n" for line in before if 0 <= _step_of(line) <= done)
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(kept, encoding="utf-8")
        beside.replace(path)

    def on_log(self, args, state: TrainerState, control: TrainerControl, logs: dict | None = None, **kwargs) -> None:
        """A line for each training loss; speed counts both as true operations and as 6 for each weight."""
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        step, now = state.global_step, time.monotonic()
        speed = (step - self.seen[0]) * self.batch_tokens / max(now - self.seen[1], 1e-9)
        self.seen = step, now
        row = {"step": step, "tokens": step * self.batch_tokens, "tokens_per_second": speed}
        row |= {key: logs[key] for key in ("loss", "learning_rate", "grad_norm") if key in logs}
        row |= {"flops_per_second": speed * self.flops_per_token, "flops_per_second_by_6N": 6 * self.parameters * speed}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def require_finite(value: torch.Tensor, what: str, step: int) -> None:
    """Raise RunError, saying what to do, where a loss or a norm is not finite."""
    if not torch.isfinite(value):
        raise RunError(
            f"{what} was not finite at step {step + 1}, so training stopped before the optimizer's step. "
            "The last checkpoint is kept. Lower --training.learning-rate, or set --training.precision fp32."
        )
