"""CRATE's relatives: what differs from CRATE-LM in one thing or a few, to see what each of them does.

The options are orthogonal. A layer is CRATE's, with another attention, another sparse block, a residual round it, or
all of these; with none of them it is CRATE. The units pass through `coding.code`, as everywhere.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_crate_variant import CrateVariantConfig
from .decoder import CausalAttention, DecoderForCausalLM, DecoderModel, DecoderPreTrainedModel
from .modeling_crate import CrateAttention
from .rotary import rotary_tables
from .sparse_activations import rectify


class LowRankQueryAttention(CrateAttention):
    """MSSA whose query has a low-rank correction: q = w + B A LN(Z), with k = v = w."""

    def __init__(self, config: CrateVariantConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        rank = cast(int, config.query_rank)
        self.query_down_proj = nn.Linear(config.hidden_size, rank, bias=False)
        self.query_up_proj = nn.Linear(rank, config.hidden_size, bias=False)

    def project(self, hidden_states):
        """Queries, keys and values: each (B, K, T, p)."""
        w, _, _ = super().project(hidden_states)
        correction = self.split_heads(self.query_up_proj(self.query_down_proj(hidden_states)))
        return w + correction, w, w


class SeparateQueryAttention(CrateAttention):
    """MSSA whose query is free: q = W_q LN(Z), with k = v = w."""

    def __init__(self, config: CrateVariantConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.query_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def project(self, hidden_states):
        """Queries, keys and values: each (B, K, T, p)."""
        w, _, _ = super().project(hidden_states)
        return self.split_heads(self.query_proj(hidden_states)), w, w


class SeparateAttention(SeparateQueryAttention):
    """Attention as in GPT-2: query, key and value are free; v = w."""

    def __init__(self, config: CrateVariantConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.key_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def project(self, hidden_states):
        """Queries, keys and values: each (B, K, T, p)."""
        query, _, value = super().project(hidden_states)
        return query, self.split_heads(self.key_proj(hidden_states)), value


ATTENTION = {
    "mssa": CrateAttention,
    "low-rank-query": LowRankQueryAttention,
    "separate-query": SeparateQueryAttention,
    "separate": SeparateAttention,
}


class VariantSparseCoding(nn.Module):
    """ISTA over the dictionary D, decoded by D or a dictionary of its own.

    Dictionaries hold an atom a row: (h, d). Learned step sizes and thresholds are held as the logarithms of their
    ratios to where they begin: so they stay positive, and weight decay draws them back there.
    """

    def __init__(self, config: CrateVariantConfig):
        super().__init__()
        units, width = cast(int, config.dictionary_size), config.hidden_size
        self.step_size, self.threshold = config.ista_step_size, config.ista_threshold
        self.dictionary = nn.Parameter(torch.empty(units, width))
        self.decoding_dictionary = nn.Parameter(torch.empty(units, width)) if config.decoupled else None
        self.step_size_log_ratio = nn.Parameter(torch.empty(units)) if config.learned else None
        self.threshold_log_ratio = nn.Parameter(torch.empty(units)) if config.learned else None
        self.earlier_codes = nn.ModuleList(nn.Identity() for _ in range(config.ista_steps - 1))
        self.preactivation = nn.Identity()
        self.code = nn.Identity()

    def step_sizes_and_thresholds(self):
        """Two numbers or, where they are learned, two vectors (h,)."""
        if self.step_size_log_ratio is None or self.threshold_log_ratio is None:
            return self.step_size, self.threshold
        return self.step_size * self.step_size_log_ratio.exp(), self.threshold * self.threshold_log_ratio.exp()

    def forward(self, x):
        """(B, T, d) to (B, T, d), through the code (B, T, h)."""
        step_size, threshold = self.step_sizes_and_thresholds()
        step = step_size * (F.linear(x, self.dictionary) - threshold)
        for earlier in self.earlier_codes:
            code = earlier(rectify(step))
            unexplained = x - code @ self.dictionary  # (B, T, d)
            step = code + step_size * (F.linear(unexplained, self.dictionary) - threshold)
        code = self.code(rectify(self.preactivation(step)))
        return code @ (self.dictionary if self.decoding_dictionary is None else self.decoding_dictionary)


class CompleteSparseCoding(nn.Module):
    """The first CRATE's block (arXiv 2306.01129): ISTA from A = x over d atoms; the code itself goes on."""

    def __init__(self, config: CrateVariantConfig):
        super().__init__()
        self.step_size, self.threshold = config.ista_step_size, config.ista_threshold
        self.dictionary = nn.Parameter(torch.empty(config.hidden_size, config.hidden_size))
        self.earlier_codes = nn.ModuleList(nn.Identity() for _ in range(config.ista_steps - 1))
        self.preactivation = nn.Identity()
        self.code = nn.Identity()

    def forward(self, x):
        """(B, T, d) to the code (B, T, d)."""
        # d atoms for d coordinates: the input itself is a code to begin with.
        step = self._step(x, x)
        for earlier in self.earlier_codes:
            step = self._step(x, earlier(rectify(step)))
        return self.code(rectify(self.preactivation(step)))

    def _step(self, x, code):
        unexplained = x - code @ self.dictionary  # (B, T, d)
        return code + self.step_size * (F.linear(unexplained, self.dictionary) - self.threshold)


class CrateVariantLayer(GradientCheckpointingLayer):
    """One compression and one sparsification of the tokens, put together as the configuration says."""

    def __init__(self, config: CrateVariantConfig, layer_idx: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = ATTENTION[config.attention](config, layer_idx)
        self.coding_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.coding = CompleteSparseCoding(config) if config.complete else VariantSparseCoding(config)
        self.residual = config.residual

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, **kwargs):
        """(B, T, d) to (B, T, d)."""
        attended, _ = self.attention(
            self.attention_norm(hidden_states),
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        hidden_states = hidden_states + attended
        coded = self.coding(self.coding_norm(hidden_states))
        return hidden_states + coded if self.residual else coded


class CrateVariantPreTrainedModel(DecoderPreTrainedModel):
    """How the variants' weights begin, and which of their modules transformers should know."""

    config: CrateVariantConfig
    config_class = CrateVariantConfig
    _no_split_modules = ["CrateVariantLayer"]
    _can_record_outputs = {"hidden_states": CrateVariantLayer, "attentions": CausalAttention}

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, VariantSparseCoding | CompleteSparseCoding):
            init.kaiming_uniform_(module.dictionary)
        if isinstance(module, VariantSparseCoding):
            if module.decoding_dictionary is not None:  # begins tied, so that training alone sets the two apart
                init.copy_(module.decoding_dictionary, module.dictionary)
            for learned in (module.step_size_log_ratio, module.threshold_log_ratio):
                if learned is not None:
                    init.zeros_(learned)


class CrateVariantModel(CrateVariantPreTrainedModel, DecoderModel):
    """A variant without a head: token ids (B, T) to hidden states (B, T, d)."""

    layer_class = CrateVariantLayer

    def shared(self, hidden_states, position_ids):
        """Where positions are rotary, the tables for queries, (B, K, T, p / 2), and for keys, (B, 1, T, p / 2)."""
        if not self.config.rotary:
            return {}
        width = self.config.hidden_size // self.config.num_attention_heads
        positions = position_ids[:, None]
        # A tied token is most like itself: turned by k positions less, it is most like what stands k tokens back.
        back = torch.arange(self.config.num_attention_heads, device=positions.device)[:, None]
        return {"rotary": (rotary_tables(positions - back, width), rotary_tables(positions, width))}


class CrateVariantForCausalLM(CrateVariantPreTrainedModel, DecoderForCausalLM):
    """A variant of CRATE-LM."""

    model_class = CrateVariantModel
