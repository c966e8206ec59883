"""The correlation over all tokens of the score half, for explanations that depend on the token alone.

Random-only takes five excerpts of a unit, 320 tokens. In so few, a unit that fires on rare tokens is mostly seen
without them: its correlation comes out lower, on average, than over the whole half, and that of a unit which fires
everywhere does not. Of a table of tokens the whole half asks for no more than the unit's mean on each token.
"""

import numpy as np

from cratelm.explain.explainer import Explanations
from cratelm.records.store import read_tables, read_units
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI, Metric
from cratelm.score.scored import CONSTANT, DEAD, Scored
from cratelm.score.shuffled import Shuffled
from cratelm.seeds import derive_seed
from cratelm.stats import correlation


def _compute(inputs: LayerInputs) -> Scored:
    """Of each explained unit that the records hold a token table of; the shuffled control is drawn among these."""
    records, layer, half = inputs.records, inputs.layer, inputs.protocol.scored_on
    stored, statistics = read_tables(records, layer, half), read_units(records, layer, half)
    both, _, row = np.intersect1d(inputs.units, stored["units"], return_indices=True)
    units, tokens, counts, means = both, stored["tokens"], stored["counts"], stored["means"][row]
    variance = statistics["variance"][units]
    maximum = read_units(records, layer, inputs.protocol.explained_on)["maximum"]
    partner = Shuffled.draw(units, maximum, derive_seed(inputs.seed, "shuffle", layer)).partner
    said = inputs.explanations[OPENAI]
    own = _expected(said, units, tokens)
    control = own[np.searchsorted(units, partner[units])]
    # On the tokens of the score half: a table that differs on others expects one thing everywhere in it.
    dead, constant = statistics["firing_rate"][units] == 0, own.min(1) == own.max(1)
    scores, shuffled = (correlations(means, variance, expected, counts) for expected in (own, control))
    return Scored(units, scores, shuffled, np.select([dead, constant], [DEAD, CONSTANT], 0))


def correlations(means: np.ndarray, variance: np.ndarray, expected: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's r over all tokens of what is expected of each one and the units' activations: (units,).

    `means` (units, tokens) are the activations' means on each token that occurs, `variance` (units,) that of all of
    them; `expected` (units, tokens); `counts` (tokens,). 0 where one of the two does not vary, NaN where it is not
    finite.
    """
    count = counts.sum()
    # About their means: the table's float32 says nothing of a variance that is small beside the square of its mean.
    x, y = (values - (values @ counts / count)[:, None] for values in (means.astype(np.float64), expected))
    sums = [np.full(len(x), count), 0 * variance, y @ counts, variance * count, y**2 @ counts, (x * y) @ counts]
    return np.where(np.isfinite(variance), correlation(np.stack(sums, axis=-1)), np.nan)


def _expected(explanations: Explanations, units: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """What is expected of units (units,) on each of the tokens: (units, tokens)."""
    every = np.broadcast_to(tokens, (len(units), len(tokens)))
    return explanations.simulate(units, every, np.zeros(len(units), np.int64))


WHOLE_TEXT = Metric(
    name="whole-text",
    help="random-only over all tokens of the score half, of the units that have a token table",
    compute=_compute,
    beside="random-only",
    order=35,
    roles=("explainer", "ceiling"),
    of_tokens=True,
)
