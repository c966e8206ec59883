"""How often a unit fires on the start of a sentence or of a line: one of the ways to find a unit."""

import re

import numpy as np

from cratelm.records.store import read_excerpts
from cratelm.viewer.viewed_study import ViewedModel

ENDS = re.compile(r"""[.!?]["'”’)\]]*\s*$|\n""")
"""What the token before the first one of a sentence or line looks like."""


def sentence_starts(model: ViewedModel, layer: int) -> np.ndarray:
    """The share of each unit's long top excerpts whose strongest token starts a sentence or a line: (units,).

    NaN of units without such excerpts. An excerpt whose strongest token is its first one counts only where that is the
    first of its context, since the token before it is not recorded.
    """
    excerpts = read_excerpts(model.records, layer, model.protocol.explained_on, "top")
    ends = np.array([ENDS.search(text) is not None for text in model.texts])
    strongest = excerpts.activations.argmax(1)
    rows = np.arange(len(strongest))
    after_end = (strongest > 0) & ends[excerpts.tokens[rows, np.maximum(strongest - 1, 0)]]
    starts = after_end | ((strongest == 0) & (excerpts.place == 0))
    units = model.sites[layer].units
    counts = np.bincount(excerpts.unit, minlength=units).astype(float)
    return np.divide(np.bincount(excerpts.unit, starts, units), counts, out=np.full(units, np.nan), where=counts > 0)
