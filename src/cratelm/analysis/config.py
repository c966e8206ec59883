"""What an analysis can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.loading import Dtype
from cratelm.ranges import Configuration, Seed, number, whole


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig(Configuration):
    """Which text is read, and at which precision rates count."""

    tokens: Annotated[int, whole(1)] = 100_000
    """Tokens of validation text, whole documents from its start."""
    epsilon: Annotated[float, number(least=1e-6, most=1e6)] = 0.5
    """The distortion up to which tokens of norm 1 are coded (arXiv 2311.13110: rates grow as it shrinks)."""
    batch: Annotated[int, whole(1, 2**24)] = 8192
    """Tokens in a batch."""
    sample: Annotated[int, whole(1, 1_000_000)] = 1024
    """Tokens whose lasso is solved to the end, to say how far the unrolled steps come."""
    dtype: Dtype = "float32"
    """The type of the model's weights and of its forward pass: `auto` as its config.json says."""
    seed: Seed = 0
    """Seed of the untrained model that is shown next to the trained one."""
