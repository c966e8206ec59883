"""What reporting can be told."""

from dataclasses import dataclass

from cratelm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the report shows."""

    cards: int = 10
    """Units of each model that are shown, drawn at random from all its layers."""
    seed: int = 0
    """Seed of that draw."""

    def __post_init__(self) -> None:
        if self.cards < 0:
            raise InputError(f"report: cards must be 0 or more, not {self.cards}.")
