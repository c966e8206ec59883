"""What the two passes over one half of the text gather at one site."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from cratelm.records.config import RecordConfig
from cratelm.records.halves import Half, draw_random
from cratelm.records.moments import Moments
from cratelm.records.top import TopExcerpts
from cratelm.seeds import derive_seed


class SiteRecord:
    """What the two passes over one half gather at one site."""

    def __init__(self, config: RecordConfig, half: Half, site: str, units: int, vocabulary: int, pool: np.ndarray):
        self.config, self.half, self.units = config, half, units
        self.moments = Moments(units)
        self.top = TopExcerpts(units, config.top, half.document_of)
        self.pool = pool
        self.random = draw_random(pool, units, config.random, config.seed, site, half.name)
        generator = np.random.default_rng(derive_seed(config.seed, "table units", site))
        self.table_units = np.sort(generator.choice(units, min(config.table_units, units), replace=False))
        self.table_sums = np.zeros((vocabulary, len(self.table_units)))
        self.table_counts = np.zeros(vocabulary, dtype=np.int64)
        self.histogram = np.zeros((units, config.histogram), dtype=np.int64)

    def see_statistics(self, batch: np.ndarray, activations: torch.Tensor, tokens: np.ndarray, pairs: tuple) -> None:
        """First pass: sums, maxima and positions. `activations` (contexts, tokens, units)."""
        flat = activations.flatten(0, 1)  # (contexts * tokens, units)
        self.moments.update(flat, *pairs)
        maxima = flat.unflatten(0, (-1, self.config.excerpt)).amax(1)  # (excerpts, units)
        self.top.update(maxima.numpy(), excerpts_of(self.half, batch))
        if self.half.name == "explain":
            self._see_table(flat, tokens.ravel())

    def _see_table(self, flat: torch.Tensor, tokens: np.ndarray) -> None:
        places = csr_matrix(
            (np.ones(len(tokens)), (tokens, np.arange(len(tokens)))), shape=(len(self.table_counts), len(tokens))
        )
        self.table_sums += places @ flat[:, self.table_units].double().numpy()
        self.table_counts += np.bincount(tokens, minlength=len(self.table_counts))

    def choose(self) -> np.ndarray:
        """Fix the excerpts to keep, between the passes; gives the contexts that hold one."""
        self.row_unit = np.r_[self.top.unit, np.repeat(np.arange(self.units), self.random.shape[1])]
        self.row_excerpt = np.r_[self.top.excerpt, self.random.ravel()]
        self.row_rank = np.r_[self.top.rank, np.tile(np.arange(self.random.shape[1]), self.units)]
        self.row_is_top = np.arange(len(self.row_unit)) < len(self.top.unit)
        self.row_activations = np.zeros((len(self.row_unit), self.config.excerpt), dtype=np.float32)
        self.rows_by_excerpt = np.argsort(self.row_excerpt, kind="stable")
        self.sorted_excerpts = self.row_excerpt[self.rows_by_excerpt]
        return np.unique(self.half.context_of[np.r_[self.row_excerpt, self.pool]])

    def see_excerpts(self, batch: np.ndarray, activations: torch.Tensor) -> None:
        """Second pass: the activations of the chosen excerpts, and the pool's histogram."""
        blocks = activations.numpy().reshape(-1, self.config.excerpt, self.units)  # (excerpts, excerpt, units)
        for block, excerpt in zip(blocks, excerpts_of(self.half, batch), strict=True):
            first, last = np.searchsorted(self.sorted_excerpts, [excerpt, excerpt + 1])
            rows = self.rows_by_excerpt[first:last]
            self.row_activations[rows] = block[:, self.row_unit[rows]].T
            if excerpt == self.pool[min(np.searchsorted(self.pool, excerpt), len(self.pool) - 1)]:
                self._see_histogram(block)

    def _see_histogram(self, block: np.ndarray) -> None:
        bins = self.config.histogram
        place, unit = np.nonzero(block > 0)
        share = block[place, unit] / self.moments.maximum.numpy()[unit]
        cell = unit * bins + np.minimum((share * bins).astype(np.int64), bins - 1)
        self.histogram += np.bincount(cell, minlength=self.units * bins).reshape(self.units, bins)


def excerpts_of(half: Half, batch: np.ndarray) -> np.ndarray:
    """The numbers of the excerpts in a batch of equally long contexts, in order: (contexts * excerpts a context,)."""
    count = half.contexts.length[batch[0]] // half.excerpt
    return (half.first_excerpt[batch, None] + np.arange(count)).ravel()
