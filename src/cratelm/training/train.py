"""The training stage: tokens in, a trained model out.

OUT/model            weights, configuration, tokenizer, card: a transformers folder
OUT/losses.jsonl     the loss curve
OUT/training.json    what training came to
"""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from cratelm.artifacts import Artifact, run_stage, write_json
from cratelm.bootstrap import ratio_interval
from cratelm.corpus.tokenizer import END_OF_TEXT, end_of_text_id
from cratelm.corpus.tokens import read_tokenizer
from cratelm.models.build import build_model
from cratelm.models.decoder import DecoderForCausalLM
from cratelm.models.save import save_model
from cratelm.progress import Progress
from cratelm.seeds import derive_seed
from cratelm.training.capabilities import use_bf16, use_compile
from cratelm.training.config import TrainConfig
from cratelm.training.evaluate import Validation
from cratelm.training.fit import fit


def train(config: TrainConfig, tokens: Artifact, out: Path, progress: Progress) -> Artifact:
    """Make the trained model of `config` on `tokens` in `out`; a killed run goes on from its last checkpoint."""
    return run_stage(out, "model", config, {"tokens": tokens}, lambda folder: _train(config, tokens, folder, progress))


def _train(config: TrainConfig, tokens: Artifact, folder: Path, progress: Progress) -> None:
    tokenizer = read_tokenizer(tokens)
    seed = derive_seed(config.seed, "weights")
    model = build_model(config.model, config.shape, tokenizer.get_vocab_size(), end_of_text_id(tokenizer), seed)
    validation = Validation(tokens)
    history = fit(config, model, tokens, validation, folder / "checkpoints", progress)
    (folder / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history), encoding="utf-8")
    with progress.task(f"validation loss of {config.model}"):
        summary = _summary(config, model, validation)
    write_json(folder / "training.json", summary)
    save_model(model, folder / "model", _card(config, tokens, summary))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, model_max_length=config.shape.context
    ).save_pretrained(folder / "model")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _summary(config: TrainConfig, model: DecoderForCausalLM, validation: Validation) -> dict[str, Any]:
    losses = validation.losses(model)
    return {
        "parameters": model.num_parameters(),
        "precision": "bf16" if use_bf16(config.training) else "fp32",
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
