"""The configuration of the black-box rival."""

from huggingface_hub.dataclasses import strict

from .configuration_decoder import DecoderConfig


@strict
class BaselineConfig(DecoderConfig):
    """GPT-2 as the paper trains it: ReLU, no biases in linear layers and norms.

    `intermediate_size` is four times the width where it is not given.
    """

    model_type = "gpt2-baseline"
    base_model_tp_plan = {
        "layers.*.attention.query_proj": "colwise",
        "layers.*.attention.key_proj": "colwise",
        "layers.*.attention.value_proj": "colwise",
        "layers.*.attention.output_proj": "rowwise",
        "layers.*.mlp.up_proj": "colwise",
        "layers.*.mlp.down_proj": "rowwise",
    }

    intermediate_size: int | None = None

    def __post_init__(self, **kwargs):
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size
        super().__post_init__(**kwargs)
