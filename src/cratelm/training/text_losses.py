"""What any causal language model of transformers loses on texts, with its own tokenizer.

A document is a sequence of tokens after the tokenizer's start token, and is read in pieces of at most the model's
context. Every token but the first of a sequence is predicted exactly once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.corpus.model_tokenizer import start_token
from cratelm.errors import InputError
from cratelm.models.devices import device_of
from cratelm.progress import Progress
from cratelm.training.bounded_logits import rows_at_once, token_losses
from cratelm.training.heldout_loss import DocumentLosses

CONTEXTS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
"""What config.json calls the number of positions; a model that counts distances (ALiBi) may have none of them."""
TEXTS_AT_ONCE = 256
"""Texts that are tokenized together."""


@dataclass(frozen=True)
class Sequences:
    """Documents as a model reads them."""

    tokens: list[np.ndarray]
    """For each document (length,) int64: the start token, if the tokenizer has one, and the text's tokens."""
    bytes: np.ndarray
    """(documents,) int64: the bytes of the text that is predicted: without a start token the first is given."""
    last_word: np.ndarray
    """(documents,) int64: the place in `tokens` where the last word begins, of what is predicted."""


@dataclass(frozen=True)
class Piece:
    """A part of a sequence that is read at once: tokens `start` to `end`, of which those from `first` are predicted."""

    document: int
    start: int
    first: int
    end: int


def encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], vocabulary: int) -> Sequences:
    """Texts as sequences. A start or end token spelled out in a text is plain characters.

    Documents begin with the `start_token`. Raises InputError where a token's number is beyond the model's
    `vocabulary`.
    """
    start = start_token(tokenizer)
    prefix = [] if start is None else [start]
    tokens, sizes, last_words = [], [], []
    for text, ids, spans in _tokenized(tokenizer, texts):
        tokens.append(np.array([*prefix, *ids], dtype=np.int64))
        given = 0 if prefix or not spans else spans[0][1]
        sizes.append(len(text[given:].encode()))
        last_words.append(_last_word(text, spans, len(prefix)))
    largest = max(int(sequence.max(initial=0)) for sequence in tokens)
    if largest >= vocabulary:
        raise InputError(f"the tokenizer gives token {largest}, the model has {vocabulary}: they do not fit.")
    return Sequences(tokens, np.array(sizes, dtype=np.int64), np.array(last_words, dtype=np.int64))


def _tokenized(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]
) -> Iterator[tuple[str, list[int], list[tuple[int, int]]]]:
    """Each text, its tokens, and from and to which character each of them goes."""
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        part = list(texts[first : first + TEXTS_AT_ONCE])
        encoded = tokenizer(
            part, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
        )
        yield from zip(part, encoded["input_ids"], encoded["offset_mapping"], strict=True)


def _last_word(text: str, spans: Sequence[tuple[int, int]], offset: int) -> int:
    """The place of the first token that reaches into the last word or the space before it."""
    *before, _ = text.rsplit(maxsplit=1) or [""]
    given = len(before[0]) if before else 0
    return max(1, offset + sum(end <= given for _, end in spans))


def cut_pieces(length: int, context: int, stride: int, document: int = 0) -> Iterator[Piece]:
    """The pieces of a sequence: the first predicts `context` tokens, each later one `stride` more.

    A later piece reads `context - stride` tokens again before its own, so with `stride` equal to `context` the
    pieces follow each other, and what a piece's first token follows is the one token before it.
    """
    start, first = 0, 1
    while first < length:
        end = min(length, start + context + 1)
        yield Piece(document, start, first, end)
        start, first = start + stride, end


def context_length(model: PreTrainedModel, asked: int | None = None) -> int:
    """How many tokens are read at once: what the model can, and no more than `asked`.

    Raises InputError where neither the model's configuration nor `asked` says it.
    """
    config = model.config.get_text_config()
    given = (getattr(config, name, None) for name in CONTEXTS)
    most = next((length for length in given if isinstance(length, int) and length > 0), None)
    limits = [asked, None if most is None else most - _rows_before(model, most)]
    known = [limit for limit in limits if limit is not None]
    if not known:
        raise InputError(
            f"the model's config.json does not say how many tokens it can read: {CONTEXTS[0]} (or "
            f"{', '.join(CONTEXTS[1:])}) is missing. Add it, or give --context where the command takes it."
        )
    return min(known)


def _rows_before(model: PreTrainedModel, length: int) -> int:
    """How many rows of a model's table of `length` positions come before its first position.

    Models after RoBERTa count positions from after the padding token's number: of 514 rows they use 512.
    """
    words = model.get_input_embeddings()
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding) and module is not words]
    before = [
        table.padding_idx + 1 for table in tables if table.padding_idx is not None and len(table.weight) == length
    ]
    return max(before, default=0)


@torch.no_grad()
def require_causal(model: PreTrainedModel) -> None:
    """Raise InputError for a model that sees the tokens it has to predict, such as a BERT that is no decoder."""
    # Two texts that differ in the last token alone: a causal model says the same of both at the first.
    pair = torch.tensor([[0, 0], [0, 1]], device=device_of(model))
    first, second = model(input_ids=pair, use_cache=False).logits[:, 0].float()
    if not torch.allclose(first, second, rtol=1e-4, atol=1e-4, equal_nan=True):
        raise InputError(f"a {model.config.model_type} model as configured here sees later tokens: it is not causal.")


@torch.no_grad()
def predict(
    model: PreTrainedModel, tokens: Sequence[np.ndarray], pieces: Sequence[Piece], progress: Progress, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """What each piece costs, (pieces,) float64 nats, and whether all that it predicts was likeliest, (pieces,) bool.

    `what` names the work in the progress.
    """
    nats, right = np.zeros(len(pieces)), np.zeros(len(pieces), bool)
    with progress.task(what, total=len(pieces)) as bar:
        for batch in _batches(model, pieces):
            inputs, targets = _padded(tokens, [pieces[piece_index] for piece_index in batch])
            losses, likeliest = token_losses(model, inputs.to(device_of(model)), targets)
            nats[batch] = losses.double().sum(1).numpy()
            right[batch] = (likeliest | (targets < 0)).all(1).numpy()
            bar.advance(len(batch))
    return nats, right


def _batches(model: PreTrainedModel, pieces: Sequence[Piece]) -> Iterator[np.ndarray]:
    """Numbers of pieces that are read together, the longest first: what needs most memory fails at once."""
    lengths = np.array([piece.end - piece.start for piece in pieces])
    order, start = np.argsort(-lengths, kind="stable"), 0
    while start < len(order):
        rows = rows_at_once(model, int(lengths[order[start]]))
        yield order[start : start + rows]
        start += rows


def _padded(tokens: Sequence[np.ndarray], pieces: Sequence[Piece]) -> tuple[torch.Tensor, torch.Tensor]:
    """What a batch reads, padded on the right where no prediction looks, and predicts, -100 elsewhere: (B, T) each."""
    longest = max(piece.end - piece.start for piece in pieces) - 1
    # -100 is what cross_entropy leaves out.
    inputs, targets = torch.zeros(len(pieces), longest, dtype=torch.long), torch.full((len(pieces), longest), -100)
    for row, piece in enumerate(pieces):
        read = torch.from_numpy(tokens[piece.document][piece.start : piece.end])
        inputs[row, : len(read) - 1] = read[:-1]
        targets[row, piece.first - piece.start - 1 : len(read) - 1] = read[piece.first - piece.start :]
    return inputs, targets


def text_losses(
    model: PreTrainedModel, sequences: Sequences, context: int, stride: int, progress: Progress
) -> DocumentLosses:
    """What the model, in its own precision, pays for each document read in pieces of `context` tokens.

    Raises InputError where there is nothing to predict, or a loss is not a finite number.
    """
    documents = len(sequences.tokens)
    lengths = [len(sequence) for sequence in sequences.tokens]
    pieces = [
        piece for document, length in enumerate(lengths) for piece in cut_pieces(length, context, stride, document)
    ]
    if not pieces:
        raise InputError("the text has no token to predict. Give more text.")
    nats, _ = predict(model, sequences.tokens, pieces, progress, "measuring the loss")
    if not np.isfinite(nats).all():
        raise InputError(
            f"the model's loss is not a finite number: its weights are damaged, or do not fit {model.dtype}."
        )
    document_of_piece = [piece.document for piece in pieces]
    predicted = [piece.end - piece.first for piece in pieces]
    return DocumentLosses(
        np.bincount(document_of_piece, weights=nats, minlength=documents),
        np.bincount(document_of_piece, weights=predicted, minlength=documents).astype(np.int64),
        sequences.bytes,
    )


def last_words_right(model: PreTrainedModel, sequences: Sequences, context: int, progress: Progress) -> np.ndarray:
    """Whether greedy decoding after each document but its last word gives that word: (documents,) bool.

    A document longer than `context` loses its beginning. One without a token to predict counts as wrong.
    """
    places = [(document, len(tokens)) for document, tokens in enumerate(sequences.tokens) if len(tokens) > 1]
    pieces = [
        Piece(document, start := max(0, end - 1 - context), max(start + 1, int(sequences.last_word[document])), end)
        for document, end in places
    ]
    right = np.zeros(len(sequences.tokens), bool)
    right[[piece.document for piece in pieces]] = predict(
        model, sequences.tokens, pieces, progress, "asking for last words"
    )[1]
    return right
