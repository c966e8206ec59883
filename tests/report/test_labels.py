"""Names in figures can be read: none lies upon another one, and each is nearest to what it names."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cratelm.report.figures import new_figure
from cratelm.report.labels import MARK, label_ends, label_points, place_names

LOW, HIGH = np.zeros(2), np.array([600.0, 400.0])


def overlaps(corners: list[tuple[float, float, float, float]]) -> int:
    """How many pairs of boxes (left, bottom, right, top) share an area."""
    return sum(
        max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])
        for at, a in enumerate(corners)
        for b in corners[:at]
    )


@given(st.lists(st.tuples(st.integers(200, 400), st.integers(150, 250)), min_size=1, max_size=20))
def test_no_name_lies_upon_another_one_or_upon_a_point_or_outside(points) -> None:
    at, sizes = np.array(points, float), np.full((len(points), 2), (80.0, 10.0))
    centres = place_names(at, sizes, LOW, HIGH)
    corners = [tuple(np.r_[centre - sizes[0] / 2, centre + sizes[0] / 2]) for centre in centres]
    assert overlaps(corners) == 0
    assert all(left >= 0 and bottom >= 0 and right <= 600 and top <= 400 for left, bottom, right, top in corners)
    if len(points) <= 8:  # more may lie so near to each other that a name has to cover the edge of a mark
        assert not any(
            left - MARK / 2 < x < right + MARK / 2 and bottom - MARK / 2 < y < top + MARK / 2
            for x, y in points
            for left, bottom, right, top in corners
        )


def test_a_point_on_its_own_has_its_name_right_beside_it() -> None:
    (centre,) = place_names(np.array([[300.0, 200.0]]), np.array([[80.0, 10.0]]), LOW, HIGH)
    assert abs(centre[1] - 200) <= 5 + 6 and abs(centre[0] - 300) <= 40 + 6


def test_names_of_curves_that_end_together_are_a_line_apart_and_in_the_order_of_their_ends() -> None:
    figure, axes = new_figure(1)
    axis = axes[0][0]
    axis.set(xlim=(0, 1), ylim=(0, 1))
    label_ends(axis, [(1, 0.5, "high", "k"), (1, 0.49, "low", "k"), (1, 0.1, "far", "k")])
    figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in axis.texts}
    assert boxes["far"].y1 < boxes["low"].y0 < boxes["low"].y1 <= boxes["high"].y0
    middle = axis.transData.transform((1, 0.1))[1]
    assert abs((boxes["far"].y0 + boxes["far"].y1) / 2 - middle) < 3


def test_names_stay_apart_in_the_drawn_figure() -> None:
    figure, axes = new_figure(1, width=7)
    points = [(4.9 + n / 100, 0.55 + n % 3 / 100) for n in range(8)] + [(4.6, 0.2)]
    axes[0][0].plot(*zip(*points, strict=True), "o")
    names = [f"crate+sliding_window={n}" for n in range(9)]
    label_points(axes[0][0], points, names)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes[0][0].texts if text.get_text()]
    assert len(boxes) == 9
    assert overlaps([(box.x0, box.y0, box.x1, box.y1) for box in boxes]) == 0
