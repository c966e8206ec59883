"""The training stage: tokens in, a trained model out, by transformers' Trainer.

What is ours is what the Trainer leaves open: the order of the data (corpus/windows.py), checkpoints that are whole
or ignored (checkpoints.py), a stop before a step that is not finite, and held-out loss in our own terms.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from cratelm.artifacts import Artifact, run_stage, write_json
from cratelm.bootstrap import ratio_interval
from cratelm.corpus.tokenizer import END_OF_TEXT, byte_lengths, end_of_text_id
from cratelm.corpus.tokens import Side, read_side, read_tokenizer
from cratelm.corpus.windows import Windows
from cratelm.errors import InputError, RunError
from cratelm.models.build import build_model
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.save import save_model
from cratelm.progress import Bar, Progress
from cratelm.seeds import derive_seed
from cratelm.training.capabilities import missing_for_compile, use_bf16, use_compile
from cratelm.training.checkpoints import CommitCheckpoints, newest_committed
from cratelm.training.config import TrainConfig
from cratelm.training.evaluate import document_losses

LOG_EVERY = 10


def train(config: TrainConfig, tokens: Artifact, out: Path, progress: Progress) -> Artifact:
    """Make the trained model of `config` on `tokens` in `out`; a killed run goes on from its last checkpoint."""
    return run_stage(out, "model", config, {"tokens": tokens}, lambda folder: _train(config, tokens, folder, progress))


def _train(config: TrainConfig, tokens: Artifact, folder: Path, progress: Progress) -> None:
    tokenizer = read_tokenizer(tokens)
    end_of_text = end_of_text_id(tokenizer)
    weights = derive_seed(config.seed, "weights")
    model = build_model(config.model, config.shape, tokenizer.get_vocab_size(), end_of_text, weights)
    steps = -(-config.training.tokens // (config.training.batch * config.shape.context))
    validation = Validation(tokens, end_of_text)
    history = _fit(config, model, tokens, validation, steps, folder, progress) if steps else []
    (folder / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history), encoding="utf-8")
    with progress.task(f"validation loss of {config.model}"):
        losses = validation.losses(model)
    summary = {
        "parameters": model.num_parameters(),
        "precision": "bf16" if use_bf16(config.training) else "fp32",
        "compiled": use_compile(config.training),
        "steps": steps,
        "tokens": steps * config.training.batch * config.shape.context,
        "nats_per_token": losses.nats_per_token,
        "nats_per_token_interval": ratio_interval(losses.nats, losses.tokens, derive_seed(config.seed, "validation")),
        "bits_per_byte": losses.bits_per_byte,
        "validation_documents": len(losses.nats),
        "validation_tokens": int(losses.tokens.sum()),
    }
    write_json(folder / "training.json", summary)
    save_model(model, folder / "model", _card(config, tokens, summary))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, model_max_length=config.shape.context
    ).save_pretrained(folder / "model")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _card(config: TrainConfig, tokens: Artifact, summary: dict[str, Any]) -> dict[str, str]:
    low, high = summary["nats_per_token_interval"]
    return {
        "Trained on": f"{summary['tokens']:,} tokens of the corpus {tokens.config['corpus']} "
        f"({tokens.config['tokenizer']}), seed {config.seed}, {summary['precision']}",
        "Validation loss": f"{summary['nats_per_token']:.3f} [{low:.3f}, {high:.3f}] nats a token, "
        f"{summary['bits_per_byte']:.3f} bits a byte, on {summary['validation_documents']} held-out documents",
        "Parameters": f"{summary['parameters']:,}",
    }


class Validation:
    """The validation side, and what a model loses on it."""

    def __init__(self, tokens: Artifact, end_of_text: int):
        self.side = read_side(tokens, "validation")
        self.end_of_text = end_of_text
        self.token_bytes = byte_lengths(read_tokenizer(tokens))

    def losses(self, model: DecoderForCausalLM, documents: int | None = None):
        """Losses on the first `documents` documents, or on all."""
        ends = self.side.ends[:documents]
        return document_losses(model, Side(self.side.tokens[: ends[-1]], ends), self.end_of_text, self.token_bytes)


class StudyTrainer(Trainer):
    """The Trainer, with our held-out loss and a stop at a loss that is not finite."""

    def __init__(self, validation: Validation, evaluation_documents: int, **kwargs):
        super().__init__(**kwargs)
        self.validation, self.evaluation_documents = validation, evaluation_documents

    def training_step(self, model: nn.Module, inputs: dict, num_items_in_batch=None) -> torch.Tensor:
        """One forward and backward pass; raises RunError before the optimizer could spread a NaN."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise RunError(_not_finite("the loss", self.state.global_step))
        return loss

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        """A point of the validation curve."""
        losses = self.validation.losses(self.model, self.evaluation_documents)  # type: ignore[arg-type]
        metrics = {"validation_loss": losses.nats_per_token}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class StopAtBadGradient(TrainerCallback):
    """Raises RunError where a gradient is not finite, before the optimizer uses it."""

    def on_pre_optimizer_step(self, args, state: TrainerState, control: TrainerControl, **kwargs) -> None:
        """Clipping spreads one NaN over all gradients, so their total norm tells."""
        gradients = [parameter.grad for parameter in kwargs["model"].parameters() if parameter.grad is not None]
        if not torch.isfinite(nn.utils.get_total_norm(gradients)):
            raise RunError(_not_finite("a gradient", state.global_step))


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


@contextmanager
def _deterministic() -> Iterator[None]:
    """On a CPU, the same bytes from the same seed; attention on GPUs has no deterministic gradient to offer."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(not torch.cuda.is_available())
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _not_finite(what: str, step: int) -> str:
    return (
        f"{what} was not finite at step {step + 1}, so training stopped before the optimizer's step. "
        "The last checkpoint is kept. Lower --training.learning-rate, or set --training.precision fp32."
    )


def _fit(
    config: TrainConfig,
    model: DecoderForCausalLM,
    tokens: Artifact,
    validation: Validation,
    steps: int,
    folder: Path,
    progress: Progress,
) -> list[dict[str, float]]:
    """Train `model` in place; gives its loss curve."""
    recipe = config.training
    side = read_side(tokens, "train")
    windows = Windows(side, config.shape.context, steps * recipe.batch, derive_seed(config.seed, "order"))
    if windows.in_epoch < 1:
        needed = config.shape.context
        raise InputError(f"too little text: the train side's {len(side.tokens)} tokens fill no context of {needed}.")
    checkpoints = folder / "checkpoints"
    resumed = newest_committed(checkpoints, progress)
    done = int(resumed.name.removeprefix("checkpoint-")) if resumed else 0
    if done:
        progress.say(f"{config.model}: going on from step {done} of {steps}.")
    arguments = _arguments(config, steps, checkpoints, progress)
    with progress.task(f"training {config.model}", total=steps, done=done) as bar:
        trainer = StudyTrainer(
            validation,
            recipe.evaluation_documents,
            model=model,
            args=arguments,
            train_dataset=windows,
            eval_dataset=windows,
            callbacks=[
                CommitCheckpoints(),
                StopAtBadGradient(),
                ShowProgress(bar, recipe.batch * config.shape.context),
            ],
        )
        trainer.remove_callback(PrinterCallback)
        with _deterministic():
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    return _curve(trainer.state.log_history, recipe.batch * config.shape.context)


def _arguments(config: TrainConfig, steps: int, checkpoints: Path, progress: Progress) -> TrainingArguments:
    recipe = config.training
    if recipe.compile == "auto" and not use_compile(recipe):
        progress.say(f"Training runs uncompiled, which is slower: torch.compile needs {missing_for_compile()}.")
    # Checkpoints fall on logged steps, so that a resumed run's averages cover the same steps.
    between = max(LOG_EVERY, -(-steps // recipe.evaluations // LOG_EVERY) * LOG_EVERY)
    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch,
        train_sampling_strategy="sequential",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=round(recipe.warmup * steps),
        weight_decay=recipe.weight_decay,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=use_bf16(config.training),
        torch_compile=use_compile(recipe),
        logging_steps=LOG_EVERY,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=between,
        save_steps=between,
        save_total_limit=2,
        seed=derive_seed(config.seed, "trainer") % 2**32,
        use_cpu=not torch.cuda.is_available(),
        remove_unused_columns=False,
        dataloader_drop_last=True,
        disable_tqdm=True,
        report_to="none",
    )


def _curve(history: list[dict[str, float]], batch_tokens: int) -> list[dict[str, float]]:
    """The training and validation losses by step, without clock readings."""
    kept = ("loss", "validation_loss", "learning_rate", "grad_norm")
    return [
        {"step": row["step"], "tokens": row["step"] * batch_tokens} | {key: row[key] for key in kept if key in row}
        for row in history
        if "loss" in row or "validation_loss" in row
    ]
