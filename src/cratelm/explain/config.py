"""What explaining can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError

EXPLAINERS = ("table", "table-full")


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """From what an explanation is made."""

    top: int = 5
    """Top excerpts of the explain half that `table` sees of each unit."""

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InputError(f"explain: top must be 1 or more, not {self.top}.")
