"""What a study would ask of its language model, said before anything is trained: so counted on text made up."""

from itertools import count

from cratelm.explain.selection import EVIDENCE, PROTOCOLS, Draw
from cratelm.judges import prompts
from cratelm.judges.explainer import LIMIT
from cratelm.judges.sentences import Reader
from cratelm.judges.simulators import Question
from cratelm.llm.plan import Plan, Planned
from cratelm.presets import StudyConfig
from cratelm.progress import Progress
from cratelm.records.config import INTERVALS, SHORT
from cratelm.score.config import CORRELATIONS, DETECTIONS
from cratelm.score.detection import OTHERS, SILENT, TRIALS
from cratelm.score.trial import try_on_puzzles

WORD = " word"
"""Stands for each token of an excerpt."""
MOST = {"detection": 4 * SILENT, "fuzzing": 4 * SILENT, "intruder": TRIALS}
"""Questions about a unit: of the first two as many that fire as are silent, with its own words and with another's."""
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
    protocol = PROTOCOLS["strict"]
    for draws in protocol.shown.values():
        shown = [([f"{WORD}{next(numbers)}"] * draw.length, [1.0] * draw.length) for draw in _each(draws)]
        list(planned.texts([prompts.explanation(shown)], LIMIT))
    metrics = [name.strip() for name in config.judge_metric.split(",")]
    # AUROC and the like are read off the excerpts of top-and-random.
    drawn = {name if name in CORRELATIONS else "top-and-random" for name in metrics if name not in DETECTIONS}
    if "top-and-random" in drawn:
        drawn.discard("random-only")  # whose excerpts are among them
    for metric in sorted(drawn):
        assert metric in EVIDENCE
        excerpts = [(WORD,) * draw.length for draw in _each(protocol.scored[metric])]
        own_and_shuffled = [EXPLANATION.format(next(numbers)) for _ in range(2 * len(excerpts))]
        reader.read([Question(text, tokens) for text, tokens in zip(own_and_shuffled, excerpts * 2, strict=True)])
    for metric in DETECTIONS:
        if metric in metrics:
            reader.choose([_question(metric, next(numbers)) for _ in range(MOST[metric])], "01")


def _question(metric: str, number: int) -> str:
    if metric == "intruder":
        return prompts.intruder([[f"{WORD}{number}"] * SHORT] * (1 + OTHERS))
    return prompts.detection(EXPLANATION.format(number), [WORD] * SHORT, [metric == "detection"] * (SHORT - 1) + [True])


def _each(draws: tuple[Draw, ...]) -> list[Draw]:
    """A draw for each excerpt."""
    return [draw for draw in draws for _ in range(len(draw.ranks) * (INTERVALS if draw.kind == "interval" else 1))]
