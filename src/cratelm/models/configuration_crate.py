"""The configuration of CRATE-LM."""

from huggingface_hub.dataclasses import strict

from .configuration_decoder import DecoderConfig

MOST_STEPS = 1000
"""No more steps than anybody needs: a folder with more would keep whoever opens it waiting for ever."""


@strict
class CrateConfig(DecoderConfig):
    """CRATE-LM as published (arXiv 2410.16443): MSSA compresses, two steps of ISTA sparsify.

    `dictionary_size` (h) is four times the width where it is not given.
    """

    model_type = "crate"
    base_model_tp_plan = {
        "layers.*.attention.subspace_proj": "colwise",
        "layers.*.attention.output_proj": "rowwise",
    }

    dictionary_size: int | None = None
    ista_steps: int = 2
    ista_step_size: float = 0.1
    ista_threshold: float = 0.1

    def __post_init__(self, **kwargs):
        if self.dictionary_size is None:
            self.dictionary_size = 4 * self.hidden_size
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Refuse numbers that do not fit each other."""
        super().validate_architecture()
        if not 1 <= self.ista_steps <= MOST_STEPS:
            raise ValueError(f"ista_steps must be 1 or more, at most {MOST_STEPS:,}, not {self.ista_steps}")
        if self.dictionary_size is not None and self.dictionary_size < 1:
            raise ValueError(f"dictionary_size must be 1 or more, not {self.dictionary_size}")
