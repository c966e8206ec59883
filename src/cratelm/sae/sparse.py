"""SAELens's TopK training step with sparse products: the same losses and gradients, several times faster on CPUs.

SAELens computes six dense products a step. With k of h latents at a token, all of them but the encoder's forward one
are sparse, and PyTorch has CSR kernels for them. Costs, for N activations of d coordinates: one product of N d h, and
five of N d k; dead latents add dense products over themselves alone.
"""

import warnings
from typing import Any

import torch
from sae_lens import TopKTrainingSAE
from sae_lens.saes.sae import TrainStepInput, TrainStepOutput
from sae_lens.saes.topk_sae import calculate_topk_aux_acts

# PyTorch says so of every CSR tensor; the products used here are compared with dense ones in the tests.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")

SPARSE_FROM = 32
"""Latents for each that may fire, from which the sparse products are the faster ones (docs/log.md)."""


class _Reconstruct(torch.autograd.Function):
    """Activations to reconstruction, (N, d) to (N, d), with what fires: (N, k) latents and (N, k) values.

    SAELens multiplies a latent by its decoder row's norm before TopK and divides by it behind, so that the norm
    decides what fires and cancels in the values.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w_enc: Any, b_enc: Any, w_dec: Any, b_dec: Any, k: int) -> Any:
        centred = x - b_dec
        hidden = torch.addmm(b_enc, centred, w_enc)  # (N, h), the one dense product
        latents = (hidden * w_dec.norm(dim=-1)).topk(k, sorted=False).indices.sort().values  # (N, k)
        values = hidden.gather(-1, latents).relu()
        ctx.save_for_backward(centred, w_enc, w_dec, latents, values)
        return _rows(latents, values.flatten(), len(w_dec)) @ w_dec + b_dec, latents, values

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        centred, w_enc, w_dec, latents, values = ctx.saved_tensors
        g, flat, width = gradients[0], latents.flatten(), len(w_dec)
        nothing = _rows(latents, torch.zeros_like(values).flatten(), width)
        of_values = torch.sparse.sampled_addmm(nothing, g, w_dec.t(), beta=0.0).values()  # at the N k places alone
        of_hidden = of_values * (values.flatten() > 0)
        of_b_enc = torch.zeros(width, dtype=g.dtype).index_add_(0, flat, of_hidden)
        columns = _Columns(latents, width)
        of_w_enc = (columns.filled(of_hidden) @ centred).t()  # (d, h)
        of_w_dec = columns.filled(values.flatten()) @ g  # (h, d)
        return None, of_w_enc, of_b_enc, of_w_dec, g.sum(0) - w_enc @ of_b_enc, None


def _rows(latents: torch.Tensor, values: torch.Tensor, width: int) -> torch.Tensor:
    """What fires at each token as a sparse matrix (N, h)."""
    tokens, k = latents.shape
    ends = torch.arange(0, tokens * k + 1, k)
    return torch.sparse_csr_tensor(ends, latents.flatten(), values, (tokens, width), check_invariants=False)


class _Columns:
    """The tokens that each latent fires at: the transposed pattern, sorted once for two products."""

    def __init__(self, latents: torch.Tensor, width: int):
        flat = latents.flatten()
        self.order = flat.argsort(stable=True)
        self.tokens = self.order // latents.shape[1]
        self.ends = torch.cat([flat.new_zeros(1), flat.bincount(minlength=width).cumsum(0)])
        self.shape = (width, len(latents))

    def filled(self, values: torch.Tensor) -> torch.Tensor:
        """A sparse matrix (h, N) of values in the order of the rows' places."""
        return torch.sparse_csr_tensor(self.ends, self.tokens, values[self.order], self.shape, check_invariants=False)


class SparseTopKTrainingSAE(TopKTrainingSAE):
    """SAELens's TopK autoencoder, with its default `rescale_acts_by_decoder_norm`, trained by sparse products."""

    def training_forward_pass(self, step_input: TrainStepInput) -> TrainStepOutput:
        """The losses of a step, on a CPU, in float32."""
        x = step_input.sae_in
        out, latents, values = _Reconstruct.apply(x, self.W_enc, self.b_enc, self.W_dec, self.b_dec, self.cfg.k)
        error = self.mse_loss_fn(out, x).sum(dim=-1).mean()
        auxiliary = self._auxiliary(x, (x - out).detach(), step_input.dead_neuron_mask)
        places = torch.stack([torch.arange(len(x)).repeat_interleave(self.cfg.k), latents.flatten()])
        fired = torch.sparse_coo_tensor(
            places, values.flatten(), (len(x), self.cfg.d_sae), is_coalesced=True, check_invariants=False
        )
        return TrainStepOutput(
            sae_in=x,
            sae_out=out,
            feature_acts=fired,
            hidden_pre=fired,
            loss=error + auxiliary,
            losses={"mse_loss": error, "auxiliary_reconstruction_loss": auxiliary},
        )

    def _auxiliary(self, x: torch.Tensor, residual: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """SAELens's `calculate_topk_aux_loss`, computed over the dead latents alone."""
        dead = torch.zeros(0, dtype=torch.int64) if mask is None else mask.nonzero().flatten()
        if not len(dead):
            return x.new_tensor(0.0)
        most = x.shape[-1] // 2
        rows = self.W_dec[dead]  # (dead, d)
        norms = rows.norm(dim=-1)
        hidden = ((x - self.b_dec) @ self.W_enc[:, dead] + self.b_enc[dead]) * norms  # (N, dead)
        every = torch.ones(len(dead), dtype=torch.bool)
        activations = calculate_topk_aux_acts(min(most, len(dead)), hidden, every)
        guess = (activations / norms) @ rows
        scale = self.cfg.aux_loss_coefficient * min(len(dead) / most, 1.0)
        return scale * (guess - residual).square().sum(dim=-1).mean()
