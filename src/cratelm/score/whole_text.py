"""The correlation over all tokens of the score half, for explanations that depend on the token alone.

Random-only takes five excerpts of a unit, 320 tokens. In so few, a unit that fires on rare tokens is mostly seen
without them: its correlation comes out lower, on average, than over the whole half, and that of a unit which fires
everywhere does not. Of a table of tokens the whole half asks for no more than the unit's mean on each token.
"""

import numpy as np
import pyarrow as pa

from cratelm.artifacts import Artifact
from cratelm.explain.explain import Explanations
from cratelm.records.store import read_tables, read_units
from cratelm.score.layer import STATUS
from cratelm.score.shuffled import Shuffled
from cratelm.seeds import derive_seed
from cratelm.stats import correlation

METRIC = "whole-text"
EXPLAINERS = ("table", "table-full")
"""Those that depend on the token alone."""


def whole_text(records: Artifact, layer: int, explainer: str, explanations: Explanations, seed: int) -> pa.Table:
    """The score of each unit that the records hold a token table of: rows of metric `whole-text`.

    A unit that never fires, or of which the same is expected everywhere, scores 0. `seed` draws the shuffled control,
    among the units that have a table.
    """
    stored, statistics = read_tables(records, layer, "score"), read_units(records, layer, "score")
    units, counts, means = (stored[name] for name in ("units", "counts", "means"))
    variance = statistics["variance"][units]
    maximum = read_units(records, layer, "explain")["maximum"]
    shuffled = Shuffled.draw(units, maximum, derive_seed(seed, "shuffle", layer))
    own, control = (_expected(explanations, of, len(counts)) for of in (units, shuffled.partner[units]))
    seen = own[:, counts > 0]
    dead, constant = statistics["firing_rate"][units] == 0, seen.min(1) == seen.max(1)
    status = np.select([dead, constant], [STATUS.index("dead"), STATUS.index("constant")], 0)
    return pa.table(
        {
            "layer": pa.array(np.full(len(units), layer), pa.int16()),
            "unit": pa.array(units, pa.int32()),
            "explainer": [explainer] * len(units),
            "metric": [METRIC] * len(units),
            "score": pa.array(correlations(means, variance, own, counts), pa.float64(), from_pandas=True),
            "shuffled": pa.array(correlations(means, variance, control, counts), pa.float64(), from_pandas=True),
            "status": pa.DictionaryArray.from_arrays(pa.array(status, pa.int8()), list(STATUS)),
        }
    )


def correlations(means: np.ndarray, variance: np.ndarray, expected: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's r over all tokens of what is expected of each one and the units' activations: (units,).

    `means` (units, V) are the activations' means on each token, `variance` (units,) that of all of them; `expected`
    (units, V); `counts` (V,). 0 where one of the two does not vary, NaN where it is not finite.
    """
    count = counts.sum()
    # About their means: the table's float32 says nothing of a variance that is small beside the square of its mean.
    x, y = (of - (of @ counts / count)[:, None] for of in (means.astype(np.float64), expected))
    sums = [np.full(len(x), count), 0 * variance, y @ counts, variance * count, y**2 @ counts, (x * y) @ counts]
    return np.where(np.isfinite(variance), correlation(np.stack(sums, axis=-1)), np.nan)


def _expected(explanations: Explanations, units: np.ndarray, vocabulary: int) -> np.ndarray:
    """What is expected of units (units,) on each token: (units, V)."""
    tokens = np.broadcast_to(np.arange(vocabulary), (len(units), vocabulary))
    return explanations.simulate(units, tokens, np.zeros(len(units), np.int64))
