"""Statistics that several rooms share: correlations, ranks, derangements, intervals, corrections for many tests."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

# scipy.stats takes 0.8 seconds to import, which no help text should wait for: it is imported where it is needed.
CONFIDENCE = 0.95
NEGLIGIBLE = 1e-12
"""A variance below this share of the mean square is rounding error, and counts as no variance."""


# Correlations


def correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's r from sums (..., 6): count, x, y, x^2, y^2, x y. 0 without variance, NaN without any position."""
    count = sums[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y, square_x, square_y, product = (sums[..., k] / count for k in range(1, 6))
        variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
        # A constant series leaves rounding error for a variance, and dividing by it would give any r.
        varies = (variance_x > NEGLIGIBLE * square_x) & (variance_y > NEGLIGIBLE * square_y)
        r = np.where(varies, (product - mean_x * mean_y) / np.sqrt(np.where(varies, variance_x * variance_y, 1)), 0.0)
    return np.where(count > 0, np.clip(r, -1, 1), np.nan)


def pearson(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's r of two series (positions,); 0 where one does not vary, NaN where they are empty or not finite."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if not len(x) or not np.isfinite([x, y]).all():
        return float("nan")
    # Centred first: the variance of a large constant is then exactly 0, and not rounding error.
    x, y = x - x.mean(), y - y.mean()
    return float(correlation(np.array([len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y])))


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho of two series (positions,), ties sharing their mean rank; 0 where one does not vary."""
    from scipy.stats import rankdata

    return pearson(rankdata(x), rankdata(y))


def spearman_of_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rho of each row of x with that of y, both (rows, positions): many short series at once."""
    from scipy.stats import rankdata

    x, y = (ranks - ranks.mean(1, keepdims=True) for ranks in (rankdata(x, axis=1), rankdata(y, axis=1)))
    sums = [np.full(len(x), x.shape[1]), *(part.sum(1) for part in (x, y, x * x, y * y, x * y))]
    return correlation(np.stack(sums, axis=1))


# Ranks within groups


def average_ranks(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each value's rank within its group, from 1; equal values share the mean of theirs. (rows,) float64."""
    if not len(values):
        return np.empty(0)
    order = _by_group_and_value(group, values)
    g, v = group[order], values[order]
    other_group = g[1:] != g[:-1]
    first = np.flatnonzero(np.r_[True, other_group | (v[1:] != v[:-1])])
    begins = np.flatnonzero(np.r_[True, other_group])
    tied = np.diff(first, append=len(g))
    ranks = np.empty(len(order))
    begin = begins[np.searchsorted(begins, first, side="right") - 1]
    ranks[order] = np.repeat(first - begin + (tied + 1) / 2, tied)
    return ranks


def _by_group_and_value(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What np.lexsort((values, group)) gives, but for the order of equal values; three times as fast."""
    # One sort of numbers is vectorised, and one of 16-bit integers is by their digits; a lexsort is neither.
    order = np.argsort(values)
    group = group[order]
    narrow = group.astype(np.int16) if group.min() >= 0 and group.max() < 2**15 else group
    return order[np.argsort(narrow, kind="stable")]


def places_among(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of `wanted` (any shape) stands among `keys` (keys,), ascending; -1 where it does not. int64."""
    if not len(keys):
        return np.full(wanted.shape, -1)
    # In ascending order the searches follow each other through the keys, which the processor's cache then holds.
    flat = wanted.ravel()
    order = np.argsort(flat) if (flat[1:] < flat[:-1]).any() else slice(None)
    ascending = flat[order]
    place = np.searchsorted(keys, ascending)
    place[place == len(keys)] = 0
    places = np.empty(len(flat), np.int64)
    places[order] = np.where(keys[place] == ascending, place, -1)
    return places.reshape(wanted.shape)


def places_in_sorted(group: np.ndarray) -> np.ndarray:
    """How many rows of the same group precede each row; `group` (rows,) is sorted."""
    place = np.arange(len(group))
    begins = np.r_[True, group[1:] != group[:-1]] if len(group) else np.empty(0, bool)
    return place - np.maximum.accumulate(np.where(begins, place, 0))


def in_one(columns: Sequence[np.ndarray]) -> np.ndarray:
    """A number for each row that is ordered as rows are by the columns, the first above all; integers (rows,) each.

    Sorting them takes a tenth of the time of lexsort.
    """
    number = np.zeros(len(columns[0]), np.int64)
    for values in columns if len(number) else ():
        least = int(values.min())
        number = number * (int(values.max()) - least + 1) + (values.astype(np.int64) - least)
    return number


def first_of_each(value: np.ndarray) -> np.ndarray:
    """Where each different value (rows,) comes first, ascending: np.unique's index without its slower, stable sort."""
    order = np.argsort(value)
    begins = np.flatnonzero(np.r_[True, value[order][1:] != value[order][:-1]][: len(value)])
    return np.sort(np.minimum.reduceat(order, begins)) if len(value) else order


def places_in_group(group: np.ndarray) -> np.ndarray:
    """How many rows of the same group precede each row; `group` (rows,) in any order."""
    order = np.argsort(group, kind="stable")
    places = np.empty(len(group), np.int64)
    places[order] = places_in_sorted(group[order])
    return places


def derangement(items: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Another of the items for each one, every one used once: (items,), aligned with `items`.

    The items are put on a random circle, and each gets its neighbour. Raises ValueError for fewer than two.
    """
    if len(items) < 2:
        raise ValueError("a derangement needs two items or more")
    circle = generator.permutation(len(items))
    deranged = np.empty_like(items)
    # A circle moved by one maps nothing to itself.
    deranged[circle] = items[np.roll(circle, 1)]
    return deranged


# Bootstrap intervals (Efron 1979, percentile method)


@lru_cache(maxsize=4)
def draw_weights(things: int, replicates: int, seed: int) -> np.ndarray:
    """How often each of so many things is drawn in each replicate: (replicates, things) float64 counts."""
    generator = np.random.default_rng(seed)
    # Counts, not places: a replicate is then one product of weights and sums.
    weights = generator.multinomial(things, np.full(things, 1 / things), size=replicates).astype(np.float64)
    weights.flags.writeable = False  # kept for later calls
    return weights


def interval(replicates: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95% percentile interval of replicates along `axis`, which the result lacks; NaN is ignored."""
    ascending = np.sort(np.moveaxis(replicates, axis, -1), axis=-1)  # NaN is last
    last = (~np.isnan(ascending)).sum(-1) - 1
    low, high = (_between(ascending, last, share) for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return low, high


def _between(ascending: np.ndarray, last: np.ndarray, share: float) -> np.ndarray:
    """The value at a share of the way from the first of each row to its last, by a straight line between two."""
    place = share * np.maximum(last, 0)
    below = np.floor(place).astype(np.int64)
    lower, upper = (
        np.take_along_axis(ascending, at[..., None], axis=-1)[..., 0]
        for at in (below, np.minimum(below + 1, np.maximum(last, 0)))
    )
    return lower + (place - below) * (upper - lower)


def ratio_interval(numerators: np.ndarray, denominators: np.ndarray, seed: int, replicates: int = 1000) -> list[float]:
    """The interval of sum(numerators) / sum(denominators), both (documents,), when documents are drawn again."""
    weights = draw_weights(len(numerators), replicates, seed)
    low, high = interval((weights @ numerators) / (weights @ denominators))
    return [float(low), float(high)]


def variance_interval(means: np.ndarray, replicates: np.ndarray) -> tuple[float, float]:
    """The ends of the 95% interval of the population variance of true means, from their estimates, `means` (things,).

    `replicates` (replicates, things) have the spread of the estimates' errors. Errors make estimates differ where
    nothing else does: the variance of estimates is too large on average, and that of replicates even larger. The
    interval holds the true variances that give a variance of estimates like the one found in 95% of cases, 0 included.
    NaN where replicates are.
    """
    from scipy.special import chndtrinc

    found = len(means) * np.var(means)
    errors = np.atleast_2d(np.cov(replicates - replicates.mean(axis=1, keepdims=True), rowvar=False))
    total, squares = np.trace(errors), (errors**2).sum()
    # Below this ratio the interval's ends differ from the variance by less than 0.02% of it, and SciPy finds no root.
    if total <= 1e-9 * found:
        return float(np.var(means)), float(np.var(means))
    # Of normal errors a sum of squares is a noncentral chi-square; the degrees of freedom are Satterthwaite's (1946).
    scale, freedom = squares / total, total**2 / squares
    shares = np.array([1 + CONFIDENCE, 1 - CONFIDENCE]) / 2
    low, high = chndtrinc(max(found / scale, NEGLIGIBLE), freedom, shares) * scale / len(means)
    return float(low), float(high)


# Tests, and their correction


def two_sided_p(difference: float, replicates: np.ndarray) -> float:
    """How often chance alone gives a difference as large, by a normal with the bootstrap replicates' spread.

    Counting replicates instead would give none below 1 / (replicates + 1), which a correction for fifty comparisons
    takes beyond any level. 1 where the replicates do not vary.
    """
    from scipy.special import ndtr

    spread = np.nanstd(replicates, ddof=1)
    return float(2 * ndtr(-abs(difference) / spread)) if spread > 0 else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): below a level with at most that chance of any false one."""
    order = np.argsort(p_values, kind="stable")
    # The smallest p is multiplied by the number of tests, the next by one less. The running maximum keeps their order.
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """P-values corrected so that, of those below a level, at most that share is false (Benjamini & Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    return false_discovery_control(p_values).tolist()


def seed_interval(differences: Sequence[float], text_variance: float = 0.0) -> tuple[float, float, float, float]:
    """The mean of differences over training seeds, its t interval, and its two-sided p-value: (mean, low, high, p).

    `text_variance` is the variance that another choice of held-out documents adds to the mean. All seeds share their
    documents, so that it does not shrink with the number of seeds. The degrees of freedom are Satterthwaite's (1946),
    with the text's own taken as infinite. With one seed the interval and the p-value are NaN.
    """
    from scipy.stats import t

    mean, count = float(np.mean(differences)), len(differences)
    if count < 2:
        return mean, float("nan"), float("nan"), float("nan")
    of_seeds = float(np.var(differences, ddof=1)) / count
    total = of_seeds + text_variance
    if total == 0:
        return mean, mean, mean, float(mean == 0)
    # Where text adds nothing this is n - 1; the more it adds, the nearer the t distribution comes to a normal.
    freedom = (count - 1) * (total / of_seeds) ** 2 if of_seeds else np.inf
    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(total))
    return mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / np.sqrt(total), freedom))
