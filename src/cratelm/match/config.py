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
    """Which activations are the units: a place in each block (mlp.neurons, mlp.out, attention.out or residual), or a
    glob over the names of both models' modules. By default the neurons of each layer's MLP; in CRATE each layer's
    sparse code."""
    tokens: Annotated[int | None, whole(1)] = None
    """The most tokens of the score half that are read, in whole documents from its start; all by default."""
    context: Annotated[int, whole(1, 2**20)] = 1024
    """The most tokens that the models read at once, the start token included, up to the limits of both models."""
    batch: Annotated[int, whole(1, 2**24)] = 8192
    """Tokens in a batch."""
    dtype: Dtype = "float32"
    """The type of the models' weights and of their forward passes; `auto` is what their config.json says. Sums are
    float64."""
    seed: Seed = 0
    """Seed of the bootstrap over units that gives the intervals."""

    def recording(self, context: int) -> RecordConfig:
        """The same text, read in contexts of so many tokens, as recording says it."""
        read = {"sites": self.sites, "tokens": self.tokens, "batch": self.batch, "dtype": self.dtype}
        # No excerpt is kept, so the protocol with the shortest ones: it refuses the fewest texts and contexts.
        return RecordConfig(protocol="short", context=context, seed=self.seed, **read)
