"""Charts place values to scale, and their axes stand where the values are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.view.chart import Chart
from mmkit.view.picture import Picture

BOX = (70, 30, 470, 130)


def chart(xs: tuple[float, float] = (0, 100), ys: tuple[float, float] = (0, 1)) -> Chart:
    return Chart(Picture(200, 500), BOX, xs, ys)


def test_corners_are_the_corners_of_the_box() -> None:
    made = chart((10, 50), (-1, 3))
    assert (made.x(10), made.y(-1)) == (70, 130)
    assert (made.x(50), made.y(3)) == (470, 30)
    assert (made.x(30), made.y(1)) == (270, 80)


@given(st.integers(-1_000_000, 1_000_000), st.integers(1, 1_000_000), st.floats(0, 1), st.floats(0, 1))
def test_equal_steps_are_equally_long(low: int, size: int, one: float, other: float) -> None:
    high = low + size
    made = chart((low, high), (low, high))
    a, b = (low + share * (high - low) for share in (one, other))
    assert made.x(b) - made.x(a) == pytest.approx((other - one) * 400, abs=1e-3)
    assert made.y(a) - made.y(b) == pytest.approx((other - one) * 100, abs=1e-3)


def test_places_and_curves_agree() -> None:
    made = chart()
    points = [(0, 0), (25, 0.5), (100, 1)]
    line = made.curve(points, "#000000")
    assert made.places(points) == ([70, 170, 470], [130, 80, 30])
    assert (list(line.get_xdata()), list(line.get_ydata())) == made.places(points)
    assert line in made.picture._live
    assert made.curve(points, "#000000", live=False) not in made.picture._live


def test_bars_stand_on_their_values() -> None:
    first, second = chart().bars([(0, 10, 0, 0.5), (10, 20, 0.5, 1)])
    assert (first.left, first.top, first.right, first.bottom) == (70, 80, 110, 130)
    assert (second.left, second.top, second.right, second.bottom) == (110, 30, 150, 80)


def test_ticks_have_their_texts_below_and_beside() -> None:
    made = chart()
    made.x_axis([0, 50, 100], lambda value: f"{value} B", "bytes")
    made.y_axis([0, 0.5, 1], lambda value: f"{value:.0%}", "wasted")
    boxes = dict(made.picture.texts)
    assert set(boxes) == {"0 B", "50 B", "100 B", "bytes", "0%", "50%", "100%", "wasted"}
    for value in (0, 50, 100):
        box = boxes[f"{value} B"]
        assert (box.left + box.right) / 2 == pytest.approx(made.x(value), abs=2)
        assert box.top > made.box.bottom
        side = boxes[f"{value}%"]
        assert (side.top + side.bottom) / 2 == pytest.approx(made.y(value / 100), abs=2)
        assert side.right < made.box.left
    assert boxes["bytes"].top > boxes["50 B"].bottom
    assert boxes["wasted"].bottom < made.box.top
    lines = [tuple(line.get_ydata()) for line in made.picture.axes.lines if len(set(line.get_ydata())) == 1]
    assert {(130, 130), (80, 80), (30, 30)} <= set(lines)
