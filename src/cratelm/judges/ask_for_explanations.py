"""The explainer in OpenAI's manner: a unit's strongest excerpts as tokens and strengths in, a few words out.

Bills et al., *Language models can explain neurons in language models* (2023); the prompt is our own (prompts.py).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from cratelm.judges import prompts
from cratelm.llm.model import Failure, LanguageModel
from cratelm.records.excerpts import Excerpts

LIMIT = 60
"""Tokens that an explanation may take, as in OpenAI's code."""


def explain_units(
    model: LanguageModel, shown: Excerpts, units: Sequence[int], texts: Sequence[str]
) -> Iterator[tuple[int, str | Failure]]:
    """Each unit with its explanation, as they come; a unit that never fires on what is shown is not asked about."""
    firing = [unit for unit in units if shown.activations[shown.unit == unit].max(initial=0) > 0]
    asked = [prompts.explanation(_strongest_first(shown.where(shown.unit == unit), texts)) for unit in firing]
    for prompt_index, said in model.texts(asked, LIMIT):
        yield firing[prompt_index], said if isinstance(said, Failure) else parse_explanation(said)


def _strongest_first(excerpts: Excerpts, texts: Sequence[str]) -> list[tuple[list[str], list[float]]]:
    order = np.argsort(-excerpts.activations.max(1), kind="stable")
    return [
        ([texts[token] for token in excerpts.tokens[row]], [float(value) for value in excerpts.activations[row]])
        for row in order
    ]


def parse_explanation(said: str) -> str | Failure:
    """The first line of an answer, without the beginning that the prompt gave and the full stop at its end."""
    line = said.strip().split("\n")[0].strip()
    line = line.removeprefix(prompts.FIRES_ON).strip().removesuffix(".").strip()
    return line or Failure("no words")
