"""A judge in this process: any causal language model that transformers loads, GGUF files included.

The prefix that a batch's prompts share is run once and its key-value cache kept; prompts go in batches; and the head
is applied to the digits alone, at the places that are read.
"""

import hashlib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging

import cratelm.models  # noqa: F401 (registers our models with AutoModel)
from cratelm.errors import InputError, first_line
from cratelm.greedy import forget_generation_settings, greedy_settings
from cratelm.llm.model import DIGITS, STOP, Failure, Shares
from cratelm.llm.words import CUT_OFF, words
from cratelm.whole_texts import keep_whole

BATCH = 16
"""Prompts at a time."""


class LocalModel:
    """A model's folder, or a GGUF file."""

    def __init__(self, path: Path) -> None:
        """Load it; InputError where it is not there, is no model, or splits the digits."""
        if not path.exists():
            raise InputError(f"no judge at {path}. Give --llm a server's address, a model's folder or a GGUF file.")
        where: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        folder = path
        if path.suffix == ".gguf":
            folder, where["gguf_file"] = path.parent, path.name
        logging.disable_progress_bar()  # the package shows its own
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, **where)
            safe = {} if path.suffix == ".gguf" else {"use_safetensors": True}
            network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **where, **safe)
        except Exception as error:  # transformers raises nearly anything where files make no sense
            raise InputError(f"the judge in {path} cannot be loaded: {first_line(error)}") from error
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if tokenizer.is_fast:  # one in Python has none of the settings
            keep_whole(tokenizer.backend_tokenizer)
        self.ends = forget_generation_settings(network)
        self.network, self.tokenizer = network.to(self.device).eval(), tokenizer
        self.name = f"{path.name} {_fingerprint(network)}"
        self.cannot = {} if self._whole_digits() else dict.fromkeys(("places", "next"), _SPLIT)
        self._prefix: tuple[list[int], DynamicCache] | None = None

    def texts(self, prompts: Sequence[str], limit: int) -> Iterator[tuple[int, str | Failure]]:
        """As LanguageModel.texts; the likeliest token each time."""
        ids = [list(self.tokenizer(prompt)["input_ids"]) for prompt in prompts]
        self._require_room(max(map(len, ids), default=0) + limit)
        shared = self._keep_prefix(ids, [[len(row) - 1] for row in ids])
        # Prompts of one length go together: filling others up would put them elsewhere than a model expects.
        order = sorted(range(len(ids)), key=lambda prompt_index: len(ids[prompt_index]))
        for _, same in groupby(order, key=lambda prompt_index: len(ids[prompt_index])):
            numbers = list(same)
            for begin in range(0, len(numbers), BATCH):
                batch = numbers[begin : begin + BATCH]
                yield from zip(batch, self._continued([ids[k] for k in batch], shared, limit), strict=True)

    def _continued(self, ids: list[list[int]], shared: int, limit: int) -> list[str | Failure]:
        """What follows prompts of one length, whose first `shared` tokens are the kept prefix."""
        rows = torch.tensor(ids, device=self.device)
        with torch.inference_mode():
            said = self.network.generate(
                rows,
                attention_mask=torch.ones_like(rows),
                past_key_values=_copies(self._prefix[1], len(ids)) if shared and self._prefix else None,
                generation_config=greedy_settings(limit, self.ends, stop_strings=[STOP]),
                tokenizer=self.tokenizer,
            )
        texts = self.tokenizer.batch_decode(
            said[:, rows.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [_heard(text) for text in texts]

    def digits(self, prompts: Sequence[str], places: Sequence[Sequence[int]]) -> Iterator[tuple[int, Shares]]:
        """As LanguageModel.digits."""
        encoded = [self.tokenizer(prompt, return_offsets_mapping=True) for prompt in prompts]
        ids = [list(encoding["input_ids"]) for encoding in encoded]
        self._require_room(max(map(len, ids), default=0))
        reads = [
            [token_before(encoding["offset_mapping"], place, len(prompt)) for place in at]
            for encoding, prompt, at in zip(encoded, prompts, places, strict=True)
        ]
        shared = self._keep_prefix(ids, reads)
        order = sorted(range(len(ids)), key=lambda prompt_index: len(ids[prompt_index]))
        for begin in range(0, len(order), BATCH):
            numbers = order[begin : begin + BATCH]
            shares = self._batch([ids[k][shared:] for k in numbers], [[r - shared for r in reads[k]] for k in numbers])
            yield from zip(numbers, shares, strict=True)

    def _require_room(self, tokens: int) -> None:
        room = getattr(self.network.config, "max_position_embeddings", None)
        if room is not None and tokens > room:
            raise InputError(f"a prompt and its answer take {tokens} tokens, and {self.name} has room for {room}.")

    def _keep_prefix(self, ids: list[list[int]], reads: list[list[int]]) -> int:
        """Run what all prompts begin with, up to the first place that is read; its length."""
        begin = _common(ids)
        first = min((read for row in reads for read in row if read >= 0), default=0)
        begin = begin[: min(first, len(begin), min(map(len, ids)) - 1)]
        if begin and (self._prefix is None or self._prefix[0] != begin):
            cache = DynamicCache(config=self.network.config)
            with torch.inference_mode():
                self.network.base_model(torch.tensor([begin], device=self.device), past_key_values=cache)
            self._prefix = begin, cache
        if not begin:
            self._prefix = None
        return len(begin)

    def _batch(self, ids: list[list[int]], reads: list[list[int]]) -> list[Shares]:
        """The shares at tokens `reads` of prompts without their shared prefix; -1 or less means no such place."""
        width = max(map(len, ids))
        # Filled up on the right, where causal attention lets nothing back.
        rows = torch.tensor([row + [row[-1]] * (width - len(row)) for row in ids], device=self.device)
        with torch.inference_mode():
            cache = _copies(self._prefix[1], len(ids)) if self._prefix else None
            hidden = self.network.base_model(rows, past_key_values=cache, use_cache=cache is not None)[0]
            likely = self._digit_shares(hidden)
        return [[likely[k, read].tolist() if read >= 0 else None for read in row] for k, row in enumerate(reads)]

    def _digit_shares(self, hidden: torch.Tensor) -> torch.Tensor:
        """The probabilities among DIGITS, (..., 10), after hidden states (..., width)."""
        scores = hidden @ self.network.get_output_embeddings().weight[self._digit_ids].T
        # Gemma's head caps its logits. The head is not run here, since ten of its rows are enough.
        cap = getattr(self.network.config, "final_logit_softcapping", None)
        scores = cap * torch.tanh(scores / cap) if cap else scores
        return scores.double().softmax(-1)

    def _whole_digits(self) -> bool:
        """Whether each digit after a tab is one token; remembers which."""
        behind = [self.tokenizer(f"a\t{digit}")["input_ids"] for digit in DIGITS]
        bare = self.tokenizer("a\t")["input_ids"]
        self._digit_ids = [row[-1] for row in behind]
        return all(row[:-1] == bare for row in behind) and len(set(self._digit_ids)) == len(DIGITS)


def _heard(text: str) -> str | Failure:
    said = words(text.partition(STOP)[0])
    return Failure(_REASONS) if said == Failure(CUT_OFF) else said


_REASONS = "reasons before it answers, which only a judge behind a server may"
"""STOP, without which a base model never ends, ends the reasoning before the answer begins."""
_SPLIT = "its tokenizer does not keep the digits 0 to 9 as single tokens after a tab"


def _fingerprint(network: torch.nn.Module) -> str:
    """Tells two models of one file name apart: a hash of a piece of every weight."""
    digest = hashlib.sha256()
    for name, weight in network.named_parameters():
        digest.update(f"{name} {tuple(weight.shape)}".encode() + weight.detach().flatten()[:64].cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def token_before(offsets: Sequence[tuple[int, int]], place: int, length: int) -> int:
    """The number of the token after which the character at `place` follows; -1 where a token lies across it."""
    if place == length:
        return len(offsets) - 1
    for token_index, (begin, end) in enumerate(offsets):
        if begin == place and end > begin:
            return token_index - 1
    return -1


def _common(rows: list[list[int]]) -> list[int]:
    """What all rows begin with."""
    lowest, highest = min(rows), max(rows)  # whatever these two share, all between them share
    length = next((k for k, (a, b) in enumerate(zip(lowest, highest, strict=False)) if a != b), len(lowest))
    return lowest[:length]


def _copies(kept: DynamicCache, count: int) -> DynamicCache:
    """The cache of one row for `count` rows; the kept one stays as it is."""
    cache = deepcopy(kept)
    cache.batch_repeat_interleave(count)
    return cache
