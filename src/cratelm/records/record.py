"""The record stage: a model and held-out text in, excerpts and statistics of every unit of every layer out.

Two passes over each half of the text, all sites at once. The first keeps maxima, sums and positions only, so that
memory depends on the number of units and not of tokens; the second computes the chosen excerpts again, in the very
batches of the first, and keeps their activations.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from cratelm.artifacts import Artifact, run_stage, write_json
from cratelm.corpus.contexts import context_tokens, equal_batches
from cratelm.corpus.tokens import read_side
from cratelm.errors import RunError
from cratelm.models.load import load_model
from cratelm.progress import Progress
from cratelm.records.config import RecordConfig
from cratelm.records.halves import Half, cut_half, draw_pool, same_token_pairs
from cratelm.records.site import SiteRecord
from cratelm.records.store import HALVES, write_excerpts, write_tables, write_units
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
