"""The training stage: tokens in, a trained model out.

OUT/model            weights, configuration, tokenizer, card: a transformers folder
OUT/snapshots/SHARE  the same after a share of the training, where the recipe asks for it
OUT/losses.*         the loss curve, as JSON lines, CSV and a picture
OUT/training.json    what training came to
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from cratelm.artifacts import MANIFEST, Artifact, Stage, open_artifact, run_stage, write_json
from cratelm.corpus.read_tokens import read_tokenizer
from cratelm.corpus.tokenizer import count_ids, end_of_text_id
from cratelm.models.build import build_model
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.save import SAVED, save_model, save_tokenizer
from cratelm.progress import Progress
from cratelm.seeds import derive_seed
from cratelm.stats import ratio_interval
from cratelm.training.config import TrainConfig
from cratelm.training.curve import write_curve
from cratelm.training.fit import fit
from cratelm.training.heldout_loss import Validation
from cratelm.training.precision import BEGUN, settled, use_compile
from cratelm.training.processes import processes, rank, world_size
from cratelm.training.ready import require_able
from cratelm.training.sharding import whole

MODEL = Stage(
    "model",
    files=(
        *(f"{folder}/{file}" for folder in ("model", "snapshots/*") for file in SAVED),
        "losses.jsonl",
        "losses.csv",
        "losses.png",
        "training.json",
    ),
    scratch=("checkpoints/checkpoint-*", "checkpoints/damaged-*", BEGUN),
    kept=("checkpoints/*",),
)


def train(config: TrainConfig, tokens: Artifact, out: Path, progress: Progress) -> Artifact:
    """Make the trained model of `config` on `tokens` in `out`; a killed run goes on from its last checkpoint.

    Of several processes the first one writes, and the others only train.
    """
    config.training.rows_at_once(world_size())
    inputs = {"tokens": tokens}
    if rank():
        if not (out / MANIFEST).is_file():
            _follow(config, tokens, out.with_name(out.name + ".partial"), progress)
    else:
        run_stage(
            out,
            MODEL,
            config,
            inputs,
            lambda folder: _train(config, tokens, folder, progress),
            lambda: require_able(config),
        )
    if world_size() > 1:
        processes().wait_for_everyone()
    return open_artifact(out, "model")


def _follow(config: TrainConfig, tokens: Artifact, folder: Path, progress: Progress) -> None:
    """The part of a process that is not the first."""
    tokenizer = read_tokenizer(tokens)
    config = settled(config)  # the first process measured it, or will: one file for the machine
    model = _begin(config, tokenizer)
    fit(config, model, tokens, Validation(tokens), folder / "checkpoints", lambda share: whole(model), progress)
    whole(model)


def _begin(config: TrainConfig, tokenizer: Tokenizer) -> DecoderForCausalLM:
    seed = derive_seed(config.seed, "weights")
    return build_model(config.model, config.shape, count_ids(tokenizer), end_of_text_id(tokenizer), seed)


def _train(config: TrainConfig, tokens: Artifact, folder: Path, progress: Progress) -> None:
    if (folder / "training.json").is_file():  # written when all else is whole; the last run died while tidying up
        _tidy(folder)
        return
    tokenizer = read_tokenizer(tokens)
    config = settled(config, folder)
    model = _begin(config, tokenizer)
    validation = Validation(tokens)

    def snapshot(share: str) -> None:
        facts = {"Snapshot": f"after {share} of the training on {config.steps * config.batch_tokens:,} tokens"}
        _save(config, whole(model), tokenizer, folder / "snapshots" / share, facts)

    history = fit(config, model, tokens, validation, folder / "checkpoints", snapshot, progress)
    model = _stored(config, whole(model)).float()  # the loss is that of the weights as they are stored
    write_curve(folder, history)
    with progress.task(f"validation loss of {config.model}"):
        summary = _summary(config, model, validation)
    _save(config, model, tokenizer, folder / "model", _card(config, tokens, summary))
    write_json(folder / "training.json", summary)
    _tidy(folder)


def _tidy(folder: Path) -> None:
    """Remove what only an unfinished training needs."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    (folder / BEGUN).unlink(missing_ok=True)


def _save(
    config: TrainConfig, model: DecoderForCausalLM, tokenizer: Tokenizer, folder: Path, facts: dict[str, str]
) -> None:
    """Write a model with its tokenizer and its card."""
    save_model(_stored(config, model), folder, facts)
    save_tokenizer(tokenizer, config.shape.context, folder)


def _stored(config: TrainConfig, model: DecoderForCausalLM) -> DecoderForCausalLM:
    """The model in the type that its weights are stored in, made anew: training may go on with the original, and has
    put a forward pass around it that a copy would share."""
    dtype = getattr(torch, config.training.weights)
    if model.dtype == dtype:
        return model
    stored = type(model)(model.config).to(dtype)  # type: ignore[bad-argument-type]
    stored.load_state_dict(model.state_dict())
    stored.tie_weights()
    return stored.eval()


def _summary(config: TrainConfig, model: DecoderForCausalLM, validation: Validation) -> dict[str, Any]:
    losses = validation.losses(model)
    return {
        "parameters": model.num_parameters(),
        "precision": config.training.precision,
        "compiled": use_compile(config.training),
        "steps": config.steps,
        "tokens": config.steps * config.batch_tokens,
        "nats_per_token": losses.nats_per_token,
        "nats_per_token_interval": ratio_interval(losses.nats, losses.tokens, derive_seed(config.seed, "validation")),
        "bits_per_byte": losses.bits_per_byte,
        "validation_documents": len(losses.nats),
        "validation_tokens": int(losses.tokens.sum()),
    }


def _card(config: TrainConfig, tokens: Artifact, summary: dict[str, Any]) -> dict[str, str]:
    low, high = summary["nats_per_token_interval"]
    return {
        "Trained on": f"{summary['tokens']:,} tokens of the corpus {tokens.config['corpus']} "
        f"({tokens.config['tokenizer']}), seed {config.seed}, {summary['precision']}",
        "Validation loss": f"{summary['nats_per_token']:.3f} [{low:.3f}, {high:.3f}] nats a token, "
        f"{summary['bits_per_byte']:.3f} bits a byte, on {summary['validation_documents']} held-out documents",
        "Parameters": f"{summary['parameters']:,}",
    }
