"""The configuration of the black-box rival."""

from typing import cast

from huggingface_hub.dataclasses import strict

from .configuration_decoder import DecoderConfig

ACTIVATIONS = ("relu", "gelu", "gelu_new", "topk")
"""The paper's, the exact GELU, OpenAI's approximation of it by a hyperbolic tangent, and the largest values alone."""


@strict
class BaselineConfig(DecoderConfig):
    """GPT-2: by default as the paper trains it, with ReLU and without biases in linear layers and norms.

    `activation="gelu_new"` with `bias=True` is OpenAI's GPT-2; `activation="gelu"` is the exact GELU.
    `intermediate_size` is four times the width where it is not given. Two rivals of ISTA keep the hidden layer sparse:
    `activation="topk"` keeps the `topk` largest values (a sixteenth of the layer where it is not given), `l1_penalty`
    adds that much of each layer's L1 norm a token to the training loss. `attention="mssa"` puts CRATE's compression in
    the place of attention.
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
    attention: str = "separate"
    topk: int | None = None
    l1_penalty: float = 0.0

    @property
    def norm_bias(self) -> bool:
        """Norms have a bias where linear layers have one."""
        return self.bias

    def __post_init__(self, **kwargs):
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size
        plan = dict(type(self).base_model_tp_plan or {})
        if self.activation == "topk":
            if self.topk is None:
                self.topk = max(1, self.intermediate_size // 16)
            # The k largest of a layer are not the largest of its shards.
            plan = {name: how for name, how in plan.items() if ".mlp." not in name}
        if self.attention == "mssa":
            plan["layers.*.attention.subspace_proj"] = "colwise"
        self.base_model_tp_plan = plan  # type: ignore[read-only]
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Refuse numbers that do not fit each other, and settings that would mean nothing."""
        super().validate_architecture()
        if cast(int, self.intermediate_size) < 1:
            raise ValueError(f"intermediate_size must be 1 or more, not {self.intermediate_size}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        if self.attention not in ("separate", "mssa"):
            raise ValueError(f"attention is separate (query, key and value) or mssa (CRATE's), not {self.attention!r}")
        if self.topk is not None:
            self._require_topk(self.topk)
        if self.l1_penalty < 0 or (self.l1_penalty and self.activation != "relu"):
            raise ValueError(
                f"l1_penalty {self.l1_penalty} with activation {self.activation!r}: a penalty is 0 or more, and is for "
                "relu; topk is sparse by itself, and gelu and gelu_new are never 0"
            )

    def _require_topk(self, k: int):
        if self.activation != "topk":
            raise ValueError(f"topk {k} means nothing with activation {self.activation!r}; it is for 'topk'")
        if not 1 <= k <= cast(int, self.intermediate_size):
            raise ValueError(f"topk {k} is not from 1 to the hidden layer's {self.intermediate_size} units")
