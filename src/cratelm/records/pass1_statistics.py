"""The first pass over a shard: sums, maxima and the places of top excerpts, in O(units) memory for any text."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cratelm.corpus.contexts import context_tokens
from cratelm.protocols import PROTOCOLS
from cratelm.records.config import NEAR_TOP, RecordConfig
from cratelm.records.draw_text import PieceActivations, draw_pieces
from cratelm.records.find_ngrams import ngram_sample
from cratelm.records.moments import Moments
from cratelm.records.ngram_sums import keys_of
from cratelm.records.recording import Pass, Step, save_state
from cratelm.records.shares import PARTS, PositionSums, part_of_contexts
from cratelm.records.tiling import Half, Shard, Tiling
from cratelm.records.token_sums import MEMORY, BatchKeys, TokenSums, batch_keys, group_keys
from cratelm.records.top import TopExcerpts
from cratelm.seeds import derive_seed

FEWEST_TABLES = 256
TABLE_ENTRIES = 2**22
"""Units with a token table, times the vocabulary, at most: all of 1,024 units at 4,096 tokens. FEWEST_TABLES units have
one whatever the vocabulary."""


def table_sample(config: RecordConfig, site: str, units: int, vocabulary: int) -> np.ndarray:
    """The units of a site whose full token table is kept, sorted."""
    wanted = config.table_units
    if wanted is None:
        wanted = max(FEWEST_TABLES, TABLE_ENTRIES // vocabulary)
    generator = np.random.default_rng(derive_seed(config.seed, "table units", site))
    return np.sort(generator.choice(units, min(wanted, units), replace=False))


def tile(activations: torch.Tensor, length: int) -> torch.Tensor:
    """(contexts, T, units) to (contexts, excerpts, length, units), a view; what fills no excerpt is left out."""
    count = activations.shape[1] // length
    return activations[:, : count * length].unflatten(1, (count, length))


class FirstStatistics:
    """What the first pass gathers at one site."""

    def __init__(self, units: int, lengths: Iterable[int], device: torch.device):
        self.moments = Moments(units, device)
        self.tops = {length: TopExcerpts(units, NEAR_TOP) for length in lengths}

    def see(self, half: Half, batch: np.ndarray, activations: torch.Tensor) -> None:
        """See a batch of contexts: activations (contexts, T, units)."""
        self.moments.update(activations)
        for length, top in self.tops.items():
            blocks = tile(activations, length)
            tiling: Tiling = half.tilings[length]
            top.update(blocks, blocks.amax(2), tiling.first[batch], half.side.group[half.contexts.document[batch]])

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, by name."""
        named = {f"moments/{name}": value for name, value in self.moments.state().items()}
        for length, top in self.tops.items():
            named |= {f"top-{length}/{name}": value for name, value in top.state().items()}
        return named


class SampleSums:
    """The summed activations of a sample of a site's units at each token and at each place of a context; both for the
    two parts of the documents apart."""

    def __init__(self, path: Path, half: Half, sample: np.ndarray):
        self.sample = torch.from_numpy(sample)
        self.part = part_of_contexts(half)
        self.positions = PositionSums(int(half.contexts.length.max()), len(sample))
        self.tokens = TokenSums(path, len(sample))

    def see(self, batch: np.ndarray, keys: BatchKeys, activations: torch.Tensor) -> None:
        """See a batch of contexts, with their tokens' keys: activations (contexts, T, units)."""
        if len(self.sample) < activations.shape[-1]:
            activations = activations[..., self.sample.to(activations.device)]  # (contexts, T, sample)
        self.positions.see(self.part[batch], activations)
        self.tokens.see(keys, activations.flatten(0, 1).cpu())


class NgramSums:
    """The summed activations of a few units of each site at each n-gram of the half that explainers see."""

    def __init__(self, step: Step, number: int, samples: list[np.ndarray]):
        """`samples`: each site's units with a token table."""
        recording = step.recording
        shard, names = recording.shards[number], [site.name for site in recording.sites]
        chosen = [ngram_sample(step.config, name, some) for name, some in zip(names, samples, strict=True)]
        self.units = [torch.from_numpy(some) for some in chosen]
        self.sums = [TokenSums(step.file("ngrams", number, layer), len(some)) for layer, some in enumerate(chosen)]
        self.keys = ShardKeys(shard, sum(map(len, chosen)), partial(keys_of, recording.ngrams))

    def see(self, batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
        """See a batch of contexts: activations (contexts, T, units)."""
        some = activations[..., self.units[layer].to(activations.device)]
        self.sums[layer].see(self.keys.of(batch), some.flatten(0, 1).cpu())

    def close(self) -> None:
        """All is seen."""
        for sums in self.sums:
            sums.close()


class ShardKeys:
    """The keys of a shard's tokens in the parts of their documents, a batch at a time."""

    def __init__(self, shard: Shard, units: int, values_of: Callable[[np.ndarray], np.ndarray] = lambda tokens: tokens):
        """`units`: how many, of all sites, have sums; as many keys are held together as MEMORY has room for.

        `values_of` tokens (contexts, T) are what is summed by: the tokens themselves, or n-grams that end there.
        """
        part = part_of_contexts(shard.half)
        side, contexts = shard.half.side, shard.half.contexts
        self._keys = [
            PARTS * values_of(context_tokens(side, contexts, batch)) + part[batch, None] for batch in shard.batches
        ]
        self._groups = group_keys(self._keys, MEMORY // (8 * max(1, units)))
        self._number = {int(batch[0]): number for number, batch in enumerate(shard.batches)}
        self._of: tuple[int, BatchKeys] | None = None

    def of(self, batch: np.ndarray) -> BatchKeys:
        """A batch's. All sites see the same tokens: the first one to ask, whichever it is, has them sorted for all."""
        number = self._number[int(batch[0])]
        if self._of is None or self._of[0] != number:
            self._of = number, batch_keys(self._keys[number], self._groups[number])
        return self._of[1]


class FirstPass(Pass):
    """Writes `first-SHARD`, all sites' sums and places, and each site's `table-SHARD-LAYER` and `text-SHARD-LAYER`.

    Of the half that explainers see, also each site's `ngrams-SHARD-LAYER`.
    """

    def result(self, number: int) -> Path:
        """The file that is there once a shard is done."""
        return self.file("first", number)

    def __call__(self, number: int) -> None:
        """Work on one shard, unless it is done."""
        if self.result(number).is_file():
            return
        recording = self.recording
        shard = recording.shards[number]
        half, device = shard.half, recording.counting_device
        sites = [FirstStatistics(site.units, half.tilings, device) for site in recording.sites]
        samples = [table_sample(self.config, site.name, site.units, recording.vocabulary) for site in recording.sites]
        tables = [SampleSums(self.file("table", number, layer), half, some) for layer, some in enumerate(samples)]
        pieces = draw_pieces(half, self.config.seed)
        texts = [PieceActivations(self.file("text", number, layer), pieces, some) for layer, some in enumerate(samples)]
        keys = ShardKeys(shard, sum(map(len, samples)))
        shown = half.name == PROTOCOLS[self.config.protocol].explained_on
        ngrams = NgramSums(self, number, samples) if shown else None

        def see(batch: np.ndarray, layer: int, activations: torch.Tensor) -> None:
            sites[layer].see(half, batch, activations)
            tables[layer].see(batch, keys.of(batch), activations)
            texts[layer].see(batch, activations)
            if ngrams is not None:
                ngrams.see(batch, layer, activations)

        recording.run(shard, see, self.advance(number))
        if ngrams is not None:
            ngrams.close()
        states = [site.state() for site in sites]
        for table, text, state in zip(tables, texts, states, strict=True):
            table.tokens.close()
            text.close()
            state["positions"] = table.positions.sums
        save_state(
            self.result(number),
            {f"{layer}/{name}": value for layer, state in enumerate(states) for name, value in state.items()},
        )
