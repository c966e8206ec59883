"""Intruder (arXiv 2507.08473): which of five excerpts is the one that the unit is silent in?"""

from collections.abc import Iterator
from itertools import islice

from cratelm.judges import prompts
from cratelm.protocols import SHORT
from cratelm.score.metric import Metric
from cratelm.score.questions import NOTE, OTHERS, TRIALS
from cratelm.score.told_apart import intruders


def _most_asked(numbers: Iterator[int]) -> list[str]:
    return [prompts.intruder([[f" word{number}"] * SHORT] * (1 + OTHERS)) for number in islice(numbers, TRIALS)]


INTRUDER = Metric(
    name="intruder",
    help="whether an explanation finds the one excerpt of five in which a unit is silent; chance is 0.2",
    compute=intruders,
    order=90,
    chance=1 / (1 + OTHERS),
    roles=("explainer",),
    note=NOTE,
    most_asked=_most_asked,
)
