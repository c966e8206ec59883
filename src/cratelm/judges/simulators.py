"""Simulators: an explanation and tokens in, the activation that a language model expects on each token out.

An answer that cannot be used is a Failure, which is counted and shown; it never becomes zeros.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cratelm.errors import InputError
from cratelm.judges import prompts
from cratelm.llm.model import DIGITS, Failure, LanguageModel

WORD = re.compile(r"\w+|[^\w\s]")
TOKENS_A_LINE = 8
"""Tokens that a line of an answer in text may take, a generous guess."""


@dataclass(frozen=True)
class Question:
    """What one simulation is asked."""

    explanation: str
    tokens: tuple[str, ...]


Simulated = list[float] | Failure
"""One question's activations, 0 to 9, a number a token."""


def _all_at_once(model: LanguageModel, questions: Sequence[Question]) -> Iterator[tuple[int, Simulated]]:
    asked = [prompts.all_at_once(question.explanation, question.tokens) for question in questions]
    for question_index, by_place in model.digits([prompt for prompt, _ in asked], [places for _, places in asked]):
        yield question_index, _expected(by_place)


def _token_by_token(model: LanguageModel, questions: Sequence[Question]) -> Iterator[tuple[int, Simulated]]:
    asked = [
        (question_index, place, prompt, at)
        for question_index, question in enumerate(questions)
        for place, (prompt, at) in enumerate(prompts.token_by_token(question.explanation, question.tokens))
    ]
    by_question: list[dict[int, list[float] | None]] = [{} for _ in questions]
    for row, answer in model.digits([prompt for *_, prompt, _ in asked], [at for *_, at in asked]):
        question_index, place = asked[row][:2]
        # Answers come in any order: a question is answered when all of its places are.
        by_place = by_question[question_index]
        by_place[place] = answer[0]
        if len(by_place) == len(questions[question_index].tokens):
            yield question_index, _expected([by_place[place] for place in range(len(by_place))])


def _expected(by_place: Sequence[list[float] | None]) -> Simulated:
    missing = list(by_place).count(None)
    if missing:
        return Failure(f"no digit among the likely tokens at {missing} of {len(by_place)} places")
    shares = np.array(by_place, dtype=np.float64).reshape(len(by_place), len(DIGITS))  # (places, 10)
    return (shares @ np.arange(len(DIGITS))).tolist()


def _log_probability_free(model: LanguageModel, questions: Sequence[Question]) -> Iterator[tuple[int, Simulated]]:
    asked = [prompts.log_probability_free(question.explanation, question.tokens) for question in questions]
    longest = max((len(question.tokens) for question in questions), default=0)
    for question_index, said in model.texts(asked, TOKENS_A_LINE * longest + TOKENS_A_LINE):
        yield question_index, said if isinstance(said, Failure) else parse_table(said, questions[question_index].tokens)


def parse_table(said: str, tokens: Sequence[str]) -> Simulated:
    """The strengths of a table that repeats every token in its order; otherwise a Failure."""
    lines = [line for line in said.split("\n") if line not in ("", prompts.BEGIN, prompts.END)]
    if len(lines) != len(tokens):
        return Failure(f"{len(lines)} lines for {len(tokens)} tokens")
    values = []
    for line, token in zip(lines, tokens, strict=True):
        named, tab, value = line.rpartition("\t")
        if not tab or named.strip() != prompts.on_a_line(token).strip() or value not in DIGITS or not value:
            return Failure(f"not the token and a digit: {line[:40]!r}")
        values.append(float(value))
    return values


def _listing(model: LanguageModel, questions: Sequence[Question]) -> Iterator[tuple[int, Simulated]]:
    asked = [prompts.listing(question.explanation, question.tokens) for question in questions]
    for question_index, said in model.texts(asked, 48):
        tokens = questions[question_index].tokens
        yield question_index, said if isinstance(said, Failure) else parse_listing(said, tokens)


def parse_listing(said: str, tokens: Sequence[str]) -> Simulated:
    """9 on every token that touches one of the words that were copied, 0 elsewhere; a Failure where none was copied.

    Words are found in the text by character position, so a word may lie across several tokens.
    """
    line = said.strip().split("\n")[0].strip()
    if line.lower().rstrip(".") == "none":
        return [0.0] * len(tokens)
    text, spans = "", []
    for token in tokens:
        spans.append((len(text), len(text) + len(token)))
        text += token
    wanted = {_phrase(word.lower()) for word in line.split("|")} - {()}
    words = [(match.span(), match[0].lower()) for match in WORD.finditer(text)]
    marked: list[tuple[int, int]] = []
    for phrase in wanted:
        for first in range(len(words) - len(phrase) + 1):
            if tuple(word for _, word in words[first : first + len(phrase)]) == phrase:
                marked.append((words[first][0][0], words[first + len(phrase) - 1][0][1]))
    if not marked:
        return Failure(f"none of its words occur in the text: {line[:40]!r}")
    return [9.0 if any(begin < last and first < end for first, last in marked) else 0.0 for begin, end in spans]


def _phrase(copied: str) -> tuple[str, ...]:
    """The words of a copied piece, without the punctuation around them unless it is all there is."""
    parts = WORD.findall(copied)
    inner = [place for place, part in enumerate(parts) if part.isalnum()]
    return tuple(parts[inner[0] : inner[-1] + 1] if inner else parts)


SIMULATORS: dict[str, tuple[str, Callable[[LanguageModel, Sequence[Question]], Iterator[tuple[int, Simulated]]]]] = {
    "all-at-once": ("places", _all_at_once),
    "token-by-token": ("next", _token_by_token),
    "log-probability-free": ("text", _log_probability_free),
    "listing": ("text", _listing),
}
"""Each simulator: what it needs of a judge, and itself."""


def simulate(name: str, model: LanguageModel, questions: Sequence[Question]) -> Iterator[tuple[int, Simulated]]:
    """The answers as they come, each with its question's number; InputError where the judge cannot serve it."""
    needed, ask = SIMULATORS[name]
    if needed in model.cannot:
        fit = [other for other, (needs, _) in SIMULATORS.items() if needs not in model.cannot]
        raise InputError(
            f"{name} cannot be asked of {model.name}: {model.cannot[needed]}. "
            + (f"It can serve {', '.join(fit)}." if fit else "It can serve no simulator.")
        )
    return ask(model, questions)
