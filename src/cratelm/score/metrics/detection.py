"""Detection (Paulo et al., arXiv 2410.13928): does the unit fire in this excerpt?"""

from collections.abc import Iterator
from itertools import islice

from cratelm.judges import prompts
from cratelm.protocols import SHORT
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import Metric
from cratelm.score.questions import MOST_SILENT, NOTE, whole_excerpts
from cratelm.score.scored import Scored
from cratelm.score.told_apart import classified


def _compute(inputs: LayerInputs) -> Scored:
    return classified(inputs, whole_excerpts)


def _most_asked(numbers: Iterator[int]) -> list[str]:
    """As many excerpts that fire as are silent, read with the unit's own words and with another's."""
    marked = [True] * SHORT
    texts = (f"words about one thing or another, {number}" for number in islice(numbers, 4 * MOST_SILENT))
    return [prompts.detection(text, [" word"] * SHORT, marked) for text in texts]


DETECTION = Metric(
    name="detection",
    help="whether an explanation tells the excerpts that a unit fires in from others; chance is 0.5",
    compute=_compute,
    order=70,
    chance=0.5,
    roles=("explainer",),
    note=NOTE,
    most_asked=_most_asked,
)
