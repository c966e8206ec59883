"""The model run with and without a unit, and what it says at one position then."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from cratelm.effects.points import Points
from cratelm.models.devices import device_of
from cratelm.records.text_sample import TextSample
from cratelm.units.sites import at_sites
from cratelm.units.unit_site import Site

TOKENS_AT_ONCE = 8192
"""Tokens of a batch."""


@dataclass(frozen=True)
class Ablation:
    """A model on a sample of text."""

    network: PreTrainedModel
    sample: TextSample
    start: int
    """The token that the model reads before each piece; positions are counted without it."""

    @torch.inference_mode()
    def activations(self, site: Site) -> torch.Tensor:
        """A site's units at all positions of all pieces: (pieces, T, units) float32, 0 after a piece's end."""
        pieces, length = self.sample.tokens.shape
        kept = torch.zeros(pieces, length, site.units)
        for rows in self._batches(self.sample.length):
            longest = int(self.sample.length[rows].max())
            held = torch.from_numpy(np.arange(longest) < self.sample.length[rows][:, None])

            def see(name: str, output: torch.Tensor, rows=rows, longest=longest, held=held) -> None:
                values = output[:, 1:].float().cpu()
                values = torch.cat([values.relu(), (-values).relu()], -1) if site.signed else values
                kept[rows, :longest] = values * held[..., None]

            with at_sites(self.network, [site.name], see):
                self.network.base_model(input_ids=self._ids(rows, longest), use_cache=False)
        return kept

    @torch.inference_mode()
    def logits(self, points: Points) -> torch.Tensor:
        """What the model says after each point: logits (points, V) float32."""
        pieces = np.unique(points.piece)
        found: list[tuple[np.ndarray, torch.Tensor]] = []
        for rows in self._batches(self.sample.length[pieces]):
            own = np.flatnonzero(np.isin(points.piece, pieces[rows]))
            row = np.searchsorted(pieces[rows], points.piece[own])
            ids = self._ids(pieces[rows], int(points.position[own].max()) + 1)
            found.append((own, self._said(ids, row, points.position[own])))
        return _in_order(found, len(points))

    @torch.inference_mode()
    def without(self, site: Site, unit: np.ndarray, points: Points) -> torch.Tensor:
        """The same where, at each point alone, one unit (points,) is set to 0: (points, V) float32."""
        found: list[tuple[np.ndarray, torch.Tensor]] = []
        order = np.argsort(points.position, kind="stable")  # what comes after a point has no part in it
        for some in self._batches(points.position[order] + 1):
            own = order[some]
            row, place = np.arange(len(own)), points.position[own]
            coordinate = unit[own] % (site.units // 2) if site.signed else unit[own]

            def silence(name: str, output: torch.Tensor, at=(row, place + 1, coordinate)) -> torch.Tensor:
                changed = output.clone()
                changed[at] = 0
                return changed

            with at_sites(self.network, [site.name], silence):
                found.append((own, self._said(self._ids(points.piece[own], int(place.max()) + 1), row, place)))
        return _in_order(found, len(points))

    def _batches(self, length: np.ndarray) -> Iterator[np.ndarray]:
        """Rows in their order, so many at once that a batch has about TOKENS_AT_ONCE tokens."""
        first = 0
        while first < len(length):
            longest = np.maximum.accumulate(length[first:] + 1)
            count = max(1, int((longest * np.arange(1, len(longest) + 1) <= TOKENS_AT_ONCE).sum()))
            yield np.arange(first, first + count)
            first += count

    def _ids(self, pieces: np.ndarray, length: int) -> torch.Tensor:
        """The start token and the first `length` tokens of pieces: (pieces, 1 + length)."""
        ids = np.pad(self.sample.tokens[pieces, :length], ((0, 0), (1, 0)), constant_values=self.start)
        return torch.from_numpy(ids).to(device_of(self.network))

    def _said(self, ids: torch.Tensor, row: np.ndarray, position: np.ndarray) -> torch.Tensor:
        """The logits after position (points,) of row (points,), both without the start token: (points, V)."""
        with _only_at(self.network, row, position + 1):
            return self.network(input_ids=ids, use_cache=False).logits[0].float().cpu()


@contextmanager
def _only_at(network: PreTrainedModel, row: np.ndarray, position: np.ndarray) -> Iterator[None]:
    """While this context is open, the head reads those hidden states alone, as one text: a vocabulary is large."""

    def pick(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0][row, position][None], *inputs[1:])

    head = network.get_output_embeddings()
    assert head is not None  # a causal language model has one
    handle = head.register_forward_pre_hook(pick)
    try:
        yield
    finally:
        handle.remove()


def _in_order(found: list[tuple[np.ndarray, torch.Tensor]], points: int) -> torch.Tensor:
    """Rows of several batches, by their numbers."""
    whole = torch.empty(points, found[0][1].shape[1] if found else 0)
    for rows, values in found:
        whole[rows] = values
    return whole
