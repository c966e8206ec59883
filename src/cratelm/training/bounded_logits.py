"""Logits of long texts over large vocabularies, so many at a time: 65,536 tokens of 50,257 each would take 13 GB."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

LOGITS_AT_ONCE = 2**27
"""How many logits a batch may have: half a gigabyte of them."""


def rows_at_once(model: PreTrainedModel, length: int) -> int:
    """How many sequences of `length` tokens make a batch whose logits fit in memory; one at least."""
    return max(1, LOGITS_AT_ONCE // (length * model.config.get_text_config().vocab_size))


def token_losses(
    model: PreTrainedModel, inputs: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each target costs after the inputs, (B, T) float32 nats, 0 where it is -100; and whether it was likeliest.

    Of one sequence whose logits are too many, the head is run on some tokens at a time.
    """
    losses, right = [], []
    places = 0
    for logits in _parts(model, inputs):
        wanted = targets[:, places : places + logits.shape[1]].to(logits.device)
        flat = F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), reduction="none")  # (B T,)
        losses.append(flat.cpu().view(wanted.shape))
        right.append((logits.argmax(-1) == wanted).cpu())
        places += logits.shape[1]
    return torch.cat(losses, 1), torch.cat(right, 1)


def _parts(model: PreTrainedModel, inputs: torch.Tensor) -> Iterator[torch.Tensor]:
    """The logits (B, some tokens, V), in the order of the tokens."""
    head = model.get_output_embeddings()
    tokens_at_once = max(1, LOGITS_AT_ONCE // (len(inputs) * model.config.get_text_config().vocab_size))
    if inputs.shape[1] <= tokens_at_once or head is None:
        yield model(input_ids=inputs, use_cache=False).logits
        return
    hidden: list[torch.Tensor] = []

    def keep(states: torch.Tensor) -> torch.Tensor:
        hidden.append(states)
        return states[:, :1]  # so that the pass makes the logits of one token alone

    with _reading(head, keep):
        model(input_ids=inputs, use_cache=False)
    # Models put logits through more than the head, such as a cap: the whole model runs, on one token, around it.
    for states in hidden[0].split(tokens_at_once, 1):
        with _reading(head, lambda _, states=states: states):
            yield model(input_ids=inputs[:, :1], use_cache=False).logits


@contextmanager
def _reading(head: nn.Module, swap) -> Iterator[None]:
    """While this context is open, the head reads what `swap` makes of what it is given."""
    hook = head.register_forward_pre_hook(lambda module, given: (swap(given[0]), *given[1:]))
    try:
        yield
    finally:
        hook.remove()
