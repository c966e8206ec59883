"""CRATE-alpha in nanochat's frame (github.com/modularflow/nanochat-crate-a, nanochat/crate.py).

Z (B, T, d) is the stream, N(x) = x / sqrt(mean x^2) a norm without weights, R a rotation by the position:

    Z   = X = N(E[ids])
    Z   = a Z + b X                                     a, b: two numbers a layer; X is what entered the first one
    w_k = N(R(U_k^T N(Z)))                              K subspaces: query, key and value alike
    Z'  = Z + W_o [softmax(mask(w_k w_k^T / sqrt(p))) w_k]_k
    Z   = Z' + E relu(D^T N(Z') - t)                    a threshold t_j learned for each unit, decoding by E
    logits = c tanh(H N(Z) / c)                         the head H is not the embedding

This is one ISTA step from 0 of size 1. The code passes through `coding.code`, where it is read or clamped.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_nanochat_crate import FULL, SLIDING, NanochatCrateConfig
from .decoder import CausalAttention, DecoderForCausalLM, DecoderModel, DecoderPreTrainedModel
from .rotary import rotary_tables, rotate


def plain_norm(config: NanochatCrateConfig) -> nn.Module:
    """N over the stream's coordinates."""
    return nn.RMSNorm(config.hidden_size, eps=config.layer_norm_eps, elementwise_affine=False)


class RotaryMSSA(CausalAttention):
    """MSSA whose w are turned by their positions and normed; values as well as queries and keys."""

    def __init__(self, config: NanochatCrateConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.sliding_window = config.sliding_window if cast(list, config.layer_types)[layer_idx] == SLIDING else None
        self.subspace_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.output_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, rotary=None, **kwargs):
        """(B, T, d) to (B, T, d), and the attention weights; `rotary` is cosines and sines."""
        w = rotate(self.split_heads(self.subspace_proj(hidden_states)), *cast(list, rotary))  # (B, K, T, p)
        w = F.rms_norm(w, (self.head_dim,), eps=self.config.layer_norm_eps)
        return self.attend(w, w, w, attention_mask, past_key_values, **kwargs)


class OvercompleteCoding(nn.Module):
    """A code over the dictionary D, decoded by E. Both are stored with an atom a row: (h, d)."""

    def __init__(self, config: NanochatCrateConfig):
        super().__init__()
        units, width = cast(int, config.dictionary_size), config.hidden_size
        self.dictionary = nn.Parameter(torch.empty(units, width))
        self.decoding_dictionary = nn.Parameter(torch.empty(units, width))
        fixed = config.soft_threshold
        self.threshold = nn.Parameter(torch.empty(units)) if fixed is None else None
        self.code = nn.ReLU() if fixed is None else nn.Softshrink(fixed)

    def forward(self, x):
        """(B, T, d) to (B, T, d), through the code (B, T, h)."""
        projected = F.linear(x, self.dictionary)
        code = self.code(projected if self.threshold is None else projected - self.threshold)
        return code @ self.decoding_dictionary


class NanochatCrateLayer(GradientCheckpointingLayer):
    """One compression and one sparsification of the tokens, after the first layer's input was mixed in again."""

    def __init__(self, config: NanochatCrateConfig, layer_idx: int):
        super().__init__()
        # Of one element each: sharding knows no parameter without a dimension.
        self.stream_scale = nn.Parameter(torch.empty(1))
        self.entry_scale = nn.Parameter(torch.empty(1))
        self.attention_norm = plain_norm(config)
        self.attention = RotaryMSSA(config, layer_idx)
        self.coding_norm = plain_norm(config)
        self.coding = OvercompleteCoding(config)
        self.residual = config.residual

    def forward(self, hidden_states, entry, attention_mask=None, past_key_values=None, **kwargs):
        """(B, T, d) to (B, T, d); `entry` is what the first layer read."""
        hidden_states = self.stream_scale * hidden_states + self.entry_scale * entry
        attended, _ = self.attention(
            self.attention_norm(hidden_states),
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        hidden_states = hidden_states + attended
        coded = self.coding(self.coding_norm(hidden_states))
        return hidden_states + coded if self.residual else coded


class NanochatCratePreTrainedModel(DecoderPreTrainedModel):
    """How the weights begin, and which of the modules transformers should know."""

    config: NanochatCrateConfig
    config_class = NanochatCrateConfig
    _no_split_modules = ["NanochatCrateLayer"]
    _can_record_outputs = {"hidden_states": NanochatCrateLayer, "attentions": CausalAttention}

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, OvercompleteCoding):
            init.kaiming_uniform_(module.dictionary)
            init.normal_(module.decoding_dictionary, std=self.config.initializer_range)
            if module.threshold is not None:
                init.zeros_(module.threshold)
        if isinstance(module, NanochatCrateLayer):
            init.ones_(module.stream_scale)
            init.zeros_(module.entry_scale)


class NanochatCrateModel(NanochatCratePreTrainedModel, DecoderModel):
    """The model without a head: token ids (B, T) to hidden states (B, T, d)."""

    layer_class = NanochatCrateLayer

    def make_positions(self, config) -> None:
        """None: attention turns its coordinates by their positions."""

    def make_norm(self, config):
        """The norm after the last layer."""
        return plain_norm(config)

    def enter(self, inputs_embeds, position_ids):
        """The token embeddings, normed."""
        # Not by the final norm's module: what hooks that one would see the embeddings too.
        return F.rms_norm(inputs_embeds, inputs_embeds.shape[-1:], eps=self.config.layer_norm_eps)

    def masks(self, **inputs):
        """A mask for each layer, by its type; `generate` may have made them before."""
        types, masks = cast(list, self.config.layer_types), inputs["attention_mask"]
        if not isinstance(masks, dict):
            made = {FULL: create_causal_mask, SLIDING: create_sliding_window_causal_mask}
            masks = {kind: create(config=self.config, **inputs) for kind, create in made.items() if kind in types}
        return [masks[kind] for kind in types]

    def shared(self, hidden_states, position_ids):
        """The first layer's input and the tables of rotations, (B, 1, T, p / 2)."""
        tables = rotary_tables(position_ids[:, None], self.config.hidden_size // self.config.num_attention_heads)
        # nanochat keeps its tables in bfloat16: the weights were trained with cosines of three digits.
        return {"entry": hidden_states, "rotary": [table.bfloat16() for table in tables]}


class NanochatCrateForCausalLM(NanochatCratePreTrainedModel, DecoderForCausalLM):
    """CRATE-alpha with its own head, whose logits are capped."""

    model_class = NanochatCrateModel
    _tied_weights_keys = {}

    def logits_of(self, hidden_states):
        """Logits (B, T, V) between minus and plus `final_logit_softcapping`, in float32."""
        cap = self.config.final_logit_softcapping
        return cap * torch.tanh(self.lm_head(hidden_states).float() / cap)
