"""Numbers on their way to a page: as many digits as are shown, and None where there is none."""

from typing import Any

import numpy as np


def significant(values: np.ndarray, digits: int = 3) -> list[Any]:
    """Values of any shape as nested lists, rounded to so many significant digits; NaN and infinities as None."""
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.floor(np.log10(np.abs(values)))
    magnitude = np.where(np.isfinite(magnitude), magnitude, 0)
    places = digits - 1 - magnitude
    # Both ways by a whole power of ten, so that the result prints as short as it is.
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    with np.errstate(invalid="ignore"):
        return _without_nan(np.round(values * up / down) / up * down)


def _without_nan(values: np.ndarray) -> list[Any]:
    finite = np.isfinite(values)
    if finite.all():
        return values.tolist()
    marked = values.astype(object)
    marked[~finite] = None
    return marked.tolist()


def significant_number(value: float, digits: int = 3) -> float | None:
    """One value, likewise."""
    return significant(np.array([value]), digits)[0]
