"""Names written into a figure next to what they name: after the ends of curves, and around points."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import textalloc
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LETTERS = 8
"""The size of names, in points."""
GAP = 0.012
"""From a point to its name at least, as a share of the panel."""
CANDIDATES = 500
"""Places that are tried for a name."""


def label_ends(axis: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names after the right ends of curves (x, y, name, colour), from the lowest up, a line of text apart.

    The axis must have its final limits.
    """
    if not ends:
        return
    figure = cast(Figure, axis.figure)
    figure.draw_without_rendering()  # the panel gets its size when it is drawn
    heights = axis.transData.transform([(x, y) for x, y, _, _ in ends])[:, 1] * 72 / figure.dpi
    lowest = -np.inf
    for place in np.argsort(heights, kind="stable"):
        x, y, name, colour = ends[place]
        lowest = max(heights[place], lowest + 1.25 * LETTERS)
        shift = (7, lowest - heights[place])
        axis.annotate(name, (x, y), shift, textcoords="offset points", color=colour, fontsize=LETTERS, va="center")


def label_points(axis: Axes, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Names around points (x, y), so that none lies upon another one or upon a point.

    The axis must have its final limits.
    """
    if not names:
        return
    across, up = np.array(points, float).T
    cast(Figure, axis.figure).draw_without_rendering()
    textalloc.allocate(
        axis,
        across,
        up,
        list(names),
        x_scatter=across,
        y_scatter=up,
        textsize=LETTERS,
        min_distance=GAP,
        max_distance=0.3,
        margin=GAP / 2,
        nbr_candidates=CANDIDATES,
        linecolor="0.3",
        linewidth=0.7,
    )
