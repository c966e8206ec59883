"""OpenAI's random-only: the correlation over five random excerpts of 64 tokens."""

from cratelm.score.correlation import correlated
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI, Metric
from cratelm.score.scored import Scored

NAME = "random-only"


def _compute(inputs: LayerInputs) -> Scored:
    return correlated(inputs, NAME, OPENAI)


RANDOM_ONLY = Metric(
    name=NAME,
    help="correlation of simulated and true activations over five random excerpts (OpenAI)",
    compute=_compute,
    order=20,
    excerpts=NAME,
    roles=("explainer", "control", "ceiling"),
    headline=True,
    endpoint=True,
    details=("rsquared", "absolute_deviation_explained"),
)
