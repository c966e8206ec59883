"""Detection (Paulo et al., arXiv 2410.13928): does the unit fire in this excerpt?"""

from functools import partial

from cratelm.protocols import SHORT
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import Metric
from cratelm.score.questions import NOTE, whole_excerpts
from cratelm.score.scored import Scored
from cratelm.score.told_apart import classified, most_classified


def _compute(inputs: LayerInputs) -> Scored:
    return classified(inputs, whole_excerpts)


DETECTION = Metric(
    name="detection",
    help="whether an explanation tells the excerpts that a unit fires in from others; chance is 0.5",
    compute=_compute,
    order=70,
    chance=0.5,
    roles=("explainer",),
    note=NOTE,
    most_asked=partial(most_classified, [True] * SHORT),
)
