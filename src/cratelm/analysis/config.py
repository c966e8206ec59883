"""What an analysis can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.loading import Dtype
from cratelm.ranges import Configuration, Seed, number, whole


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig(Configuration):
    """Which text is read, and at which precision rates count."""

    tokens: Annotated[int, whole(1)] = 100_000
    """How many tokens of the validation text are read, in whole documents from its start."""
    epsilon: Annotated[float, number(least=1e-6, most=1e6)] = 0.5
    """The distortion that the coding rates allow, for tokens of norm 1; a smaller one gives higher rates."""
    batch: Annotated[int, whole(1, 2**24)] = 8192
    """Tokens in a batch."""
    sample: Annotated[int, whole(1, 1_000_000)] = 1024
    """For how many tokens the sparse coding problem is solved exactly, to say how near the layer's ISTA steps come."""
    dtype: Dtype = "float32"
    """The type of the model's weights and of its forward pass; `auto` is what its config.json says."""
    seed: Seed = 0
    """Seed of the untrained model that is shown next to the trained one."""
