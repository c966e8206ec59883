"""Consistency: whether what a unit fires on is what its explanation names."""

import numpy as np

from cratelm.score.excerpt_sums import ExcerptSums, Series
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI, Metric
from cratelm.score.scored import Scored

EXCERPTS = "top-and-random"


def _compute(inputs: LayerInputs) -> Scored:
    own, other = inputs.pair(EXCERPTS, OPENAI, kind="top")
    named, shuffled = (_named(inputs, series) for series in (own, other))
    return Scored.of_excerpts(inputs.units, named, shuffled, inputs.status(own), failed=own.failed)


def _named(inputs: LayerInputs, series: Series) -> ExcerptSums:
    said = series.simulated > inputs.strong[inputs.units][series.positions.unit]
    activation = np.maximum(series.truth, 0)
    return series.share(activation * said, activation)


CONSISTENCY = Metric(
    name="consistency",
    help="the share of a unit's activation on top excerpts where its explanation expects a tenth of its maximum",
    compute=_compute,
    order=50,
    excerpts=EXCERPTS,
)
