"""Greedy continuations: the likeliest token each time, whatever a model's folder says about generation."""

from collections.abc import Sequence
from typing import Any

from transformers import GenerationConfig, GenerationMixin, PreTrainedModel


def forget_generation_settings(model: PreTrainedModel) -> int | Sequence[int] | None:
    """Drop what came with a model's folder about generation; gives the tokens that ended a text by it.

    transformers fills every setting that a caller leaves open from `generation_config.json`: beams, penalties, forced
    and forbidden tokens, a maximal length. With `do_sample=False` alone, a continuation is still not greedy.
    """
    if not isinstance(model, GenerationMixin):
        return None
    ends = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig()
    return ends


def greedy_settings(new_tokens: int, ends: int | Sequence[int] | None, **settings: Any) -> GenerationConfig:
    """Settings of `generate` for the likeliest token each time, up to `new_tokens`, or to one of the tokens `ends`."""
    stops = [ends] if isinstance(ends, int) else list(ends or ())
    # Given as one object, since settings in the arguments make transformers look into config.json for others.
    return GenerationConfig(
        max_new_tokens=new_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=stops or None,
        pad_token_id=stops[0] if stops else 0,
        **settings,
    )
