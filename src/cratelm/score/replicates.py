"""Replicates of a layer's mean score, whose spread is its uncertainty: over documents and over units.

Documents and units vary independently. Drawing both again at once counts what belongs to one unit in one document
about three times (Owen 2007, the pigeonhole bootstrap). The variance is therefore put together from three parts
(Cameron, Gelbach & Miller 2011): documents drawn again, plus units drawn again, less what both contain, the variance of
a unit's own excerpts.
"""

import numpy as np

from cratelm.score.excerpt_sums import ExcerptSums

BLOCK = 100
"""Replicates computed at once, so that memory stays small."""


def layer_replicates(sums: ExcerptSums, drawn: np.ndarray, unit_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean score of all units in each replicate, (replicates,): documents and units drawn, and documents alone.

    `drawn` (replicates, documents) says how often each document is drawn, and its excerpts with it: the same numbers
    for every model that is compared, so that differences keep what the models share. `unit_weights` (replicates,
    units) says how often each unit is.
    """
    of_documents, of_excerpts = _documents_drawn(sums, drawn)
    scores = sums.scores()
    known = ~np.isnan(scores)
    if known.sum() < 2:
        return of_documents, of_documents
    scores, unit_weights = scores[known], unit_weights[:, known]
    of_units = scores.var(ddof=1) / len(scores)
    # The part of the units' spread that their own few excerpts do not account for.
    # Units differ by what they are and by which excerpts they got; the documents drawn again hold the second already.
    kept = 1 - of_excerpts / of_units if of_units > 0 else 0.0
    # The change of a mean when units are drawn again, without drawing: its linear part.
    drawn_units = (unit_weights - 1) @ (scores - scores.mean()) / len(scores)
    return of_documents + np.sqrt(max(kept, 0.0)) * drawn_units, of_documents


def _documents_drawn(sums: ExcerptSums, drawn: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean over units in each replicate of the documents, (replicates,), and the variance that it would have if
    each unit had documents of its own.

    A unit that lost all its excerpts in a replicate has no part in it.
    """
    means, blocks = [], []
    for start in range(0, len(drawn), BLOCK):
        scores = sums.scores(drawn[start : start + BLOCK][:, sums.document])  # (block, units)
        count = (~np.isnan(scores)).sum(1)
        with np.errstate(invalid="ignore"):
            means.append(np.nansum(scores, axis=1) / np.where(count, count, np.nan))
        # Half the memory; a variance needs no more digits.
        blocks.append(scores.astype(np.float32))
    spread = _variance(np.concatenate(blocks))
    units = (~np.isnan(spread)).sum()
    return np.concatenate(means), float(np.nansum(spread) / units**2) if units else 0.0


def _variance(scores: np.ndarray) -> np.ndarray:
    """The variance over replicates of each unit's score, (replicates, units) to (units,); NaN where it has none."""
    count = (~np.isnan(scores)).sum(0)
    count = np.where(count > 1, count, np.nan)
    mean = np.nansum(scores, axis=0, dtype=np.float64) / count
    return np.nansum((scores - mean) ** 2, axis=0, dtype=np.float64) / (count - 1)
