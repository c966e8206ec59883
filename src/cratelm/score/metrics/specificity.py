"""Specificity: whether a unit is silent where its explanation says nothing."""

import numpy as np

from cratelm.score.excerpt_sums import ExcerptSums, Series, ratio
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI, Metric
from cratelm.score.scored import Scored

EXCERPTS = "random-only"


def _compute(inputs: LayerInputs) -> Scored:
    own, other = inputs.pair(EXCERPTS, OPENAI)
    named, shuffled = (_said(inputs, series) for series in (own, other))
    return Scored.of_excerpts(inputs.units, named, shuffled, inputs.status(own), failed=own.failed)


def _said(inputs: LayerInputs, series: Series) -> ExcerptSums:
    positions = series.positions
    strong = inputs.strong[inputs.units][series.positions.unit]
    fires, says, present = np.moveaxis(
        positions.by_excerpt(series.truth > strong, series.simulated > strong, np.ones(len(strong))) > 0, -1, 0
    )
    kept = present & ~(fires & ~says)
    return ExcerptSums(positions.document, np.stack([kept, present, present], axis=-1).astype(np.float64), ratio)


SPECIFICITY = Metric(
    name="specificity",
    help="1 minus the share of random excerpts in which a unit fires strongly and its explanation expects nothing",
    compute=_compute,
    order=60,
    excerpts=EXCERPTS,
)
