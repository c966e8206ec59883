"""Replicates of a layer's mean score, whose spread is its uncertainty: over documents and over units.

Documents and units vary independently. Drawing both again at once counts what belongs to one unit in one document
about three times (Owen 2007, the pigeonhole bootstrap). The variance is therefore put together from three parts
(Cameron, Gelbach & Miller 2011): documents drawn again, plus units drawn again, less what both contain, the variance of
a unit's own excerpts.

Nothing is scored again in a replicate. What each excerpt does to its unit's score is found once, by leaving it out and
by taking it twice; a replicate adds up what its documents' excerpts do.
"""

import numpy as np

from cratelm.score.excerpt_sums import ExcerptSums


def layer_replicates(sums: ExcerptSums, drawn: np.ndarray, unit_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean score of all units in each replicate, (replicates,): documents and units drawn, and documents alone.

    `drawn` (replicates, documents) says how often each document is drawn, and its excerpts with it: the same numbers
    for every model that is compared, so that differences keep what the models share. `unit_weights` (replicates,
    units) says how often each unit is. NaN where no unit has a score.
    """
    scores = sums.scores()
    known = ~np.isnan(scores)
    count = known.sum()
    if not count:
        return np.full(len(drawn), np.nan), np.full(len(drawn), np.nan)
    effects = excerpt_effects(sums)[known] / count
    of_document = np.bincount(sums.document[known].ravel(), effects.ravel(), drawn.shape[1])
    # Each document is there once: what counts is how often it is drawn beyond that.
    of_documents = scores[known].mean() + drawn @ of_document - of_document.sum()
    if count < 2:
        return of_documents, of_documents
    of_units = scores[known].var(ddof=1) / count
    # The part of the units' spread that their own few excerpts do not account for.
    # Units differ by what they are and by which excerpts they got; the documents drawn again hold the second already.
    kept = 1 - (effects**2).sum() / of_units if of_units > 0 else 0.0
    # The change of a mean when units are drawn again, without drawing: its linear part.
    drawn_units = (unit_weights[:, known] - 1) @ (scores[known] - scores[known].mean()) / count
    return of_documents + np.sqrt(max(kept, 0.0)) * drawn_units, of_documents


def excerpt_effects(sums: ExcerptSums) -> np.ndarray:
    """What an excerpt that is drawn once more adds to its unit's score: (units, excerpts).

    Half of the difference between the score with the excerpt twice and the score without it. A derivative would not do:
    an excerpt that holds all that a unit fires decides whether there is a score. The effects are then scaled so that,
    for a score that is a mean over excerpts, the sum of their squares estimates its variance without bias.
    """
    by_excerpt = sums.sums.transpose(1, 0, 2)
    twice, without = sums.reduce(by_excerpt.sum(0) + by_excerpt), sums.reduce(_of_the_others(by_excerpt))
    # NaN: without its only excerpt a unit has no part in the layer's mean, as if it were like the others.
    without = np.where(np.isnan(without), np.nanmean(sums.scores()), without)
    return (_unbiased(sums) * (twice - without) / 2).T


def _unbiased(sums: ExcerptSums) -> np.ndarray:
    """The scale of the effects of each unit's excerpts: (units,)."""
    count = (sums.sums != 0).any(-1).sum(1)
    few = np.maximum(count, 2)
    # Of a mean over E excerpts half of that difference is (x - mean) E / (E^2 - 1), and the unbiased estimate of the
    # variance is the sum of (x - mean)^2 over E (E - 1).
    return np.where(count > 1, (few**2 - 1) / few**2 * np.sqrt(few / (few - 1)), 1.0)


def _of_the_others(sums: np.ndarray) -> np.ndarray:
    """For each excerpt the sums over all others: (excerpts, ...)."""
    # Those before it and those after it: the total less its own would leave rounding error where there is nothing.
    before, behind = np.zeros_like(sums), np.zeros_like(sums)
    np.cumsum(sums[:-1], axis=0, out=before[1:])
    np.cumsum(sums[:0:-1], axis=0, out=behind[-2::-1])
    return before + behind
