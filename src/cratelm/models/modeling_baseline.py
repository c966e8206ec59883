"""GPT-2, by default as the paper trains it (arXiv 2410.16443): nanoGPT's block with ReLU and no biases.

    Z = Z + W_o Attention(LN(Z))
    Z = Z + W_down ReLU(W_up LN(Z))

The post-ReLU hidden layer passes through `mlp.hidden`, where its units are read or clamped. Its rivals of ISTA, TopK
and an L1 penalty, are in sparse_activations.py.
"""

from typing import cast

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_baseline import BaselineConfig
from .decoder import CausalAttention, DecoderForCausalLM, DecoderModel, DecoderPreTrainedModel
from .modeling_crate import CrateAttention
from .sparse_activations import PenalisedReLU, Rectified, TopK


class BaselineAttention(CausalAttention):
    """Attention with separate query, key and value projections."""

    def __init__(self, config: BaselineConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.query_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)
        self.key_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)
        self.value_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)
        self.output_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.bias)

    def project(self, hidden_states):
        """Queries, keys and values: each (B, K, T, p)."""
        return (
            self.split_heads(self.query_proj(hidden_states)),
            self.split_heads(self.key_proj(hidden_states)),
            self.split_heads(self.value_proj(hidden_states)),
        )


def hidden_activation(config: BaselineConfig) -> nn.Module:
    """What the hidden layer's values pass through."""
    if config.activation == "topk":
        return TopK(cast(int, config.topk))
    if config.activation == "relu":
        return PenalisedReLU() if config.l1_penalty else Rectified()
    return ACT2FN[config.activation]


class BaselineMLP(nn.Module):
    """Two linear maps with a ReLU (or GELU, or TopK) between them: (B, T, d) to (B, T, 4d) to (B, T, d)."""

    def __init__(self, config: BaselineConfig):
        super().__init__()
        width = cast(int, config.intermediate_size)
        self.up_proj = nn.Linear(config.hidden_size, width, bias=config.bias)
        self.hidden = hidden_activation(config)
        self.down_proj = nn.Linear(width, config.hidden_size, bias=config.bias)

    def forward(self, hidden_states):
        """(B, T, d) to (B, T, d)."""
        return self.down_proj(self.hidden(self.up_proj(hidden_states)))


class BaselineLayer(GradientCheckpointingLayer):
    """Attention and MLP, each added to the residual stream."""

    def __init__(self, config: BaselineConfig, layer_idx: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps, bias=config.bias)
        attention_class = CrateAttention if config.attention == "mssa" else BaselineAttention
        self.attention = attention_class(config, layer_idx)  # type: ignore[bad-argument-type]
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps, bias=config.bias)
        self.mlp = BaselineMLP(config)

    def forward(self, hidden_states, attention_mask=None, past_key_values=None, **kwargs):
        """(B, T, d) to (B, T, d)."""
        attended, _ = self.attention(
            self.attention_norm(hidden_states),
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.mlp_norm(hidden_states))


class BaselinePreTrainedModel(DecoderPreTrainedModel):
    """How the baseline's weights begin, and which of its modules transformers should know."""

    config: BaselineConfig
    config_class = BaselineConfig
    _no_split_modules = ["BaselineLayer"]
    _can_record_outputs = {"hidden_states": BaselineLayer, "attentions": CausalAttention}

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, BaselineMLP):
            self.shrink_with_depth(module.down_proj)


class BaselineModel(BaselinePreTrainedModel, DecoderModel):
    """The baseline without a head: token ids (B, T) to hidden states (B, T, d)."""

    layer_class = BaselineLayer


class BaselineForCausalLM(BaselinePreTrainedModel, DecoderForCausalLM):
    """The baseline language model."""

    model_class = BaselineModel

    def lm_loss(self, hidden_states, targets, num_items_in_batch=None):
        """Cross-entropy as everywhere; in training with the L1 penalty, if there is one, a token's share as there."""
        loss = super().lm_loss(hidden_states, targets, num_items_in_batch)
        if not (self.training and self.config.l1_penalty):
            return loss
        share = 1 if num_items_in_batch is None else (targets != -100).sum() / num_items_in_batch
        return loss + self.config.l1_penalty * share * sum(layer.mlp.hidden.take_norm() for layer in self.model.layers)
