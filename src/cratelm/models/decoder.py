"""What all our decoders share: everything but the layer.

A model of this package is a layer class and this frame: token and position embeddings, the layers, a final norm,
and a head tied to the token embedding (paper, section on the architecture; nanoGPT's frame). A family whose frame
differs overrides `make_positions`, `make_norm`, `enter`, `masks`, `shared` or `logits_of`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_decoder import DecoderConfig
from .rotary import rotate


def eager_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Attention in plain products, for `attn_implementation="eager"`; query, key, value: (B, K, T, p)."""
    scores = query @ key.transpose(2, 3) * scaling  # (B, K, T, T)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), weights  # (B, T, K, p)


class CausalAttention(nn.Module):
    """Causal multi-head attention; a subclass says in `project` what queries, keys and values are."""

    is_causal = True
    output_proj: nn.Linear
    project: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]

    def __init__(self, config: DecoderConfig, layer_idx: int):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.num_key_value_groups = 1
        self.scaling = self.head_dim**-0.5
        self.sliding_window = config.sliding_window

    def split_heads(self, hidden_states):
        """(B, T, K p) to (B, K, T, p)."""
        return hidden_states.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def forward(self, hidden_states, attention_mask=None, past_key_values: Cache | None = None, rotary=None, **kwargs):
        """(B, T, d) to (B, T, d), and the attention weights where the implementation has them.

        `rotary` holds the tables (rotary.py) by which queries and keys are turned, if they are.
        """
        query, key, value = self.project(hidden_states)
        if rotary is not None:
            query, key = (rotate(w, *tables) for w, tables in zip((query, key), rotary, strict=True))
        return self.attend(query, key, value, attention_mask, past_key_values, **kwargs)

    def attend(self, query, key, value, attention_mask=None, past_key_values: Cache | None = None, **kwargs):
        """Queries, keys and values, each (B, K, T, p), to (B, T, d), and the attention weights as above."""
        own = value
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        if self.sliding_window == 1:  # what attends to itself alone gets its own value, whatever the weights
            return self.output_proj(own.transpose(1, 2).flatten(2)), None
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(str(self.config._attn_implementation), eager_attention)
        how = {"dropout": 0.0, "scaling": self.scaling, "sliding_window": self.sliding_window}
        out, weights = attend(self, query, key, value, attention_mask, **how, **kwargs)
        return self.output_proj(out.flatten(2)), weights


class DecoderPreTrainedModel(PreTrainedModel):
    """What transformers needs to know of our architectures, and how the weights of every one of them begin."""

    config_class = DecoderConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @torch.no_grad()
    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, CausalAttention):
            self.shrink_with_depth(module.output_proj)

    def shrink_with_depth(self, linear: nn.Linear) -> None:
        """Begin what adds to the residual stream the smaller, the deeper the model is, as GPT-2 does."""
        depth_scale = math.sqrt(2 * self.config.num_hidden_layers)
        init.normal_(linear.weight, std=self.config.initializer_range / depth_scale)


class DecoderModel(DecoderPreTrainedModel):
    """Embeddings, layers and the final norm: token ids (B, T) to hidden states (B, T, d)."""

    layer_class: type[nn.Module]

    def __init__(self, config: DecoderConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = self.make_positions(config)
        self.layers = nn.ModuleList(self.layer_class(config, index) for index in range(config.num_hidden_layers))
        self.norm = self.make_norm(config)
        self.gradient_checkpointing = False
        self.post_init()

    def make_positions(self, config) -> Any:
        """The position embedding; None where positions enter elsewhere."""
        return nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def make_norm(self, config) -> nn.Module:
        """The norm after the last layer."""
        return nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps, bias=config.norm_bias)

    def enter(self, inputs_embeds, position_ids):
        """What the first layer reads, (B, T, d)."""
        return inputs_embeds + self.embed_positions(position_ids)

    def masks(self, **inputs):
        """A mask for each layer, in order."""
        create_mask = create_sliding_window_causal_mask if self.config.sliding_window else create_causal_mask
        return [create_mask(config=self.config, **inputs)] * len(self.layers)

    def shared(self, hidden_states, position_ids) -> dict[str, Any]:
        """What every layer is given beside its input and its mask; `hidden_states` are those that enter."""
        return {}

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        **kwargs,
    ):
        """Hidden states after the final norm, and the cache where one is used."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        if inputs_embeds is None:
            self._require_known(input_ids)
            inputs_embeds = self.embed_tokens(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device) + seen).unsqueeze(0)
        self._require_room(position_ids)
        masks = self.masks(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        hidden_states = self.enter(inputs_embeds, position_ids)
        shared = self.shared(hidden_states, position_ids)
        for layer, mask in zip(self.layers, masks, strict=True):
            hidden_states = layer(
                hidden_states,
                attention_mask=mask,
                past_key_values=past_key_values,
                position_ids=position_ids,
                **shared,
                **kwargs,
            )
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden_states), past_key_values=past_key_values)

    # Both checks read values, which a GPU would have to wait for and a compiled graph cannot do.
    def _require_known(self, input_ids):
        if input_ids.is_cpu and not torch.compiler.is_compiling() and input_ids.numel():
            lowest, highest = input_ids.aminmax()
            if lowest < 0 or highest >= self.config.vocab_size:
                wrong = int(lowest if lowest < 0 else highest)
                raise ValueError(f"token id {wrong} is outside the vocabulary of {self.config.vocab_size}")

    def _require_room(self, position_ids):
        if position_ids.is_cpu and not torch.compiler.is_compiling() and position_ids.numel():
            length, room = int(position_ids.max()) + 1, self.config.max_position_embeddings
            if length > room:
                raise ValueError(f"the input is {length} tokens long; the model's context holds {room}")


class DecoderForCausalLM(DecoderPreTrainedModel, GenerationMixin):
    """A decoder with its head, which shares the token embedding's weights."""

    model_class: type[DecoderModel]
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    _pp_plan = {"lm_head": (["hidden_states"], ["logits"])}  # type: ignore[assignment]
    _fsdp_plan = {"lm_head": "keep_full_weight"}

    def __init__(self, config: DecoderConfig):
        super().__init__(config)
        self.model = self.model_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        labels=None,
        shift_labels=None,
        use_cache=None,
        logits_to_keep: int | torch.Tensor = 0,
        num_items_in_batch=None,
        **kwargs,
    ):
        """Logits (B, T, V); the loss with `labels`, or with `shift_labels`, which are targets shifted already.

        In training mode with targets the loss is returned alone: compiled, the logits are then never stored.
        """
        out = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=False if self.training else use_cache,
            **kwargs,
        )
        hidden_states = out.last_hidden_state
        loss = logits = None
        if labels is not None and shift_labels is None:
            shift_labels = F.pad(labels, (0, 1), value=-100)[..., 1:]
        if shift_labels is not None:
            loss = self.lm_loss(hidden_states, shift_labels, num_items_in_batch)
        if loss is None or not self.training:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.logits_of(hidden_states[:, kept])
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )

    def logits_of(self, hidden_states):
        """Hidden states after the final norm, (B, T, d), to logits, (B, T, V)."""
        return self.lm_head(hidden_states)

    loss_chunk: int | None = None
    """Positions whose logits are in memory at once while the loss is computed; all of them with None."""

    def lm_loss(self, hidden_states, targets, num_items_in_batch=None):
        """Cross-entropy in nats: the mean over targets that are not -100, or their sum / num_items_in_batch."""
        reduction = "mean" if num_items_in_batch is None else "sum"
        how = {"ignore_index": -100, "reduction": reduction}
        if self.loss_chunk is None:
            logits = self.logits_of(hidden_states).float().flatten(0, 1)  # (B * T, V)
            loss = F.cross_entropy(logits, targets.flatten(), **how)
        else:
            options = nn.LinearCrossEntropyOptions(batch_chunk_size=self.loss_chunk)
            flat, head = hidden_states.flatten(0, 1), self.lm_head.weight  # (B * T, d), (V, d)
            loss = F.linear_cross_entropy(flat, head, targets.flatten(), options=options, **how)
        return loss if num_items_in_batch is None else loss / num_items_in_batch
