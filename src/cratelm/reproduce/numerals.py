"""How numbers stand in the tables: a mean, a mean over seeds, a difference with its interval."""

import math
from collections.abc import Sequence

from cratelm.reproduce.gather import END, Found, Number, Result

TEXT = " †"
"""Marks an interval that contains the choice of held-out documents."""


def over_seeds(cells: Sequence[Result], number: Number) -> list[str]:
    """The mean with the least and the greatest, and how many there are."""
    found = [number(cell, END) for cell in cells]
    spread = f" [{min(found):.3f}, {max(found):.3f}]" if len(found) > 1 else ""
    return [f"{sum(found) / len(found):.3f}{spread}", str(len(found))]


def with_interval(found: Found) -> str:
    """A mean difference with its interval, which has TEXT where it contains the choice of text; one seed has none."""
    if not math.isfinite(found.mean):
        return "–"
    if found.seeds == 1:
        return f"{found.mean:.3f} (one seed)"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]" + TEXT * found.of_text


def decimal(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"
