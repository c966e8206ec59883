"""The configuration of the black-box rival."""

from huggingface_hub.dataclasses import strict

from .configuration_decoder import DecoderConfig


@strict
class BaselineConfig(DecoderConfig):
    """GPT-2: by default as the paper trains it, with ReLU and without biases in linear layers and norms.

    `activation="gelu_new"` with `bias=True` is OpenAI's GPT-2. `intermediate_size` is four times the width where it
    is not given.
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
    activation: str = "relu"
    bias: bool = False

    @property
    def norm_bias(self) -> bool:
        """Norms have a bias where linear layers have one."""
        return self.bias

    def __post_init__(self, **kwargs):
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Refuse numbers that do not fit each other, and activations that were never GPT-2's."""
        super().validate_architecture()
        if self.activation not in ("relu", "gelu_new"):
            raise ValueError(f"activation is relu (the paper's) or gelu_new (OpenAI's), not {self.activation!r}")
