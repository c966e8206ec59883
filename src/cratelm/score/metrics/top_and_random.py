"""OpenAI's top-and-random: the correlation over five top and five random excerpts of 64 tokens."""

from cratelm.score.correlation import correlated
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI, Metric
from cratelm.score.scored import Scored

NAME = "top-and-random"


def _compute(inputs: LayerInputs) -> Scored:
    return correlated(inputs, NAME, OPENAI)


TOP_AND_RANDOM = Metric(
    name=NAME,
    help="correlation of simulated and true activations over five top and five random excerpts (OpenAI)",
    compute=_compute,
    order=10,
    excerpts=NAME,
    roles=("explainer", "control", "ceiling"),
    headline=True,
    endpoint=True,
)
