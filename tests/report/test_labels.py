"""Names in figures can be read: none lies upon another one or upon a point."""

from cratelm.report.figures import new_figure
from cratelm.report.labels import label_ends, label_points


def overlaps(corners: list[tuple[float, float, float, float]]) -> int:
    """How many pairs of boxes (left, bottom, right, top) share an area."""
    return sum(
        max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])
        for at, a in enumerate(corners)
        for b in corners[:at]
    )


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


def test_names_stay_apart_and_off_the_points_in_the_drawn_figure() -> None:
    figure, axes = new_figure(1, width=7)
    axis = axes[0][0]
    points = [(4.9 + n / 100, 0.55 + n % 3 / 100) for n in range(8)] + [(4.6, 0.2)]
    axis.plot(*zip(*points, strict=True), "o")
    label_points(axis, points, [f"crate+sliding_window={n}" for n in range(9)])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axis.texts if text.get_text()]
    assert len(boxes) == 9
    assert overlaps([(box.x0, box.y0, box.x1, box.y1) for box in boxes]) == 0
    marks = axis.transData.transform(points)
    assert not any(box.contains(*mark) for box in boxes for mark in marks)
