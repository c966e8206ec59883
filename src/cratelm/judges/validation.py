"""Whether a judge can judge: on puzzles it has to rank the true explanation above its false rivals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from cratelm.judges.puzzles import Puzzle
from cratelm.judges.simulators import Question, Simulated, simulate
from cratelm.llm.model import Failure, LanguageModel
from cratelm.progress import Bar
from cratelm.stats import pearson

PASSES = 0.8
"""A judge passes where it ranks the true explanation first in this share of the puzzles, or more."""


@dataclass(frozen=True)
class Judged:
    """What a judge made of one puzzle; a correlation is None where too few of its answers could be used."""

    name: str
    rank: int | None
    """Of the true explanation among its rivals by correlation; 1 is the first, and ties count against it."""
    correlation: float | None
    control: float | None
    """The same with the true explanation of another puzzle."""
    failures: int
    answers: int


def questions_of(puzzles: Sequence[Puzzle]) -> list[Question]:
    """Of each puzzle: the true explanation, the false ones, another's; each on all sentences."""
    return [
        Question(explanation, tuple(sentence.tokens))
        for puzzle_index, puzzle in enumerate(puzzles)
        for explanation in _explanations(puzzles, puzzle_index)
        for sentence in puzzle.sentences
    ]


def _explanations(puzzles: Sequence[Puzzle], puzzle_index: int) -> list[str]:
    puzzle = puzzles[puzzle_index]
    # Before the first stands the last, so that each has another's.
    return [puzzle.explanation, *puzzle.false_explanations, puzzles[puzzle_index - 1].explanation]


def judge_puzzles(
    simulator: str, model: LanguageModel, puzzles: Sequence[Puzzle], bar: Bar
) -> tuple[list[Judged], Counter[str]]:
    """Each puzzle as judged, and how often each reason made an answer useless."""
    questions = questions_of(puzzles)
    answers: dict[int, Simulated] = {}
    for question_index, answer in simulate(simulator, model, questions):
        answers[question_index] = answer
        bar.advance(note="puzzles")
    reasons = Counter(answer.reason.split(":")[0] for answer in answers.values() if isinstance(answer, Failure))
    judged, first = [], 0
    for question_index, puzzle in enumerate(puzzles):
        count = len(_explanations(puzzles, question_index)) * len(puzzle.sentences)
        judged.append(_judged(puzzle, [answers[k] for k in range(first, first + count)]))
        first += count
    return judged, reasons


def _judged(puzzle: Puzzle, answers: list[Simulated]) -> Judged:
    size = len(puzzle.sentences)
    scores = [_score(puzzle, answers[begin : begin + size]) for begin in range(0, len(answers), size)]
    true, rivals, control = scores[0], scores[1:-1], scores[-1]
    rank = None if true is None else 1 + sum(rival is not None and rival >= true for rival in rivals)
    failures = sum(isinstance(answer, Failure) for answer in answers)
    return Judged(puzzle.name, rank, true, control, failures, len(answers))


def _score(puzzle: Puzzle, answers: list[Simulated]) -> float | None:
    """The correlation over the sentences whose answers could be used; None where half of them or more could not."""
    pairs = [
        (sentence.activations, answer)
        for sentence, answer in zip(puzzle.sentences, answers, strict=True)
        if not isinstance(answer, Failure)
    ]
    if 2 * len(pairs) <= len(answers):
        return None
    return pearson([x for truth, _ in pairs for x in truth], [x for _, answer in pairs for x in answer])


@dataclass(frozen=True)
class Summary:
    """What a judge made of all puzzles."""

    puzzles: int
    first: int
    """In how many of them it put the true explanation first."""
    correlation: float | None
    """The mean over the puzzles that have one, and likewise `control`."""
    control: float | None
    passes: bool
    """Whether the judge's numbers may stand unmarked."""


def summary(judged: Sequence[Judged]) -> Summary:
    """The puzzles together."""
    first = sum(row.rank == 1 for row in judged)
    known, controls = ([value for value in values if value is not None] for values in _columns(judged))
    return Summary(
        puzzles=len(judged),
        first=first,
        correlation=mean(known) if known else None,
        control=mean(controls) if controls else None,
        passes=first >= PASSES * len(judged),
    )


def _columns(judged: Sequence[Judged]) -> tuple[list[float | None], list[float | None]]:
    return [row.correlation for row in judged], [row.control for row in judged]


def passes(judged: Sequence[Judged]) -> bool:
    """Whether the judge's numbers may stand unmarked."""
    return summary(judged).passes
