"""A judge's choice among digits: the likeliest one where it gives log-probabilities, else the one that it writes."""

from collections.abc import Iterator, Sequence

from cratelm.errors import InputError
from cratelm.llm.model import Failure, LanguageModel

LONGEST = 3
"""Tokens of an answer in text."""


def choose(model: LanguageModel, prompts: Sequence[str], options: str) -> Iterator[tuple[int, int | Failure]]:
    """The digit among `options` that the model puts after each prompt, as they come.

    Raises InputError where the model gives neither log-probabilities nor text.
    """
    if "next" not in model.cannot:
        for prompt_index, (shares,) in model.digits(prompts, [[len(prompt)] for prompt in prompts]):
            yield prompt_index, _likeliest(shares, options)
    elif "text" not in model.cannot:
        for prompt_index, said in model.texts(prompts, LONGEST):
            yield prompt_index, said if isinstance(said, Failure) else _written(said, options)
    else:
        raise InputError(f"{model.name} gives neither log-probabilities nor text: {model.cannot['text']}.")


def _written(said: str, options: str) -> int | Failure:
    digit = said.strip()[:1]
    return int(digit) if digit and digit in options else Failure(f"none of {options}: {said[:20]!r}")


def _likeliest(shares: list[float] | None, options: str) -> int | Failure:
    known = {int(option): shares[int(option)] for option in options} if shares is not None else {}
    best = max(known.values(), default=0.0)
    return next((digit for digit, share in known.items() if share == best), 0) if best > 0 else Failure("no digit")
