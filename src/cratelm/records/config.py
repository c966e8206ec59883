"""What recording can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """Which excerpts of each unit are kept, and how the text is cut."""

    excerpt: int = 64
    """Tokens in an excerpt: the blocks that tile a context."""
    top: int = 20
    """Excerpts with a unit's highest activations that are kept, at most one a document."""
    random: int = 10
    """Random excerpts that are kept for each unit."""
    pool: int = 1000
    """Excerpts that all units draw their random ones from."""
    histogram: int = 40
    """Bins of a unit's histogram over the pool, of equal width up to its maximum."""
    table_units: int = 256
    """Units a layer, drawn by seed, whose full token table is kept for the ceiling `table-full`."""
    batch: int = 32
    """Contexts in a batch."""
    seed: int = 0
    """Seed of the pool, of each unit's draw from it, and of the units with a full table."""

    def __post_init__(self) -> None:
        if min(self.excerpt, self.top, self.random, self.histogram, self.batch) < 1 or self.table_units < 0:
            raise InputError("records: excerpt, top, random, histogram and batch must be 1 or more.")
        if self.pool < self.random:
            raise InputError(f"records: a pool of {self.pool} excerpts cannot give {self.random} random ones.")
