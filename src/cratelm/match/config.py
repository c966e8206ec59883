"""What matching can be told."""

from dataclasses import dataclass
from typing import Annotated

from cratelm.loading import Dtype
from cratelm.ranges import Configuration, Seed, whole
from cratelm.records.config import RecordConfig


@dataclass(frozen=True, kw_only=True)
class MatchConfig(Configuration):
    """Which units of both models are compared, and on which text."""

    sites: str | None = None
    """A place (mlp.neurons, mlp.out, attention.out or residual), or a glob over the modules of both models. The neurons
    of each layer's MLP, or its code, by default."""
    tokens: Annotated[int | None, whole(1)] = None
    """At most how many tokens of the score half are read, in whole documents from its start; all by default."""
    context: Annotated[int, whole(1, 2**20)] = 1024
    """Tokens that the models read at once, the start token included; what both can read, where that is less."""
    batch: Annotated[int, whole(1, 2**24)] = 8192
    """Tokens in a batch."""
    dtype: Dtype = "float32"
    """The type of the models' weights and of their forward passes: `auto` as their config.json says. Sums are
    float64."""
    seed: Seed = 0
    """Seed of the intervals: units drawn again."""

    def recording(self, context: int) -> RecordConfig:
        """The same text, read in contexts of so many tokens, as recording says it."""
        read = {"sites": self.sites, "tokens": self.tokens, "batch": self.batch, "dtype": self.dtype}
        # No excerpt is kept, so the protocol with the shortest ones: it refuses the fewest texts and contexts.
        return RecordConfig(protocol="short", context=context, seed=self.seed, **read)
