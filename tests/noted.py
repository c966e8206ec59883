"""Work on shards that a worker imports at once."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Noted:
    """Notes the shards that it was called with, and dies at one of them."""

    folder: Path
    dies_at: int | None = None

    def __call__(self, number: int) -> None:
        if number == self.dies_at:
            raise KeyboardInterrupt
        with (self.folder / str(number)).open("x"):  # which refuses to be called twice
            pass
