"""Pairs of places in different documents that share something: a token, or their place in the context.

All pairs of a batch are summed, without forming one. With G the sum of a unit's activations over a value's n places,
and g its sum over those of one document, the products of all ordered pairs in different documents come to G^2 less the
sum of all g^2; each value's are scaled so that it weighs as many as it has places.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch

ROWS = 1024
"""Sums that are in memory at once."""


@dataclass(frozen=True)
class Pairs:
    """What sums the products of all pairs among the places of a batch."""

    count: int
    """Places that have a partner: the weight of all pairs."""
    blocks: list[tuple[torch.Tensor, torch.Tensor]]
    """Sparse rows, (some rows, places) each: a row of ones for each value, and for each of its documents with two
    places or more; with what the square of each row's sum counts, (some rows,)."""
    weight: torch.Tensor
    """(places,) how much a place weighs among all ends of pairs."""
    lone: torch.Tensor
    """(places,) what the square of a place counts that is its document's only one, and has no row for that."""

    def to(self, device: torch.device) -> "Pairs":
        """The same on a device."""
        blocks = [(rows.to(device), scale.to(device)) for rows, scale in self.blocks]
        return Pairs(self.count, blocks, self.weight.to(device), self.lone.to(device))


def pairs_of(values: np.ndarray, documents: np.ndarray) -> Pairs:
    """The pairs of places with the same value in different documents; `values` and `documents` (places,)."""
    order = np.lexsort((documents, values))
    value, document = values[order], documents[order]
    new_value = _changes(value)
    new_run = new_value | _changes(document)
    run_start, value_start = np.flatnonzero(new_run), np.flatnonzero(new_value)
    run_size, value_size = _sizes(run_start, len(order)), _sizes(value_start, len(order))
    value_of_run = np.cumsum(new_value)[run_start] - 1
    pairs = value_size**2 - np.bincount(value_of_run, run_size**2, minlength=len(value_start))
    share = np.divide(value_size, pairs, out=np.zeros(len(pairs)), where=pairs > 0)
    share_of_run = share[value_of_run]
    weight, lone = np.empty(len(order)), np.empty(len(order))
    weight[order] = np.repeat(share_of_run * (value_size[value_of_run] - run_size), run_size)
    lone[order] = np.repeat(np.where(run_size == 1, share_of_run, 0), run_size)
    paired, many = share > 0, (share_of_run > 0) & (run_size > 1)
    places = np.concatenate([order[np.repeat(paired, value_size)], order[np.repeat(many, run_size)]])
    sizes = np.concatenate([value_size[paired], run_size[many]])
    scale = torch.from_numpy(np.concatenate([share[paired], -share_of_run[many]]))
    bounds = np.r_[0, np.cumsum(sizes)]
    blocks = [
        (_rows(sizes[at], places[bounds[first] : bounds[first + len(sizes[at])]], len(order)), scale[at])
        for first in range(0, len(sizes), ROWS)
        for at in [slice(first, first + ROWS)]
    ]
    return Pairs(int(value_size[paired].sum()), blocks, torch.from_numpy(weight), torch.from_numpy(lone))


def batch_pairs(tokens: np.ndarray, documents: np.ndarray, device: torch.device) -> dict[str, Pairs]:
    """The pairs of a batch by what they share, `token` or `position`; `tokens` and `documents` (rows, T)."""
    place = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    shared = {"token": tokens, "position": place}
    return {name: pairs_of(values.ravel(), documents.ravel()).to(device) for name, values in shared.items()}


def token_rows(tokens: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The different tokens of a batch, and a sparse float64 (different, places) that sums over the places of each."""
    order = np.argsort(tokens, axis=None, kind="stable")
    values, sizes = np.unique(tokens, return_counts=True)
    return torch.from_numpy(values.astype(np.int64)), _rows(sizes, order, tokens.size).double()


def _changes(sorted_values: np.ndarray) -> np.ndarray:
    """Whether each differs from the one before it."""
    return np.r_[True, sorted_values[1:] != sorted_values[:-1]][: len(sorted_values)]


def _sizes(start: np.ndarray, total: int) -> np.ndarray:
    return np.diff(np.r_[start, total])


def _rows(sizes: np.ndarray, places: np.ndarray, total: int) -> torch.Tensor:
    """Sparse (rows, total): each row has ones at so many of `places`, one row after the other."""
    bounds = torch.from_numpy(np.r_[0, np.cumsum(sizes)].astype(np.int64))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")  # of torch: such tensors are new, and go unchecked
        return torch.sparse_csr_tensor(bounds, torch.from_numpy(places), torch.ones(len(places)), (len(sizes), total))
