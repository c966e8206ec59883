"""What a study would ask of its language model, said before anything is trained: so counted on text made up."""

from collections.abc import Sequence
from itertools import count

from cratelm.judges import prompts
from cratelm.judges.ask_for_explanations import LIMIT
from cratelm.judges.sentences import Reader
from cratelm.judges.simulators import Question
from cratelm.llm.planned_requests import Plan, Planned
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.protocols import STRICT, Draw
from cratelm.records.config import INTERVALS
from cratelm.score.judge_check import try_on_puzzles
from cratelm.score.registry import metrics_named

WORD = " word"
"""Stands for each token of an excerpt."""
EXPLANATION = "words about one thing or another, {}"


def plan_study(config: StudyConfig, price: float, progress: Progress) -> Plan:
    """The most that the language model is asked: every drawn unit fires, and no excerpt is drawn twice."""
    planned = Planned(config.judge.llm_max_tokens)
    models, layers = 2 * len(config.model_names), config.shape.layers
    with progress.task("planning", total=models * layers * config.explain.llm_units) as bar:
        reader = Reader(config.score.simulator, planned, [], bar)
        try_on_puzzles(reader, config.score.puzzles)
        numbers = count()
        for _ in range(models * layers * config.explain.llm_units):
            _plan_unit(config, reader, planned, numbers)
            bar.advance()
    return planned.plan(price)


def _plan_unit(config: StudyConfig, reader: Reader, planned: Planned, numbers: "count[int]") -> None:
    for draws in STRICT.shown.values():
        shown = [([f"{WORD}{next(numbers)}"] * draw.length, [1.0] * draw.length) for draw in _each(draws)]
        list(planned.texts([prompts.explanation(shown)], LIMIT))
    metrics = metrics_named(config.judge_metric)
    # A set: an excerpt that two metrics read is asked about once.
    read = {draw for metric in metrics for draw in STRICT.scored.get(metric.excerpts or "", ())}
    excerpts = [(WORD,) * draw.length for draw in _each(sorted(read, key=repr))]
    own_and_shuffled = [EXPLANATION.format(next(numbers)) for _ in range(2 * len(excerpts))]
    reader.read([Question(text, tokens) for text, tokens in zip(own_and_shuffled, excerpts * 2, strict=True)])
    for metric in metrics:
        if metric.most_asked is not None:
            reader.choose(metric.most_asked(numbers), "01")


def _each(draws: Sequence[Draw]) -> list[Draw]:
    """A draw for each excerpt."""
    return [draw for draw in draws for _ in range(len(draw.ranks) * (INTERVALS if draw.kind == "interval" else 1))]
