"""How unusual an activation is for its unit: the share of recorded tokens on which it fires at least as strongly."""

from collections.abc import Mapping

import numpy as np


def share_as_strong(activations: np.ndarray, statistics: Mapping[str, np.ndarray]) -> np.ndarray:
    """That share for one activation of each unit: (units,), from 0 to the unit's firing rate.

    It comes from the recorded histograms, whose bins have equal widths up to the maximum; within a bin, activations
    are taken as spread evenly. Of a unit without a histogram, the share is its firing rate.
    """
    counts = np.array(list(statistics["histogram"])).astype(float)  # (units, bins)
    bins, maximum = counts.shape[1], statistics["maximum"]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.clip(np.nan_to_num(activations / maximum * bins), 0, bins)  # in bins, from the left
    at = np.minimum(place.astype(int), bins - 1)
    units = np.arange(len(counts))
    from_bin = counts[:, ::-1].cumsum(1)[:, ::-1][units, at]
    stronger = from_bin - counts[units, at] * (place - at)
    total = counts.sum(1)
    return statistics["firing_rate"] * np.divide(stronger, total, out=np.ones(len(counts)), where=total > 0)
