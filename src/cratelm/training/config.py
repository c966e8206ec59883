"""What training can be told."""

from dataclasses import dataclass, field
from typing import Literal

from cratelm.errors import InputError
from cratelm.models.shapes import ShapeConfig, require_model


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The recipe: AdamW with warm-up and a cosine to a tenth, as in the paper."""

    tokens: int = 7_500_000
    """Tokens that each model sees; rounded up to whole batches. 0 leaves the random weights as they are."""
    batch: int = 8
    """Windows of one context length in a batch."""
    learning_rate: float = 2e-3
    """The peak of the schedule."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = 0.1
    """AdamW's decay of matrices; biases and norms have none."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto` is bf16 where the processor computes in it (avx512_bf16), fp32 elsewhere."""
    compile: Literal["auto", "yes", "no"] = "auto"
    """`auto` compiles the model where a C++ compiler is installed."""
    evaluations: int = 10
    """Points of the validation curve."""
    evaluation_documents: int = 100
    """Validation documents for a point of the curve; the final loss is measured on all of them."""

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.batch < 1 or self.evaluations < 1 or self.evaluation_documents < 1:
            raise InputError("training: tokens must be 0 or more; batch and the evaluations 1 or more.")
        if self.learning_rate <= 0 or not 0 <= self.warmup < 1:
            raise InputError("training: learning_rate must be above 0, and warmup from 0 to below 1.")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One model's training: which model, how large, by which recipe, from which seed."""

    model: str = "crate"
    """`crate` or `gpt2`."""
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    """Seed of the weights and of the order of the data."""

    def __post_init__(self) -> None:
        require_model(self.model)

    @property
    def batch_tokens(self) -> int:
        """Tokens in a batch."""
        return self.training.batch * self.shape.context

    @property
    def steps(self) -> int:
        """Optimizer steps: as many whole batches as the tokens need."""
        return -(-self.training.tokens // self.batch_tokens)
