"""Continuations, greedy or drawn, that depend on nothing that a model's folder says about generation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, GenerationMixin, PreTrainedModel


@dataclass(frozen=True)
class Writing:
    """How a continuation is written."""

    temperature: float = 0.0
    """Tokens are drawn from the distribution at this temperature; 0 takes the likeliest one each time."""
    seed: int = 0
    """Of what is drawn: the same seed draws the same tokens."""
    past_end: bool = False
    """Go on after a token that ends a text."""

    def settings(self, new_tokens: int, ends: Sequence[int] | None, **settings: Any) -> GenerationConfig:
        """Settings of `generate` for up to `new_tokens` tokens, or up to one of the tokens `ends`."""
        chosen = greedy_settings(new_tokens, None if self.past_end else ends, **settings)
        if self.temperature:
            # transformers would draw from the 50 likeliest tokens alone.
            chosen.update(do_sample=True, temperature=float(self.temperature), top_k=0, top_p=1.0)
        return chosen


GREEDY = Writing()


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
