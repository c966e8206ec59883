"""Numbers on their way into another project's files."""

import math

DIGITS = 5
"""Significant digits that are kept."""


def rounded(value: float) -> float:
    """A value to `DIGITS` significant digits, however small it is; 0, NaN and infinities as they are."""
    if value == 0 or not math.isfinite(value):
        return value
    return float(f"{value:.{DIGITS - 1}e}")
