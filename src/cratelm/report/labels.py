"""Names written into a figure next to what they name: after the ends of curves, and around points."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LETTERS = 8
"""The size of names, in points."""
DIRECTIONS = 16
"""From a point to its name."""
DISTANCES = (6, 12, 20, 30, 42, 56, 72, 90)
"""From a point to its name, in points of print; from LINE on a line joins the two."""
LINE = 10
MARK = 8
"""The side of the square around a point that names leave free, in points of print."""
BEHIND = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5}
"""Behind a name, so that no line strikes it out."""
BETWEEN = np.array([4, 1])
"""Between two names, in points of print."""
PASSES = 4
"""How often each name is placed again, among all others where they are by then."""
UPON, OUTSIDE, HIDES, CROSSES, MISLEADS = 10_000, 10_000, 3_000, 300, 40
"""What is worse than a long line: a name upon another one, outside, upon a point; a line through a name or a point;
another point nearer to the name than its own."""


def label_ends(axis: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names after the right ends of curves (x, y, name, colour), from the lowest up, a line of text apart.

    The axis must have its final limits.
    """
    if not ends:
        return
    heights = _in_print(axis, [(x, y) for x, y, _, _ in ends])[:, 1]
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
    at = _in_print(axis, points)
    low, high = _in_print(axis, [(axis.get_xlim()[end], axis.get_ylim()[end]) for end in (0, 1)])
    style = {"fontsize": LETTERS, "ha": "center", "va": "center", "bbox": BEHIND}
    texts = [
        axis.annotate(name, point, (0, 0), textcoords="offset points", **style)
        for name, point in zip(names, points, strict=True)
    ]
    scale = 72 / axis.figure.dpi
    boxes = [text.get_window_extent() for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes]) * scale + BETWEEN
    for text, point, centre, size, mark in zip(
        texts, points, place_names(at, sizes, low, high), sizes, at, strict=True
    ):
        text.set_position(tuple(centre - mark))
        text.set_in_layout(False)  # else the panel would shrink around names that were placed in it
        if np.linalg.norm(_nearest(mark, centre, size) - mark) >= LINE:
            inside = np.min(size / 2 / np.maximum(np.abs(centre - mark), 1e-9))  # the share of the way in the name
            _join(axis, point, (1 - inside) * (centre - mark))


def _join(axis: Axes, point: tuple[float, float], shift: np.ndarray) -> None:
    """A thin line from a point to its name."""
    line = {"arrowstyle": "-", "color": "0.3", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 2}
    drawn = axis.annotate("", point, tuple(shift), textcoords="offset points", arrowprops=line, zorder=2.5)
    drawn.set_in_layout(False)


def _in_print(axis: Axes, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Where points lie in the figure once its panels have their places, in points of print: (points, 2)."""
    figure = cast(Figure, axis.figure)
    figure.draw_without_rendering()
    return axis.transData.transform(np.array(points, float)) * 72 / figure.dpi


def place_names(points: np.ndarray, sizes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The centres of names of `sizes` (names, 2) next to `points` (names, 2), between the corners `low` and `high`.

    Each name in turn takes the place that costs least among the others where they are; the most crowded begin.
    """
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    order = np.argsort(np.sort(apart, axis=1)[:, : len(points) // 4 + 1].sum(axis=1), kind="stable")
    centres = np.full_like(points, np.nan)  # NaN is upon nothing
    for name in np.tile(order, PASSES):
        places, distances = _places(points[name], sizes[name])
        others = np.arange(len(points)) != name
        outside = (places - sizes[name] / 2 < low) | (places + sizes[name] / 2 > high)
        upon = _upon(places, sizes[name], centres[others], sizes[others])
        costs = distances + OUTSIDE * outside.any(1) + UPON * upon.sum(1)
        costs += _costs_by_points(name, places, sizes[name], points)
        lines = points[name] + np.linspace(0, 1, 16)[:, None, None] * (places - points[name])
        costs += CROSSES * _upon(lines, 0, centres[others], sizes[others]).any(0).sum(-1)
        costs += CROSSES * _upon(lines, 0, points[others], MARK).any(0).sum(-1)
        centres[name] = places[np.argmin(costs)]
    return centres


def _costs_by_points(name: int, places: np.ndarray, size: np.ndarray, points: np.ndarray) -> np.ndarray:
    """What the places of a name cost because of points that they hide, or that are nearer to them than its own."""
    gaps = np.linalg.norm(points - _nearest(points, places[:, None], size), axis=-1)
    return HIDES * _upon(places, size, points, MARK).sum(1) + MISLEADS * (gaps < gaps[:, [name]]).sum(1)


def _places(point: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every place for a name, as its centre, and its distance from the point: (places, 2), (places,)."""
    distances = np.repeat(np.array(DISTANCES, float), DIRECTIONS)
    # Lines go askew: an upright or level one would pass for the point's interval.
    turns = np.tile(np.arange(DIRECTIONS), len(DISTANCES)) + np.where(distances < LINE, 0, 0.5)
    directions = np.stack([np.cos(2 * np.pi * turns / DIRECTIONS), np.sin(2 * np.pi * turns / DIRECTIONS)], axis=1)
    # A name to the right begins where the line ends, one above is centred over it.
    return point + np.clip(1.5 * directions, -1, 1) * size / 2 + distances[:, None] * directions, distances


def _upon(centres: np.ndarray, size: np.ndarray | int, others: np.ndarray, sizes: np.ndarray | int) -> np.ndarray:
    """Whether boxes of a size at `centres` (..., 2) lie upon others (others, 2): (..., others)."""
    return np.all(np.abs(centres[..., None, :] - others) < (size + sizes) / 2, axis=-1)


def _nearest(point: np.ndarray, centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The point of a box that is nearest to another point, (..., 2)."""
    return np.clip(point, centre - size / 2, centre + size / 2)
