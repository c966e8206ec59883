"""AUROC: whether a simulation is higher where the unit fires than where it does not."""

from cratelm.score.excerpt_sums import CHANCE
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI, Metric
from cratelm.score.scored import Scored

EXCERPTS = "top-and-random"


def _compute(inputs: LayerInputs) -> Scored:
    own, other = inputs.pair(EXCERPTS, OPENAI)
    return Scored.of_excerpts(inputs.units, own.auroc(), other.auroc(), inputs.status(own), failed=own.failed)


AUROC = Metric(
    name="auroc",
    help="how often the simulation is higher where the unit fires than where it does not; chance is 0.5",
    compute=_compute,
    order=40,
    excerpts=EXCERPTS,
    chance=CHANCE,
    endpoint=True,
)
