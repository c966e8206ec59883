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
    texts such as tweets and prompts; `paper`: the excerpts that the paper's code takes, with its faults and its own
    numbers of excerpts, so top, random, short-random, interval, other and table-units have no effect."""
    sites: str | None = None
    """Which activations are the units: a place in each block (mlp.neurons, mlp.out, attention.out or residual), or a
    glob over the names of the model's modules, such as '*.mlp.act', with ':in' after it for their inputs. By default
    the neurons of each layer's MLP; in CRATE each layer's sparse code."""
    tokens: Annotated[int | None, whole(1)] = None
    """The most tokens that are read of each half of the text, in whole documents from its start; all by default. With
    the protocol `paper`, the most tokens in all, 8,192,000 by default."""
    context: Annotated[int, whole(1, 2**20)] = 1024
    """The most tokens that the model reads at once, the start token included, up to the model's own limit."""
    top: Annotated[int, whole(1, NEAR_TOP)] = 20
    """How many excerpts with a unit's highest activations are kept, of each length: at most one from a document and
    its near-duplicates, and at most one with the same eight tokens up to its peak."""
    random: Annotated[int, whole(1, 10_000)] = 10
    """How many random long excerpts (64 tokens; 18 with the protocol `short`) are kept for each unit."""
    short_random: Annotated[int, whole(1, 10_000)] = 20
    """How many random excerpts of 9 tokens are kept for each unit."""
    interval: Annotated[int, whole(1, 1000)] = 3
    """How many excerpts of 9 tokens are kept for each unit from each of 12 equal parts of its range of activation."""
    other: Annotated[int, whole(1, 10_000)] = 30
    """How many excerpts of 9 tokens are kept for each unit that contain its top tokens in other contexts."""
    pool: Annotated[int, whole(1, 10_000_000)] = 1000
    """How many random excerpts of each length there are, from which each unit draws its own."""
    histogram: Annotated[int, whole(1, 10_000)] = 40
    """How many bins a unit's histogram of activations has, of equal width up to its maximum."""
    table_units: Annotated[int | None, whole(0)] = None
    """How many units of each layer, drawn by seed, get a table of their mean activation on every token. Token share,
    position share, whole-text scores and the ceiling `table-full` need it. By default as many as make 4,194,304
    numbers (1,024 units at 4,096 tokens), and at least 256."""
    logits: Annotated[int, whole(0, 2**20)] = 0
    """How many of the tokens that a unit raises most through the unembedding are kept, and of those that it lowers."""
    batch: Annotated[int, whole(1, 2**24)] = 8192
    """Tokens in a batch."""
    shard: Annotated[int, whole(1)] = 2**17
    """Tokens in a shard, up to one batch more. A worker records a shard at a time, and loses only that if it dies."""
    dtype: Dtype = "float32"
    """The type of the model's weights and of its forward pass; `auto` is what its config.json says. Sums are float64,
    and activations are kept as float32."""
    seed: Seed = 0
    """Seed of everything that is drawn: random excerpts, and the units that get a table."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool < max(self.random, self.short_random):
            raise InputError(f"records: a pool of {self.pool} excerpts cannot give that many random ones.")
