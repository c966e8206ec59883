"""A language model's losses on a set of texts, with intervals over documents."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.artifacts import MANIFEST, open_artifact
from cratelm.corpus.model_tokenizer import open_model_tokenizer
from cratelm.errors import InputError
from cratelm.loading import DEFAULT_LOADING, Loading
from cratelm.models.load import load_causal_lm
from cratelm.progress import Progress
from cratelm.seeds import derive_seed
from cratelm.stats import ratio_interval
from cratelm.training.heldout_loss import DocumentLosses
from cratelm.training.text_losses import context_length, encode, last_words_right, require_causal, text_losses

Estimate = dict[str, float | None]
"""`mean`, and the ends of its interval, `low` and `high`: None where one document is all there is, or too large."""


def open_language_model(
    folder: Path, loading: Loading = DEFAULT_LOADING
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model and the tokenizer of a folder; nothing in it is executed.

    `folder` is a finished training stage, which is checked by its hashes, or any folder of transformers. Raises
    InputError where one of the two is missing, damaged, or no causal language model.
    """
    if (folder / MANIFEST).is_file():
        folder = open_artifact(folder, "model").path / "model"
    model = load_causal_lm(folder, loading)
    require_causal(model)
    return model, open_model_tokenizer(folder)


def evaluate_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    stride: int | None,
    last_words: bool,
    progress: Progress,
    context: int | None = None,
) -> dict[str, Any]:
    """Losses of all documents together, as plain numbers and `Estimate`s with 95% bootstrap intervals.

    `context` is how many tokens are read at once, by default as many as the model can; `stride` how many new tokens a
    piece predicts (see `cut_pieces`), by default all of the context's. `last_words` asks for the documents' last words
    as well. Raises InputError where the stride or the text does not fit.
    """
    context = context_length(model, context)
    stride = context if stride is None else stride
    if not 1 <= stride <= context:
        raise InputError(f"--stride {stride} does not fit: the model reads {context} tokens. Give 1 to {context}.")
    with progress.task("tokenizing"):
        sequences = encode(tokenizer, texts, model.config.get_text_config().vocab_size)
    figures = _figures(text_losses(model, sequences, context, stride, progress))
    if last_words:
        right = last_words_right(model, sequences, context, progress)
        figures["last_word_accuracy"] = _estimate(right.astype(float), np.ones(len(right)))
    return figures | {"context": context, "stride": stride}


def _figures(losses: DocumentLosses) -> dict[str, Any]:
    loss = _estimate(losses.nats, losses.tokens)
    return {
        "documents": len(losses.nats),
        "tokens": int(losses.tokens.sum()),
        "bytes": int(losses.bytes.sum()),
        "nats_per_token": loss,
        "perplexity": {name: None if value is None else _exponential(value) for name, value in loss.items()},
        "bits_per_byte": _estimate(losses.nats / np.log(2), losses.bytes),
    }


def _estimate(numerators: np.ndarray, denominators: np.ndarray) -> Estimate:
    """The ratio of two sums over documents, with its interval."""
    low, high = None, None
    if len(numerators) > 1:
        low, high = ratio_interval(numerators, denominators, derive_seed(0, "evaluation"))
    return {"mean": float(numerators.sum() / denominators.sum()), "low": low, "high": high}


def _exponential(value: float) -> float | None:
    """None where the number is too large to be one."""
    try:
        return math.exp(value)
    except OverflowError:
        return None
