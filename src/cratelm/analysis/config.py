"""What an analysis can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """Which text is read, and at which precision rates count."""

    tokens: int = 100_000
    """Tokens of validation text, whole documents from its start."""
    epsilon: float = 0.5
    """The distortion up to which tokens of norm 1 are coded (arXiv 2311.13110: rates grow as it shrinks)."""
    batch: int = 8192
    """Tokens in a batch."""
    sample: int = 1024
    """Tokens whose lasso is solved to the end, to say how far the unrolled steps come."""
    seed: int = 0
    """Seed of the untrained model beside the trained one."""

    def __post_init__(self) -> None:
        if min(self.tokens, self.batch, self.sample) < 1 or self.epsilon <= 0:
            raise InputError("analyze: tokens, batch and sample must be 1 or more, and epsilon above 0.")
