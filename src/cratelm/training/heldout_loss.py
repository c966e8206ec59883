"""Held-out loss, document by document."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from cratelm.artifacts import Artifact, read_json
from cratelm.corpus.contexts import Contexts, cut_contexts
from cratelm.corpus.read_tokens import Side, read_side, read_tokenizer, read_validation_bytes
from cratelm.corpus.token_text import byte_lengths
from cratelm.corpus.tokenizer import end_of_text_id
from cratelm.errors import InputError
from cratelm.training.bounded_logits import rows_at_once, token_losses


@dataclass(frozen=True)
class DocumentLosses:
    """What a model pays for each document."""

    nats: np.ndarray
    """(documents,) float64: the sum of the cross-entropies of its tokens."""
    tokens: np.ndarray
    """(documents,) int64: how many tokens were predicted."""
    bytes: np.ndarray
    """(documents,) int64: how many bytes of text those tokens are."""

    @property
    def nats_per_token(self) -> float:
        """The mean cross-entropy of a token."""
        return float(self.nats.sum() / self.tokens.sum())

    @property
    def bits_per_byte(self) -> float:
        """The cost of a byte of text, which does not depend on the tokenizer."""
        return float(self.nats.sum() / np.log(2) / self.bytes.sum())


class Validation:
    """The validation side of a corpus, and what a model loses on it."""

    def __init__(self, tokens: Artifact):
        self.side = read_side(tokens, "validation")
        self.end_of_text = end_of_text_id(read_tokenizer(tokens))
        self.document_bytes = self._bytes(tokens)

    def _bytes(self, tokens: Artifact) -> np.ndarray:
        """The bytes of each document's text, which are not those of its tokens where the tokenizer changes the text.

        Tokens of an earlier version say it of all documents together; InputError where the two differ.
        """
        if (written := read_validation_bytes(tokens)) is not None:
            return written
        ends = np.cumsum(byte_lengths(read_tokenizer(tokens))[self.side.tokens])[self.side.ends - 1]
        if ends[-1] != read_json(tokens.path / "counts.json")["sides"]["validation"]["bytes"]:
            raise InputError(
                f"{tokens.path}: an earlier version made these tokens with a tokenizer that changes the text, and did "
                "not say how many bytes each document has. Tokenize again."
            )
        return np.diff(ends, prepend=0)

    def losses(self, model: PreTrainedModel, documents: int | None = None) -> DocumentLosses:
        """Losses on the first `documents` documents, or on all."""
        side = self.side.first(min(documents or len(self.side.ends), len(self.side.ends)))
        return document_losses(model, side, self.end_of_text, self.document_bytes[: len(side.ends)])


@torch.no_grad()
def document_losses(
    model: PreTrainedModel, side: Side, end_of_text: int, document_bytes: np.ndarray, batch: int = 32
) -> DocumentLosses:
    """Predict every token of every document, each context after an end-of-text token, in the model's own precision.

    A context is as long as the model's positions allow and starts without memory of the one before it, so the
    figure is an upper bound of what a sliding window would give. `document_bytes` (documents,) are the sizes of their
    texts.
    """
    contexts = cut_contexts(side, model.config.max_position_embeddings)
    by_length = np.argsort(contexts.length, kind="stable")
    batch = min(batch, rows_at_once(model, int(contexts.length.max())))
    documents = len(side.ends)
    nats, tokens = np.zeros(documents), np.zeros(documents, np.int64)
    was_training = model.training
    model.eval()
    for start in range(0, len(by_length), batch):
        rows = by_length[start : start + batch]
        targets = _padded(side, contexts, rows)
        inputs = F.pad(targets.clamp(min=0), (1, 0), value=end_of_text)[:, :-1]
        losses, _ = token_losses(model, inputs.to(model.device), targets)  # (B, T), 0 at pads
        np.add.at(nats, contexts.document[rows], losses.double().sum(1).numpy())
        np.add.at(tokens, contexts.document[rows], contexts.length[rows])
    model.train(was_training)
    return DocumentLosses(nats, tokens, document_bytes)


def _padded(side: Side, contexts: Contexts, rows: np.ndarray) -> torch.Tensor:
    """Tokens of contexts of different lengths: (B, longest), -100 where a shorter one has ended."""
    longest = int(contexts.length[rows].max())
    places = np.minimum(contexts.start[rows, None] + np.arange(longest), len(side.tokens) - 1)
    inside = np.arange(longest) < contexts.length[rows, None]
    return torch.from_numpy(np.where(inside, side.tokens[places].astype(np.int64), -100))
