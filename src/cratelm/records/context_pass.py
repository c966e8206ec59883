"""A step after the second pass: the model reads sampled positions with their last k tokens alone.

Each cut input stands at its original positions, after the start token at position 0 where the protocol puts one: a
model was trained on text after it. Where a context begins within the last k tokens, the cut input is the whole one.
"""

from collections.abc import Iterator
from functools import cached_property
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from cratelm.models.devices import device_of
from cratelm.protocols import PROTOCOLS
from cratelm.records.context import LAST
from cratelm.records.context_sample import APART, Positions, sample_positions
from cratelm.records.pass1_statistics import table_sample
from cratelm.records.probe import PROBE
from cratelm.records.recording import Pass, save_state
from cratelm.records.tiling import Half


class ContextPass(Pass):
    """Writes `context-SHARD`: a tensor a site, (1 + LAST, positions, units), first with all tokens."""

    @property  # not kept: workers are sent what is, and this holds the text
    def half(self) -> Half:
        """The half that is read."""
        return self.recording.halves[PROTOCOLS[self.config.protocol].scored_on]

    @cached_property
    def shards(self) -> list[Positions]:
        """The positions, as many at a time as a batch has tokens for."""
        if not any(len(some) for some in self.units):
            return []
        positions = sample_positions(self.half, self.config.seed)
        return list(positions.split(max(1, self.config.batch // max(APART, *LAST))))

    @cached_property
    def units(self) -> list[np.ndarray]:
        """The units of each site that are read: those with a token table."""
        recording = self.recording
        return [table_sample(self.config, s.name, s.units, recording.vocabulary) for s in recording.sites]

    @property
    def sizes(self) -> list[int]:
        """The model is run once a k, and once with all tokens."""
        return [1 + len(LAST)] * len(self.shards)

    @cached_property
    def told(self) -> bool:
        """Whether the model is told where cut inputs stand."""
        return takes_positions(self.recording.network)

    def result(self, number: int) -> Path:
        """The file that is there once a shard is done."""
        return self.file("context", number)

    @torch.inference_mode()
    def __call__(self, number: int) -> None:
        """Work on one shard, unless it is done."""
        if self.result(number).is_file():
            return
        advance, positions = self.advance(number), self.shards[number]
        read = [self._whole(positions)]
        advance()
        for last in LAST:
            read.append(self._cut(positions, last, read[0]))
            advance()
        by_site = zip(*read, strict=True)
        save_state(self.result(number), {str(layer): torch.stack(some) for layer, some in enumerate(by_site)})

    def _whole(self, positions: Positions) -> list[torch.Tensor]:
        """The units of each site with all tokens before: (positions, units) each."""
        parts = [self._of_contexts(some) for some in self._equally_long(positions)]
        return [torch.cat(some) for some in zip(*parts, strict=True)]

    def _of_contexts(self, positions: Positions) -> list[torch.Tensor]:
        contexts, row = np.unique(positions.context, return_inverse=True)
        place = torch.from_numpy(positions.place + self.half.own_start)
        return self._read(self.recording.inputs(self.half, contexts), torch.from_numpy(row.ravel()), place)

    def _equally_long(self, positions: Positions) -> Iterator[Positions]:
        length = self.half.contexts.length[positions.context]  # ascending within a shard
        for equal in np.unique(length):
            yield Positions(positions.context[length == equal], positions.place[length == equal])

    def _cut(self, positions: Positions, last: int, whole: list[torch.Tensor]) -> list[torch.Tensor]:
        """The same with the last tokens alone; `whole` is right where there are no more of them."""
        longer = np.flatnonzero(positions.place >= last)
        if not len(longer):
            return whole
        ids, places = self._windows(Positions(positions.context[longer], positions.place[longer]), last)
        rows = torch.arange(len(longer))
        found = self._read(
            ids, rows, torch.full((len(longer),), ids.shape[1] - 1), places.to(ids.device) if self.told else None
        )
        at = torch.from_numpy(longer)
        return [before.index_copy(0, at, after) for before, after in zip(whole, found, strict=True)]

    def _windows(self, positions: Positions, last: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The start token, if any, and the last ones up to each position, and where they stand: (positions, T) each."""
        places = torch.from_numpy(positions.place + self.half.own_start)[:, None] + torch.arange(1 - last, 1)
        places = torch.nn.functional.pad(places, (int(self.half.own_start), 0))
        parts = [
            self.recording.inputs(self.half, np.unique(some.context)).cpu()[
                torch.from_numpy(np.unique(some.context, return_inverse=True)[1].ravel())
            ]
            for some in self._equally_long(positions)
        ]
        firsts = np.cumsum([0, *map(len, parts)])
        ids = [part.gather(1, places[first : first + len(part)]) for first, part in zip(firsts, parts, strict=False)]
        return torch.cat(ids).to(device_of(self.recording.network)), places

    def _read(
        self, ids: torch.Tensor, row: torch.Tensor, place: torch.Tensor, position_ids: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """The units of each site at (row, place) of inputs (texts, T): (positions, units) each."""
        found: list[torch.Tensor] = [torch.empty(0)] * len(self.units)

        def see(layer: int, activations: torch.Tensor) -> None:
            units = torch.from_numpy(self.units[layer])
            found[layer] = activations[row, place][:, units].cpu()

        self.recording.read(ids, see, position_ids=position_ids)
        return found


@torch.inference_mode()
def takes_positions(network: PreTrainedModel) -> bool:
    """Whether a model can be told where its tokens stand, and counts from 0 where it is not.

    A model with distances (ALiBi) or a state in place of positions cannot.
    """
    base = network.base_model
    if "position_ids" not in signature(base.forward).parameters:
        return False
    ids = torch.zeros(PROBE, dtype=torch.long, device=device_of(network))
    places = torch.arange(PROBE[1], device=ids.device).expand(PROBE)
    plain, told = base(input_ids=ids, use_cache=False), base(input_ids=ids, position_ids=places, use_cache=False)
    return torch.allclose(plain[0], told[0], atol=1e-3)
