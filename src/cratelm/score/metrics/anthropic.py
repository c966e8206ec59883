"""Anthropic's metric: the correlation over short excerpts of all strengths."""

from cratelm.score.correlation import correlated
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import Metric
from cratelm.score.scored import Scored

NAME = "anthropic"


def _compute(inputs: LayerInputs) -> Scored:
    return correlated(inputs, NAME, NAME)


ANTHROPIC = Metric(
    name=NAME,
    help="correlation of simulated and true activations over short excerpts of all strengths (Anthropic)",
    compute=_compute,
    order=30,
    excerpts=NAME,
    roles=("explainer", "control", "ceiling"),
    headline=True,
    endpoint=True,
    unit_intervals=True,
    details=("pearson",),
)
