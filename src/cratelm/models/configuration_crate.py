"""The configuration of CRATE-LM."""

from huggingface_hub.dataclasses import strict

from .configuration_decoder import DecoderConfig


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
        if self.ista_steps < 1:
            raise ValueError(f"ista_steps must be 1 or more, not {self.ista_steps}")
