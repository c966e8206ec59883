"""How numbers stand in the tables: a mean, a mean over seeds, a difference with its interval."""

import math
from collections.abc import Sequence

from cratelm.reproduce.gather import END, Found, Number, Result


def over_seeds(cells: Sequence[Result], number: Number) -> list[str]:
    """The mean with the least and the greatest, and how many there are."""
    found = [number(cell, END) for cell in cells]
    spread = f" [{min(found):.3f}, {max(found):.3f}]" if len(found) > 1 else ""
    return [f"{sum(found) / len(found):.3f}{spread}", str(len(found))]


def with_interval(found: Found) -> str:
    """A mean difference with its interval over seeds; one seed has none."""
    value, low, high, seeds = found
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f} (one seed)" if seeds == 1 else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def decimal(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"
