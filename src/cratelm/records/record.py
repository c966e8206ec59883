"""The record stage: a model and held-out text in, excerpts and statistics of every unit of every layer out.

Two passes over each half of the text, all sites at once. The first keeps maxima, sums and positions only, so that
memory depends on the number of units and not of tokens; the second computes the chosen excerpts again, in the very
batches of the first, and keeps their activations.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from transformers import PreTrainedModel

from cratelm.artifacts import Artifact, run_stage, write_json
from cratelm.corpus.contexts import context_tokens, equal_batches
from cratelm.corpus.tokens import read_side
from cratelm.errors import RunError
from cratelm.models.load import load_model
from cratelm.progress import Progress
from cratelm.records.config import RecordConfig
from cratelm.records.halves import Half, cut_half, draw_pool, draw_random, same_token_pairs
from cratelm.records.moments import Moments
from cratelm.records.store import HALVES, write_excerpts, write_tables, write_units
from cratelm.records.top import TopExcerpts
from cratelm.seeds import derive_seed
from cratelm.units.sites import at_sites, find_sites

See = Callable[[np.ndarray, str, torch.Tensor], None]
"""Called with a batch of context numbers, a site and its activations there (contexts, tokens, units)."""


def record(config: RecordConfig, model: Artifact, tokens: Artifact, out: Path, progress: Progress) -> Artifact:
    """Make the records of `model` on the held-out sides of `tokens` in `out`."""
    inputs = {"model": model, "tokens": tokens}
    return run_stage(out, "records", config, inputs, lambda folder: _record(config, model, tokens, folder, progress))


def _record(config: RecordConfig, artifact: Artifact, tokens: Artifact, folder: Path, progress: Progress) -> None:
    model = load_model(artifact)
    sites = find_sites(model)
    context = model.config.max_position_embeddings
    halves = [cut_half(name, read_side(tokens, name), context, config.excerpt) for name in HALVES]
    widths: dict[str, int] = {}
    found: dict[str, dict[str, SiteRecord]] = {}
    for half in halves:
        with progress.task(
            f"recording {artifact.path.name}, {half.name} half", total=2 * len(half.contexts.start)
        ) as bar:
            found[half.name] = _record_half(config, model, sites, half, bar.advance)
    for layer, site in enumerate(sites):
        by_half = {name: records[site] for name, records in found.items()}
        widths[site] = by_half["explain"].units
        write_excerpts(folder / f"layer-{layer}.parquet", by_half, halves)
        write_tables(folder / f"tables-{layer}.safetensors", by_half["explain"])
    write_units(folder / "units.parquet", [{name: found[name][site] for name in found} for site in sites])
    summary = {
        "model": artifact.path.name,
        "sites": [{"layer": layer, "site": site, "units": widths[site]} for layer, site in enumerate(sites)],
        "halves": {half.name: _counts(half) for half in halves},
    }
    write_json(folder / "records.json", summary)


def _counts(half: Half) -> dict[str, int]:
    return {
        "documents": len(half.side.ends),
        "contexts": len(half.contexts.start),
        "excerpts": len(half.context_of),
        "tokens": int(half.contexts.length.sum()),
        "dropped_tokens": half.contexts.dropped,
    }


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


def _record_half(
    config: RecordConfig, model: PreTrainedModel, sites: list[str], half: Half, advance: Callable[[float], None]
) -> dict[str, SiteRecord]:
    """Both passes over one half."""
    pool = draw_pool(half, config.pool, config.seed)
    records: dict[str, SiteRecord] = {}
    pairs: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def first(batch: np.ndarray, site: str, activations: torch.Tensor) -> None:
        if site not in records:
            units, vocabulary = activations.shape[-1], model.config.vocab_size
            records[site] = SiteRecord(config, half, site, units, vocabulary, pool)
        tokens = context_tokens(half.side, half.contexts, batch)
        if site == sites[0]:
            documents = np.repeat(half.contexts.document[batch], tokens.shape[1])
            left, right = same_token_pairs(tokens.ravel(), documents)
            pairs[0] = torch.from_numpy(left), torch.from_numpy(right)
        records[site].see_statistics(batch, activations, tokens, pairs[0])

    batches = list(equal_batches(half.contexts, config.batch))
    _run(model, sites, half, batches, first, advance)
    for site, found in records.items():
        if not torch.isfinite(found.moments.powers).all():
            raise RunError(f"activations at {site} are not finite: the model is damaged. Train it again.")
    needed = np.zeros(len(half.contexts.start), dtype=bool)
    for found in records.values():
        needed[found.choose()] = True
    # Whole batches of the first pass, so that an excerpt's activations are the same numbers to the last bit.
    again = [batch for batch in batches if needed[batch].any()]
    _run(model, sites, half, again, lambda batch, site, x: records[site].see_excerpts(batch, x), advance)
    return records


@torch.inference_mode()
def _run(
    model: PreTrainedModel,
    sites: list[str],
    half: Half,
    batches: list[np.ndarray],
    see: See,
    advance: Callable[[float], None],
) -> None:
    """Run the model over batches of contexts, without its head, and show `see` every site's activations."""
    for batch in batches:
        tokens = torch.from_numpy(context_tokens(half.side, half.contexts, batch))
        inputs = torch.nn.functional.pad(tokens, (1, 0), value=model.config.bos_token_id).to(model.device)

        def visit(site: str, output: torch.Tensor, batch: np.ndarray = batch) -> None:
            see(batch, site, output[:, 1:].float().cpu())

        with at_sites(model, sites, visit):
            model.base_model(input_ids=inputs, use_cache=False)
        advance(len(batch))
