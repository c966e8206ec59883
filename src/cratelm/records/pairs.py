"""Pairs of places in different documents that share something: a token, or their place in the context."""

from collections.abc import Sequence

import numpy as np
import torch


def same_value_pairs(values: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each place another place with the same value in another document: two (pairs,) index arrays.

    Within one value's places, sorted by document, each is paired with the one that lies `m` further on in a circle,
    where `m` is the largest number of places in one document: no document is `m` long and meets itself again before
    a full turn if `m` is at most half of all. Where one document has more than half of a value's places, its surplus
    is left out. So each place kept stands once on either side, and both sides have the same mean and variance.
    """
    order = np.lexsort((documents, values))
    value, document = values[order], documents[order]
    runs = np.r_[True, (value[1:] != value[:-1]) | (document[1:] != document[:-1])]
    run = np.cumsum(runs) - 1
    run_length = np.bincount(run)
    within = np.arange(len(order)) - np.flatnonzero(runs)[run]
    total = np.bincount(value)[value]
    keep = within < np.maximum(total - run_length[run], 0)  # a dominating document keeps as many as all others have
    order, value, run = order[keep], value[keep], run[keep]
    if not len(order):
        return order, order
    starts = np.flatnonzero(np.r_[True, value[1:] != value[:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    group = np.repeat(np.arange(len(starts)), sizes)
    longest = np.maximum.reduceat(np.bincount(run, minlength=run.max() + 1)[run], starts)
    partner = starts[group] + (np.arange(len(order)) - starts[group] + longest[group]) % sizes[group]
    return order, order[partner]


Pairs = tuple[torch.Tensor, torch.Tensor]
"""The two ends of a batch's pairs: places (pairs,), context by context."""


def batch_pairs(tokens: np.ndarray, documents: np.ndarray, device: torch.device) -> dict[str, Pairs]:
    """The pairs of a batch of contexts, tokens (contexts, T), by what they share: `token` or `position`."""
    contexts, length = tokens.shape
    by_token = same_value_pairs(tokens.ravel(), np.repeat(documents, length))
    by_context = same_value_pairs(np.zeros(contexts, dtype=np.int64), documents)
    by_position = [(end[:, None] * length + np.arange(length)).ravel() for end in by_context]
    return {"token": _ends(by_token, device), "position": _ends(by_position, device)}


def flat_pairs(tokens: np.ndarray, documents: np.ndarray, device: torch.device) -> dict[str, Pairs]:
    """The same of rows that documents run through: tokens and documents (rows, T)."""
    place = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    shared = {"token": tokens, "position": place}
    return {name: _ends(same_value_pairs(values.ravel(), documents.ravel()), device) for name, values in shared.items()}


def _ends(pairs: Sequence[np.ndarray], device: torch.device) -> Pairs:
    one, other = (torch.from_numpy(end).to(device) for end in pairs)
    return one, other
