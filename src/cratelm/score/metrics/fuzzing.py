"""Fuzzing (Paulo et al., arXiv 2410.13928): does the unit fire on the tokens that are marked?"""

from functools import partial

from cratelm.protocols import SHORT
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import Metric
from cratelm.score.questions import NOTE, marked_tokens
from cratelm.score.scored import Scored
from cratelm.score.told_apart import classified, most_classified


def _compute(inputs: LayerInputs) -> Scored:
    return classified(inputs, marked_tokens)


FUZZING = Metric(
    name="fuzzing",
    help="whether an explanation tells the tokens that a unit fires on from others of the excerpt; chance is 0.5",
    compute=_compute,
    order=80,
    chance=0.5,
    roles=("explainer",),
    note=NOTE,
    most_asked=partial(most_classified, [False] * (SHORT - 1) + [True]),
)
