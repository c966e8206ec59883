"""CRATE-LM (Bai & Ma, arXiv 2410.16443): a language model with sparse coding in every layer.

A layer takes the tokens Z (B, T, d) through two half-steps that lower one objective, the sparse rate reduction:

    Z' = Z + W_o MSSA(LN(Z))        compress: each token moves towards its likes in K subspaces
    Z  = D A_2(LN(Z'))              sparsify: two ISTA steps find a non-negative code A over the dictionary D

There is no residual round the second half: the code is all that the layer hands on, and its h = 4d coordinates
are the units that can be read. It passes through `coding.code`, where it is read or clamped; the codes of the steps
before the last pass through `coding.earlier_codes`, and what the last ReLU reads through `coding.preactivation`.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_crate import CrateConfig
from .decoder import CausalAttention, DecoderForCausalLM, DecoderModel, DecoderPreTrainedModel
from .sparse_activations import rectify


class CrateAttention(CausalAttention):
    """MSSA: K subspaces U_k, the slices of one projection, serve as query, key and value alike."""

    def __init__(self, config: CrateConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.subspace_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.output_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def project(self, hidden_states):
        """The coordinates w = U^T LN(Z) in all K subspaces, three times: (B, K, T, p)."""
        w = self.split_heads(self.subspace_proj(hidden_states))
        return w, w, w


class CrateSparseCoding(nn.Module):
    """ISTA for min_A 1/2 |x - D A|^2 + threshold * sum(A), A >= 0, unrolled from A = 0; then D A.

    `dictionary` holds D transposed: (h, d), an atom a row.
    """

    def __init__(self, config: CrateConfig):
        super().__init__()
        self.steps, self.step_size, self.threshold = (
            config.ista_steps,
            config.ista_step_size,
            config.ista_threshold,
        )
        self.dictionary = nn.Parameter(torch.empty(cast(int, config.dictionary_size), config.hidden_size))
        self.earlier_codes = nn.ModuleList(nn.Identity() for _ in range(self.steps - 1))
        self.preactivation = nn.Identity()
        self.code = nn.Identity()

    def forward(self, x):
        """(B, T, d) to (B, T, d), through the code (B, T, h)."""
        # The first step starts from A = 0, where nothing is explained yet: one product is enough.
        step = self.step_size * (F.linear(x, self.dictionary) - self.threshold)
        for earlier in self.earlier_codes:
            code = earlier(rectify(step))
            # The correlation with what is still unexplained: D^T (x - D A) costs two products, not three.
            unexplained = x - code @ self.dictionary  # (B, T, d)
            step = code + self.step_size * (F.linear(unexplained, self.dictionary) - self.threshold)
        return self.code(rectify(self.preactivation(step))) @ self.dictionary


class CrateLayer(GradientCheckpointingLayer):
    """One compression and one sparsification of the tokens."""

    def __init__(self, config: CrateConfig, layer_idx: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = CrateAttention(config, layer_idx)
        self.coding_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.coding = CrateSparseCoding(config)

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, **kwargs):
        """(B, T, d) to (B, T, d)."""
        attended, _ = self.attention(
            self.attention_norm(hidden_states),
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        return self.coding(self.coding_norm(hidden_states + attended))


class CratePreTrainedModel(DecoderPreTrainedModel):
    """How CRATE's weights begin, and which of its modules transformers should know."""

    config: CrateConfig
    config_class = CrateConfig
    _no_split_modules = ["CrateLayer"]
    _can_record_outputs = {"hidden_states": CrateLayer, "attentions": CausalAttention}

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, CrateSparseCoding):
            init.kaiming_uniform_(module.dictionary)


class CrateModel(CratePreTrainedModel, DecoderModel):
    """CRATE without a head: token ids (B, T) to hidden states (B, T, d)."""

    layer_class = CrateLayer


class CrateForCausalLM(CratePreTrainedModel, DecoderForCausalLM):
    """CRATE-LM."""

    model_class = CrateModel
