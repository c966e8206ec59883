"""The fit itself, by transformers' Trainer.

What is ours is what the Trainer leaves open: the order of the data (corpus/training_windows.py), checkpoints that are
whole or ignored (checkpoints.py), a held-out loss in our own terms, and a stop before a step that is not finite.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from cratelm.artifacts import Artifact
from cratelm.corpus.read_tokens import read_train
from cratelm.corpus.training_windows import Windows
from cratelm.errors import InputError
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.flops import forward_flops, meta_model
from cratelm.progress import Progress
from cratelm.seeds import derive_seed
from cratelm.training.callbacks import (
    CommitAtTermination,
    CommitInTime,
    ShowProgress,
    Snapshots,
    StopAtBadGradient,
    WriteMetrics,
    require_finite,
)
from cratelm.training.checkpoints import CommitCheckpoints, name_of_run, newest_committed, tensors_alone
from cratelm.training.config import TrainConfig
from cratelm.training.heldout_loss import Validation
from cratelm.training.mean_loss import MeanLoss
from cratelm.training.precision import missing_for_compile, use_compile, use_fp16
from cratelm.training.processes import processes, rank, world_size
from cratelm.training.sharding import RequireSharded, sharding_arguments
from cratelm.training.tracking import tracking_arguments

LOG_EVERY = 10


def fit(
    config: TrainConfig,
    model: DecoderForCausalLM,
    tokens: Artifact,
    validation: Validation,
    checkpoints: Path,
    snapshot: Callable[[str], object],
    progress: Progress,
) -> list[dict[str, float]]:
    """Train `model` in place, from the newest whole checkpoint if there is one; gives its loss curve.

    `snapshot` is called with the share of the training that is done, where the recipe asks for it.

    Raises InputError where the text fills no context, RunError where a loss or gradient is not finite.
    """
    if not config.steps:
        return []
    windows = _windows(config, tokens)
    with processes().main_process_first():  # which has claimed the folder, and sets aside what is damaged
        run = name_of_run(checkpoints.parent)
        resumed = newest_committed(checkpoints, run, progress)
    done = int(resumed.name.removeprefix("checkpoint-")) if resumed else 0
    _say_how_it_runs(config, done, progress)
    if config.training.activation_checkpointing:
        model.activation_checkpointing_enable()
    model.loss_chunk = config.training.loss_chunk
    terminate, mean_loss = CommitAtTermination(), MeanLoss(resumed)
    showing = progress.task(f"training {config.model}", total=config.steps, done=done)
    with showing as bar, _deterministic(), terminate:
        callbacks = [
            mean_loss,
            CommitCheckpoints(run),
            *_callbacks(config, model, snapshot, checkpoints.parent / "log" / "metrics.jsonl", done),
            ShowProgress(bar, config.batch_tokens),
            terminate,
        ]
        trainer = StudyTrainer(
            validation,
            config.training.evaluation_documents,
            mean_loss,
            model=model,
            args=_arguments(config, checkpoints, unused=model.config.sliding_window == 1),
            train_dataset=windows,
            eval_dataset=windows,
            callbacks=callbacks,
        )
        trainer.remove_callback(PrinterCallback)
        with tensors_alone(resumed):
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    return _curve(trainer.state.log_history, config.batch_tokens)


def _say_how_it_runs(config: TrainConfig, done: int, progress: Progress) -> None:
    if done:
        progress.say(f"{config.model}: going on from step {done} of {config.steps}.")
    if config.training.compile == "auto" and not use_compile(config.training):
        progress.say(f"Training runs uncompiled, which is slower: torch.compile needs {missing_for_compile()}.")


def _callbacks(
    config: TrainConfig, model: DecoderForCausalLM, snapshot: Callable[[str], object], metrics: Path, done: int
) -> list[TrainerCallback]:
    """What the recipe asks for, in each process; the metrics are written by the first alone."""
    recipe = config.training
    steps = {f"{share:g}": max(1, round(share * config.steps)) for share in recipe.snapshot_shares}
    callbacks: list[TrainerCallback] = [CommitInTime(recipe.checkpoint_minutes), StopAtBadGradient()]
    callbacks.append(Snapshots(steps, snapshot))
    if recipe.sharded:
        callbacks.append(RequireSharded())
    if not rank():
        cost = forward_flops(meta_model(config.model, config.shape, model.config.vocab_size), config.shape.context)
        callbacks.append(WriteMetrics(metrics, done, config.batch_tokens, 3 * cost, model.num_parameters()))
    return callbacks


class StudyTrainer(Trainer):
    """The Trainer, with our held-out loss and a stop at a loss that is not finite."""

    def __init__(self, validation: Validation, evaluation_documents: int, mean_loss: MeanLoss, **kwargs):
        super().__init__(**kwargs)
        self.validation, self.evaluation_documents, self.mean_loss = validation, evaluation_documents, mean_loss

    def training_step(self, model: nn.Module, inputs: dict, num_items_in_batch=None) -> torch.Tensor:
        """One forward and backward pass; raises RunError before the optimizer could spread a NaN."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        require_finite(loss, "the loss", self.state.global_step)
        self.mean_loss.add(loss)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """A line of the log, with our mean of the losses."""
        ours = {"loss": self.mean_loss.take()} if "loss" in logs else {}
        super().log(logs | ours, start_time)

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        """A point of the validation curve."""
        losses = self.validation.losses(self.model, self.evaluation_documents)  # type: ignore[arg-type]
        metrics = {"validation_loss": losses.nats_per_token}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def _windows(config: TrainConfig, tokens: Artifact) -> Windows:
    train, context = read_train(tokens), config.shape.context
    windows = Windows(train, context, config.steps * config.training.batch, derive_seed(config.seed, "order"))
    if windows.in_epoch < 1:
        raise InputError(f"too little text: the train side's {len(train)} tokens fill no context of {context}.")
    return windows


def _arguments(config: TrainConfig, checkpoints: Path, unused: bool) -> TrainingArguments:
    """`unused`: some weights have no gradient, as queries and keys where a token attends to itself alone."""
    recipe = config.training
    # Checkpoints fall on logged steps, so that a resumed run's averages cover the same steps.
    between = max(LOG_EVERY, -(-config.steps // recipe.evaluations // LOG_EVERY) * LOG_EVERY)
    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=config.steps,
        per_device_train_batch_size=recipe.rows_at_once(world_size()),
        gradient_accumulation_steps=recipe.accumulation(world_size()),
        train_sampling_strategy="sequential",  # the order is in Windows
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=round(recipe.warmup * config.steps),
        weight_decay=recipe.weight_decay,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=recipe.precision == "bf16",
        fp16=use_fp16(recipe),
        torch_compile=use_compile(recipe),
        logging_steps=LOG_EVERY,
        logging_nan_inf_filter=False,  # it would log a NaN as 0 and go on
        eval_strategy="steps",
        eval_steps=between,
        save_steps=between,
        save_total_limit=2,
        seed=derive_seed(config.seed, "trainer") % 2**32,
        use_cpu=not torch.cuda.is_available(),
        remove_unused_columns=False,
        dataloader_drop_last=True,
        disable_tqdm=True,
        ddp_find_unused_parameters=unused,
        **sharding_arguments(recipe),
        **tracking_arguments(recipe.track, checkpoints.parent / "log", checkpoints.parent.stem),
    )


@contextmanager
def _deterministic() -> Iterator[None]:
    """On a CPU, the same bytes from the same seed; attention on GPUs has no deterministic gradient to offer."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(not torch.cuda.is_available())
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _curve(history: list[dict[str, float]], batch_tokens: int) -> list[dict[str, float]]:
    """The training and validation losses by step, without clock readings."""
    kept = ("loss", "validation_loss", "learning_rate", "grad_norm")
    return [
        {"step": row["step"], "tokens": row["step"] * batch_tokens} | {key: row[key] for key in kept if key in row}
        for row in history
        if "loss" in row or "validation_loss" in row
    ]
