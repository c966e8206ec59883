"""The configuration of CRATE-alpha as nanochat-crate-a has it."""

from huggingface_hub.dataclasses import strict

from .configuration_decoder import DecoderConfig

SLIDING, FULL = "sliding_attention", "full_attention"
"""transformers' names of the two kinds of layers."""


@strict
class NanochatCrateConfig(DecoderConfig):
    """CRATE-alpha in nanochat's frame (github.com/modularflow/nanochat-crate-a, nanochat/crate.py).

    `layer_types` says which layers see all tokens and which see `sliding_window` of them, the token itself included; by
    default all see all. `dictionary_size` is four times the width where it is not given. With `soft_threshold` the code
    is the soft threshold of the projection by that number, without it the ReLU above learned thresholds. `residual`
    adds the sparse block to the stream. Logits are capped smoothly at `final_logit_softcapping`. Raises ValueError
    where the numbers do not fit each other.
    """

    model_type = "nanochat-crate"
    base_model_tp_plan = {
        "layers.*.attention.subspace_proj": "colwise",
        "layers.*.attention.output_proj": "rowwise",
    }
    base_model_pp_plan = None  # every layer reads the first one's input as well, which no stage hands on

    layer_norm_eps: float = 2.0**-23
    tie_word_embeddings: bool = False
    layer_types: list[str] | None = None
    dictionary_size: int | None = None
    soft_threshold: float | None = None
    residual: bool = True
    final_logit_softcapping: float = 15.0

    def __post_init__(self, **kwargs):
        if self.layer_types is None:
            self.layer_types = [FULL] * self.num_hidden_layers
        if self.dictionary_size is None:
            self.dictionary_size = 4 * self.hidden_size
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Refuse numbers that do not fit each other."""
        super().validate_architecture()
        if self.hidden_size // self.num_attention_heads % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} / num_attention_heads {self.num_attention_heads} must be even: "
                "rotary positions turn pairs of coordinates"
            )
        if unknown := sorted(set(self.layer_types or ()) - {SLIDING, FULL}):
            raise ValueError(f"layer_types are {SLIDING} or {FULL}, not {unknown[0]!r}")
        if (SLIDING in (self.layer_types or ())) != (self.sliding_window is not None):
            raise ValueError(f"sliding_window {self.sliding_window} does not fit layer_types {self.layer_types}")
        if self.dictionary_size is not None and self.dictionary_size < 1:
            raise ValueError(f"dictionary_size must be 1 or more, not {self.dictionary_size}")
        if self.soft_threshold is not None and not self.soft_threshold >= 0:
            raise ValueError(f"soft_threshold must be 0 or more, not {self.soft_threshold}")
        if not self.final_logit_softcapping > 0:
            raise ValueError(f"final_logit_softcapping must be above 0, not {self.final_logit_softcapping}")
        if self.tie_word_embeddings:
            raise ValueError("tie_word_embeddings: these models have a head of their own")
