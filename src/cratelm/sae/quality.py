"""How well autoencoders stand in for what they read: sparsity, variance, and what the model loses by them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from cratelm.corpus.contexts import context_tokens, cut_contexts, equal_batches
from cratelm.corpus.read_tokens import Side
from cratelm.models.devices import device_of
from cratelm.progress import Progress
from cratelm.seeds import derive_seed
from cratelm.stats import ratio_interval
from cratelm.training.bounded_logits import rows_at_once
from cratelm.training.text_losses import context_length
from cratelm.units.sites import at_sites

DENSITY_EDGES = np.linspace(-6, 0, 25)
"""Edges of the density histogram's bins: log10 of the share of tokens that a latent fires at."""

Replace = dict[str, Callable[[torch.Tensor], torch.Tensor]]
"""What takes the place of each site's output (B, T, d)."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out documents as batches of contexts, each after the model's start token."""

    model: PreTrainedModel
    side: Side
    start: int
    """The token that the model reads before every context."""
    documents: int
    """The first so many are read."""

    def batches(self) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Inputs (B, 1 + T), and the document that each row lies in (B,)."""
        count = min(self.documents, len(self.side.ends))
        side = self.side.first(count)
        context = context_length(self.model) - 1
        contexts = cut_contexts(side, context)
        for batch in equal_batches(contexts, min(rows_at_once(self.model, context + 1), 32)):
            tokens = torch.from_numpy(context_tokens(side, contexts, batch))
            yield F.pad(tokens, (1, 0), value=self.start).to(device_of(self.model)), contexts.document[batch]

    @torch.inference_mode()
    def losses(self, replace: Replace) -> tuple[np.ndarray, np.ndarray]:
        """Each document's nats and predicted tokens, with what the sites give replaced: (documents,) float64 each."""
        nats, tokens = np.zeros(self.documents), np.zeros(self.documents)
        for inputs, document in self.batches():
            with at_sites(self.model, list(replace), lambda site, output: replace[site](output)):
                logits = self.model(input_ids=inputs, use_cache=False).logits[:, :-1].float()
            lost = F.cross_entropy(logits.transpose(1, 2), inputs[:, 1:], reduction="none").double().sum(1)
            np.add.at(nats, document, lost.cpu().numpy())
            np.add.at(tokens, document, inputs.shape[1] - 1)
        return nats, tokens


class Reconstruction:
    """What is summed over tokens at one site, in float64."""

    def __init__(self, coordinates: int, latents: int):
        self.tokens = 0
        self.first: torch.Tensor | None = None
        """(d,): the first x. Sums are of the distances from it, so that those of an x that never varies are 0."""
        self.sum, self.squares, self.error = torch.zeros(coordinates, dtype=torch.float64), 0.0, 0.0
        self.fired = torch.zeros(latents, dtype=torch.int64)

    def update(self, x: torch.Tensor, latents: torch.Tensor, reconstruction: torch.Tensor) -> None:
        """See x (N, d), its latents (N, h) and what they reconstruct (N, d)."""
        self.tokens += len(x)
        self.first = x[0].double() if self.first is None else self.first
        apart = x.double() - self.first
        self.sum += apart.sum(0).cpu()
        self.squares += apart.square().sum().item()
        self.error += (x - reconstruction).double().square().sum().item()
        self.fired += (latents > 0).sum(0).cpu()

    @property
    def mean(self) -> torch.Tensor:
        """The mean of x: (d,) float64."""
        assert self.first is not None
        return self.first.cpu() + self.sum / self.tokens

    def figures(self) -> dict[str, Any]:
        """L0, explained variance, dead share, and the histogram of how often latents fire."""
        # Centred: the variance is taken round the mean of each coordinate, and summed over them.
        variance = self.squares - self.sum.square().sum().item() / self.tokens
        rate = self.fired.numpy() / self.tokens
        alive = rate[rate > 0]
        counts, _ = np.histogram(np.log10(alive).clip(DENSITY_EDGES[0]), DENSITY_EDGES)
        return {
            "l0": float(rate.sum()),
            "explained_variance": 1 - self.error / variance if variance > 0 else None,
            "dead_share": float((rate == 0).mean()),
            "density": {"log10_edges": DENSITY_EDGES.tolist(), "latents": counts.tolist()},
        }


@torch.inference_mode()
def reconstructions(held_out: HeldOut, saes: dict[str, Any]) -> dict[str, Reconstruction]:
    """What each autoencoder makes of the activations of the undisturbed model; the start token is left out."""
    sums = {site: Reconstruction(sae.cfg.d_in, sae.cfg.d_sae) for site, sae in saes.items()}

    def visit(site: str, output: torch.Tensor) -> None:
        x = output[:, 1:].flatten(0, 1).float().to(device_of(held_out.model))  # (B, 1 + T, d) to (B * T, d)
        latents = saes[site].encode(x)
        sums[site].update(x, latents, saes[site].decode(latents))

    for inputs, _ in held_out.batches():
        with at_sites(held_out.model, list(saes), visit):
            held_out.model.base_model(input_ids=inputs, use_cache=False)
    return sums


def _reconstructed(sae: Any, x: torch.Tensor) -> torch.Tensor:
    """What an autoencoder makes of x, in the type and on the device of x."""
    return sae.decode(sae.encode(x.to(sae.W_dec))).to(x)


def measure(held_out: HeldOut, saes: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The quality of each site's autoencoder, alone in the model, and of all of them in it together.

    Losses are nats a token. `delta_loss` comes with a 95% bootstrap interval over documents. `loss_recovered` is
    (zero - sae) / (zero - clean): where a layer has no skip, as CRATE's, zero ablation ends the stream, so it does
    not compare architectures; delta loss does. It is None where zero ablation costs the model nothing that documents
    drawn again would not: there is no loss to recover then.
    """
    with progress.task("measuring the autoencoders", total=2 + 3 * len(saes)) as bar:
        sums = reconstructions(held_out, saes)
        clean, tokens = held_out.losses({})
        bar.advance()

        def loss(replace: Replace) -> np.ndarray:
            bar.advance()
            return held_out.losses(replace)[0]

        sites = {}
        for site, sae in saes.items():
            mean = sums[site].mean
            losses = {
                "sae": loss({site: partial(_reconstructed, sae)}),
                "zero": loss({site: torch.zeros_like}),
                "mean": loss({site: lambda x, mean=mean: mean.to(x).expand_as(x)}),
            }
            sites[site] = sums[site].figures() | _loss_figures(clean, losses, tokens)
        together = loss({site: partial(_reconstructed, sae) for site, sae in saes.items()})
    return {
        "documents": int((tokens > 0).sum()),
        "tokens": int(tokens.sum()),
        "clean_loss": float(clean.sum() / tokens.sum()),
        "sites": sites,
        "together": {"sae_loss": float(together.sum() / tokens.sum()), "delta_loss": _delta(together - clean, tokens)},
    }


def _loss_figures(clean: np.ndarray, losses: dict[str, np.ndarray], tokens: np.ndarray) -> dict[str, Any]:
    means = {f"{name}_loss": float(nats.sum() / tokens.sum()) for name, nats in losses.items()}
    gap = _delta(losses["zero"] - clean, tokens)
    has_gap = gap["mean"] > 0 and (gap["low"] is None or gap["low"] > 0)
    recovered = float((losses["zero"] - losses["sae"]).sum() / (losses["zero"] - clean).sum()) if has_gap else None
    return means | {"delta_loss": _delta(losses["sae"] - clean, tokens), "loss_recovered": recovered}


def _delta(difference: np.ndarray, tokens: np.ndarray) -> dict[str, Any]:
    read = tokens > 0
    low, high = None, None
    if read.sum() > 1:
        low, high = ratio_interval(difference[read], tokens[read], derive_seed(0, "delta loss"))
    return {"mean": float(difference.sum() / tokens.sum()), "low": low, "high": high}
