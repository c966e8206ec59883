"""What the configurations of all our decoders share."""

from dataclasses import fields
from difflib import get_close_matches

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

FROM_TRANSFORMERS = {
    "attn_implementation",
    "auto_map",
    "experts_implementation",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "torch_dtype",
}
"""What transformers hands to a configuration beside its fields."""


@strict
class DecoderConfig(PreTrainedConfig):
    """A causal language model with learned positions and a tied head; names as everywhere in transformers.

    The defaults are the paper's smallest width. With `sliding_window` a token attends to so many tokens, itself the
    last of them, in every layer; without, to all before it. Raises ValueError where the numbers do not fit each other.
    """

    keys_to_ignore_at_inference = ["past_key_values"]
    base_model_fsdp_plan = {
        "embed_tokens": "free_full_weight",
        "layers.*": "free_full_weight",
        "norm": "keep_full_weight",
    }
    base_model_pp_plan = {
        "embed_tokens": (["input_ids"], ["inputs_embeds"]),
        "embed_positions": (["position_ids"], ["position_embeds"]),
        "layers": (["hidden_states", "attention_mask"], ["hidden_states"]),
        "norm": (["hidden_states"], ["hidden_states"]),
    }

    vocab_size: int = 50257
    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    num_key_value_heads: int | None = None
    max_position_embeddings: int = 1024
    sliding_window: int | None = None
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs):
        self._refuse_unknown(set(kwargs))
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        super().__post_init__(**kwargs)

    def _refuse_unknown(self, keys):
        """transformers would keep an unknown key as an attribute that nothing reads; most are slips of the pen."""
        known = [field.name for field in fields(self)]
        for key in sorted(keys - FROM_TRANSFORMERS):
            if not key.startswith("_"):
                near = get_close_matches(key, known, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise ValueError(f"{type(self).__name__} has no setting {key!r}.{hint}")

    @property
    def norm_bias(self) -> bool:
        """Whether the norms have a bias beside their weight."""
        return True

    def validate_architecture(self):
        """Refuse numbers that do not fit each other."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.num_key_value_heads != self.num_attention_heads:
            raise ValueError("grouped heads are not part of these models: num_key_value_heads cannot differ")
        if self.sliding_window is not None and self.sliding_window < 1:
            raise ValueError(f"sliding_window {self.sliding_window} must be 1, the token itself, or more")
        if not self.layer_norm_eps > 0:
            raise ValueError(f"layer_norm_eps {self.layer_norm_eps} must be above 0, or norms are not finite")
        if not self.initializer_range >= 0:
            raise ValueError(
                f"initializer_range {self.initializer_range} must be 0 or more: it is a standard deviation"
            )
