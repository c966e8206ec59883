"""What recording can be told."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cratelm.errors import InputError
from cratelm.loading import Dtype
from cratelm.ranges import Configuration, Seed, whole

INTERVALS = 12
"""Equal parts of (0, a unit's maximum in the explain half] that interval excerpts are drawn from."""
NEAR_TOP = 50
"""Excerpts with a unit's highest activations that count as its own contexts: `other` ones lie outside them."""
BEST = 10
"""Of those, the ones whose peak tokens are the unit's top tokens, and that no interval draws again."""


@dataclass(frozen=True, kw_only=True)
class RecordConfig(Configuration):
    """Which text is read, at which sites, and which excerpts of each unit are kept."""

    protocol: Literal["strict", "short", "paper"] = "strict"
    """`strict`: two halves, excerpts of 64 tokens within documents; `short`: the same with excerpts of 18 tokens, for
    texts such as tweets and prompts; `paper`: the windows and selections of the paper's code, faults
    included, whose own numbers take the place of top, random, short_random, interval, other and table_units."""
    sites: str | None = None
    """A place (mlp.neurons, mlp.out, attention.out or residual), or a glob over the model's modules, such as
    '*.mlp.act'; with ':in' after it, over what modules read. The neurons of each layer's MLP, or its code, by
    default."""
    tokens: Annotated[int | None, whole(1)] = None
    """At most how many tokens of each half are read, in whole documents from its start; all by default. Under the
    paper's protocol this is the number in all, 8,192,000 by default."""
    context: Annotated[int, whole(1, 2**20)] = 1024
    """Tokens that the model reads at once, the end-of-text token included; the model's own limit where that is less."""
    top: Annotated[int, whole(1, NEAR_TOP)] = 20
    """Excerpts of each length with a unit's highest activations that are kept: at most one of a document and of its
    near-duplicates, and one with the same eight tokens up to its peak."""
    random: Annotated[int, whole(1, 10_000)] = 10
    """Random long excerpts (of 64 tokens, of 18 under `short`) that are kept for each unit."""
    short_random: Annotated[int, whole(1, 10_000)] = 20
    """Random excerpts of 9 tokens that are kept for each unit."""
    interval: Annotated[int, whole(1, 1000)] = 3
    """Excerpts of 9 tokens that are kept for each unit and interval of activation."""
    other: Annotated[int, whole(1, 10_000)] = 30
    """Excerpts of 9 tokens that hold a unit's top tokens in other contexts, that are kept for each unit."""
    pool: Annotated[int, whole(1, 10_000_000)] = 1000
    """Excerpts of each length that all units draw their random ones from."""
    histogram: Annotated[int, whole(1, 10_000)] = 40
    """Bins of a unit's histogram over the pool, of equal width up to its maximum."""
    table_units: Annotated[int | None, whole(0)] = None
    """Units a layer, drawn by seed, whose mean on every token is kept: for token share, position share, whole-text and
    the ceiling `table-full`. By default as many as make 4,194,304 numbers (1,024 units at 4,096 tokens),
    and at least 256."""
    logits: Annotated[int, whole(0, 2**20)] = 0
    """Tokens each way that a unit raises and lowers most, through the unembedding, that are kept."""
    batch: Annotated[int, whole(1, 2**24)] = 8192
    """Tokens in a batch."""
    shard: Annotated[int, whole(1)] = 2**17
    """Tokens in a shard, and a batch's more: what workers share out, and what is lost when one dies."""
    dtype: Dtype = "float32"
    """The type of the model's weights and of its forward pass: `auto` as its config.json says. Sums are float64, and
    activations are kept as float32."""
    seed: Seed = 0
    """Seed of all that is drawn: the pools, each unit's excerpts, the units with a full table."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool < max(self.random, self.short_random):
            raise InputError(f"records: a pool of {self.pool} excerpts cannot give that many random ones.")
