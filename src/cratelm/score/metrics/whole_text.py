"""The correlation over a sample of the score half's text: whole contexts, the same for all units.

Random-only takes five excerpts of a unit, 320 tokens. In so few, a unit that fires on rare tokens is mostly seen
without them: its correlation comes out lower, on average, than over the whole half, and that of a unit which fires
everywhere does not. The sample has about 16,384 tokens (records/draw_text.py). All units are simulated on it at once,
so that a unit's shuffled control is what has been simulated of another one.
"""

import numpy as np

from cratelm.explain.explainer import Explanations, simulate_all
from cratelm.records.store import read_units
from cratelm.records.text_sample import FlatSample, read_flat_sample
from cratelm.score.excerpt_sums import ExcerptSums
from cratelm.score.layer_inputs import LayerInputs
from cratelm.score.metric import OPENAI, Metric
from cratelm.score.scored import CONSTANT, DEAD, SILENT, Scored
from cratelm.score.shuffled import Shuffled
from cratelm.seeds import derive_seed
from cratelm.stats import correlation

AT_ONCE = 2**20
"""Numbers, units times tokens, that are in memory several times over."""


def _compute(inputs: LayerInputs) -> Scored:
    """Of each explained unit that the sample holds; the shuffled control is drawn among these."""
    text = inputs.once(_read)
    maximum = read_units(inputs.records, inputs.layer, inputs.protocol.explained_on)["maximum"]
    partner = Shuffled.draw(text.units, maximum, derive_seed(inputs.seed, "shuffle", inputs.layer)).partner
    simulated = simulate_text(inputs.explanations[OPENAI], text)
    own, other = sums_by_document(text, simulated, np.searchsorted(text.units, partner[text.units]))
    dead = inputs.dead[np.searchsorted(inputs.units, text.units)]
    silent, constant = ~(text.activations > 0).any(1), simulated.min(1) == simulated.max(1)
    return Scored.of_excerpts(text.units, own, other, np.select([dead, silent, constant], [DEAD, SILENT, CONSTANT], 0))


def _read(inputs: LayerInputs) -> FlatSample:
    half = inputs.protocol.scored_on
    text = read_flat_sample(inputs.records, inputs.layer, half, None if inputs.every_unit else inputs.units.tolist())
    # A unit that is not finite has no excerpts either: it counts as silent.
    text.activations[~read_units(inputs.records, inputs.layer, half)["finite"][text.units]] = 0
    return text


def simulate_text(said: Explanations, text: FlatSample) -> np.ndarray:
    """What is expected of all units of a sample on its tokens: (units, tokens) float32."""
    simulated = np.empty(text.activations.shape, np.float32)
    begins = np.cumsum(text.length) - text.length
    for length in np.unique(text.length):  # equally long pieces together: nothing is padded
        mine = np.flatnonzero(text.length == length)
        places = begins[mine, None] + np.arange(length)
        for units in _chunks(text.units, places.size):
            found = simulate_all(said, text.units[units], text.tokens[places], text.place[mine])
            simulated[units, places.ravel()] = found.reshape(len(found), places.size)
    return simulated


def _chunks(units: np.ndarray, tokens: int) -> list[slice]:
    size = max(1, AT_ONCE // max(1, tokens))
    return [slice(first, first + size) for first in range(0, max(1, len(units)), size)]


def sums_by_document(text: FlatSample, simulated: np.ndarray, partner: np.ndarray) -> tuple[ExcerptSums, ExcerptSums]:
    """The sums that correlations are made of, a document an excerpt: with each unit's own simulation, and with that of
    its partner (units,), a row of `simulated` (units, tokens). All contexts of a document are drawn again together."""
    document, first = np.unique(text.document, return_index=True)
    begins = (np.cumsum(text.length) - text.length)[first]
    count = np.diff(np.r_[begins, len(text.tokens)]).astype(np.float64)
    parts = [_moments(begins, text, simulated, partner, units) for units in _chunks(text.units, len(text.tokens))]
    x, xx, y, yy, xy, xz = (np.concatenate(some) for some in zip(*parts, strict=True))
    of_each = np.broadcast_to(count, x.shape)
    own, other = [of_each, x, y, xx, yy, xy], [of_each, x, y[partner], xx, yy[partner], xz]
    place = np.broadcast_to(document, x.shape)
    return ExcerptSums(place, np.stack(own, -1), correlation), ExcerptSums(place, np.stack(other, -1), correlation)


def _moments(
    begins: np.ndarray, text: FlatSample, simulated: np.ndarray, partner: np.ndarray, units: slice
) -> list[np.ndarray]:
    """Sums of a few units over the tokens of each document, (units, documents): x, x^2, y, y^2, x y, x z."""
    # Centred: shifting a series changes no correlation, and keeps the sums of a constant one at exactly 0.
    x, y, z = (_centred(values) for values in (text.activations[units], simulated[units], simulated[partner[units]]))
    return [np.add.reduceat(values, begins, axis=1) for values in (x, x * x, y, y * y, x * y, x * z)]


def _centred(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return values - values.mean(axis=1, keepdims=True)


WHOLE_TEXT = Metric(
    name="whole-text",
    help="correlation of simulated and true activations over about 16,384 tokens of whole contexts, "
    "of the units that have a token table",
    compute=_compute,
    order=35,
    roles=("explainer", "control", "ceiling"),
    in_words=False,
    headline=True,
    endpoint=True,
)
