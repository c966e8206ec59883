"""What a model says with some of its units clamped, next to what it says without."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from transformers import GenerationMixin, PreTrainedModel, PreTrainedTokenizerFast

from cratelm.corpus.token_text import token_texts
from cratelm.corpus.tokenizer import END_OF_TEXT
from cratelm.errors import InputError
from cratelm.greedy import GREEDY, Writing
from cratelm.models.devices import device_of
from cratelm.progress import Progress
from cratelm.training.evaluate_texts import evaluate_texts
from cratelm.training.text_losses import context_length, encode
from cratelm.units.clamp import Clamp, clamped

LONGEST = 2**16
"""Tokens of a prompt and what follows it, at most, where a model has no limit of its own."""


@dataclass(frozen=True)
class Change:
    """What becomes of one next token."""

    token: str
    before: float
    """Its probability without the clamps."""
    after: float
    """Its probability with them."""
    difference: float
    """The logarithm of their ratio, in nats."""


@dataclass(frozen=True)
class Steered:
    """One prompt, with and without the clamps."""

    tokens: list[str]
    """What the model read, its start token included."""
    raised: list[Change]
    """The next tokens whose probability grows most, the largest difference first: what one would see happen."""
    lowered: list[Change]
    """Those whose probability shrinks most."""
    divergence: float
    """KL(steered || unsteered) of the next token, in nats."""
    continuation: str
    """What the model writes without the clamps."""
    steered_continuation: str
    """What it writes with them."""


@lru_cache(maxsize=4)
def _token_texts(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """`token_texts`, read once for a tokenizer: a vocabulary of 262,144 tokens takes seconds."""
    return token_texts(tokenizer.backend_tokenizer)


def token_text(tokenizer: PreTrainedTokenizerFast, token: int) -> str:
    """A token as a person reads it; an embedding may have more rows than the tokenizer has ids."""
    texts = _token_texts(tokenizer)
    return texts[token] if token < len(texts) else f"<unused {token}>"


@torch.inference_mode()
def steer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sites: Sequence[str],
    clamps: Sequence[Clamp],
    prompt: str,
    count: int = 10,
    new_tokens: int = 20,
    writing: Writing = GREEDY,
) -> Steered:
    """Run `prompt` with and without `clamps`; list `count` tokens each way, and write `new_tokens` more both times.

    Raises InputError where the prompt is empty or longer than the model reads, or a clamp names what is not there.
    """
    ids = read_prompt(model, tokenizer, prompt)
    clamps = [clamp.within(ids.shape[1]) for clamp in clamps]
    before = _next_token(model, ids)
    if not before.isfinite().all():
        raise InputError(
            f"what the model says is not a finite number: its weights are damaged, or do not fit {model.dtype}."
        )
    with clamped(model, sites, clamps):
        after = _next_token(model, ids)
    if not after.isfinite().all():
        raise InputError("with these units clamped, what the model says is not a finite number. Give smaller values.")
    difference = after - before  # (V,)
    gained = after.exp() - before.exp()  # by ratios, tokens that stay all but impossible would come first
    order = _tokens_in(tokenizer, torch.argsort(gained, descending=True, stable=True))

    def change(token: int) -> Change:
        odds = before[token].exp().item(), after[token].exp().item()
        return Change(token_text(tokenizer, token), *odds, difference[token].item())

    return Steered(
        tokens=[token_text(tokenizer, token) for token in ids[0].tolist()],
        raised=[change(token) for token in order[:count]],
        lowered=[change(token) for token in order[::-1][:count]],
        divergence=float((after.exp() * difference).sum()),
        continuation=continue_text(model, tokenizer, sites, [], ids, new_tokens, writing),
        steered_continuation=continue_text(model, tokenizer, sites, clamps, ids, new_tokens, writing),
    )


@torch.inference_mode()
def next_words(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompt: str, count: int
) -> list[tuple[str, float]]:
    """The `count` likeliest tokens after a prompt with their probabilities, the likeliest first."""
    likely = _next_token(model, read_prompt(model, tokenizer, prompt)).exp()
    tokens = _tokens_in(tokenizer, torch.argsort(likely, descending=True, stable=True))[:count]
    return [(token_text(tokenizer, token), likely[token].item()) for token in tokens]


def _tokens_in(tokenizer: PreTrainedTokenizerFast, order: torch.Tensor) -> list[int]:
    """The ids among `order` that are tokens: an embedding may have more rows than the tokenizer has tokens."""
    known = set(tokenizer.get_vocab().values())
    return [number for number in order.tolist() if number in known]


def read_prompt(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompt: str) -> torch.Tensor:
    """The prompt after the model's start token: (1, T); InputError where it is empty or too long for the model."""
    (tokens,) = encode(tokenizer, [prompt], model.config.get_text_config().vocab_size).tokens
    if not len(tokens):
        raise InputError("the prompt is empty, and the model has no start token to begin from. Give some text.")
    context = context_length(model, LONGEST)
    if len(tokens) > context:
        raise InputError(f"the prompt has {len(tokens)} tokens, the model reads {context}. Give a shorter one.")
    return torch.from_numpy(tokens)[None].to(device_of(model))


def _next_token(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """The log-probabilities of the token after ids (1, T): (V,) float64, so that rare ones can be subtracted."""
    return model(input_ids=ids, use_cache=False).logits[0, -1].cpu().double().log_softmax(-1)


def continue_text(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sites: Sequence[str],
    clamps: Sequence[Clamp],
    ids: torch.Tensor,
    new_tokens: int,
    writing: Writing = GREEDY,
) -> str:
    """What the model writes after ids (1, T) with the clamps: as many tokens as it has room for."""
    new_tokens = min(new_tokens, context_length(model, LONGEST) - ids.shape[1])
    if new_tokens < 1:
        return ""
    with clamped(model, sites, clamps), _drawing(ids.device, writing.seed):
        written = GenerationMixin.generate(
            model,  # type: ignore[arg-type]
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=writing.settings(
                new_tokens,
                _ends(tokenizer),
                suppress_tokens=_no_tokens(model, tokenizer),
                # A cache shows a site the newest token alone, where places can't be counted.
                use_cache=all(clamp.positions is None for clamp in clamps),
            ),
        )
    return str(tokenizer.decode(written[0, ids.shape[1] :], clean_up_tokenization_spaces=False))


@contextmanager
def _drawing(device: torch.device, seed: int) -> Iterator[None]:
    """Random numbers of a seed in the context; those of whoever is outside go on as if nothing had been drawn."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _no_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[int] | None:
    """The rows of a padded head that are no tokens, which no text can hold; None where there are none."""
    known = set(tokenizer.get_vocab().values())
    return [row for row in range(model.config.get_text_config().vocab_size) if row not in known] or None


def _ends(tokenizer: PreTrainedTokenizerFast) -> list[int] | None:
    """The tokens that end a text, by the tokenizer; None where it has none."""
    named = tokenizer.backend_tokenizer.token_to_id(END_OF_TEXT), tokenizer.eos_token_id
    return sorted({number for number in named if number is not None}) or None


def steering_damage(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sites: Sequence[str],
    clamps: Sequence[Clamp],
    texts: list[str],
    strengths: Sequence[float],
    progress: Progress,
) -> list[dict[str, Any]]:
    """The loss on texts without clamps (`strength` None) and with them at each strength: `evaluate_texts`' figures.

    Raises InputError where a clamp is of some places only, which no two texts share.
    """
    if any(clamp.positions is not None for clamp in clamps):
        raise InputError("the damage to text is measured with units clamped everywhere: leave out @PLACES.")
    rows = [{"strength": None} | evaluate_texts(model, tokenizer, texts, None, False, progress)]
    for strength in strengths:
        with clamped(model, sites, [clamp.times(strength) for clamp in clamps]):
            rows.append({"strength": strength} | evaluate_texts(model, tokenizer, texts, None, False, progress))
    return rows
