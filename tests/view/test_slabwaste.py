"""The sawtooth shows what every geometry says, and says where it is worst."""

from __future__ import annotations

from math import log2

import pytest

from mmkit.model.kmallocsize import SIZES
from mmkit.model.slabgeometry import geometry
from mmkit.model.slabstate import SlabFlags, SlabGeometry
from mmkit.view.slabwaste import KMALLOC_SIZES, SlabWaste, alt_slab_waste, order_runs, waste_share


def sizes(start: int = 8, end: int = 4096, step: int = 8, nr_cpus: int = 2, flags: int = 0) -> list[SlabGeometry]:
    """Geometries of objects of ascending size."""
    return [geometry("any", size, 0, flags, nr_cpus=nr_cpus) for size in range(start, end + 1, step)]


def test_the_saw_is_where_the_waste_is() -> None:
    every = sizes()
    picture = SlabWaste(every)
    xs, ys = picture.saw.get_data()
    assert len(xs) == 2 * len(every)
    for number, one in enumerate(every):
        expected = picture.chart.y(one.tail_bytes / one.slab_bytes)
        assert ys[2 * number] == ys[2 * number + 1] == pytest.approx(expected)
        assert xs[2 * number + 1] == pytest.approx(picture.chart.x(log2(one.size)))
        assert xs[2 * number] == pytest.approx(xs[max(0, 2 * number - 1)])  # no gap between two teeth


def test_equal_distances_double_the_size() -> None:
    picture = SlabWaste(sizes())
    xs = dict(zip((one.size for one in picture.geometries), picture.saw.get_xdata()[1::2], strict=True))
    steps = [xs[2 * size] - xs[size] for size in (8, 64, 192, 2048)]
    assert steps == pytest.approx([steps[0]] * 4)


def test_sizes_of_kmalloc_are_marked_at_what_they_waste() -> None:
    assert KMALLOC_SIZES == SIZES
    picture = SlabWaste(sizes())
    by_size = {one.size: one for one in picture.geometries}
    inside = [size for size in SIZES if size <= 4096]
    xs, ys = picture.classes.get_data()
    assert list(xs) == pytest.approx([picture.chart.x(log2(size)) for size in inside])
    assert list(ys) == pytest.approx([picture.chart.y(waste_share(by_size[size])) for size in inside])
    texts = [text for text, _ in picture.texts]
    assert {f"{size:,}" for size in inside} <= set(texts)


def test_orders_go_back_and_forth_and_the_band_with_them() -> None:
    every = sizes()
    runs = order_runs(every)
    assert [order for _, _, order in runs] == [0, 1, 2, 1, 2, 3, 2, 3, 2, 3, 2, 3]
    for first, last, order in runs:
        assert {one.order for one in every if first <= one.size <= last} == {order}
    assert sum((last - first) // 8 + 1 for first, last, _ in runs) == len(every)


@pytest.mark.parametrize("nr_cpus", [1, 2, 64])
def test_alt_tells_the_worst_and_the_mean_and_where_orders_end(nr_cpus: int) -> None:
    every = sizes(nr_cpus=nr_cpus)
    words = alt_slab_waste(every, nr_cpus=nr_cpus)
    shares = [one.tail_bytes / one.slab_bytes for one in every]
    assert f"{sum(shares) / len(shares):.1%} on average, at most {max(shares):.1%}" in words
    assert f"(at {every[shares.index(max(shares))].size:,} bytes)" in words
    first, last = order_runs(every)[0], order_runs(every)[-1]
    assert f"order {first[2]} up to {first[1]:,} bytes" in words
    assert f"order {last[2]} from {last[0]:,} bytes on" in words
    assert f", on a machine of {nr_cpus} CPU{'s' * (nr_cpus > 1)}, a saw" in words
    title = SlabWaste(every, nr_cpus=nr_cpus).texts[0][0]
    assert title.endswith(f"on a machine of {nr_cpus} CPU{'s' * (nr_cpus > 1)}")


def test_alt_says_which_sizes_of_kmalloc_waste() -> None:
    assert "Of the sizes of kmalloc only 96 (1.6%) and 192 (1.6%) waste any." in alt_slab_waste(sizes())
    assert "The sizes of kmalloc waste nothing." in alt_slab_waste(sizes(248, 264))
    assert "kmalloc" not in alt_slab_waste(sizes(264, 280))
    assert "; always order 0." in alt_slab_waste(sizes(8, 64))


def test_with_debugging_too() -> None:
    every = sizes(8, 2048, flags=SlabFlags.RED_ZONE | SlabFlags.POISON)
    picture = SlabWaste(every)
    assert picture.alt.startswith(f"Waste at the end of a slab for objects of {every[0].size} to {every[-1].size:,} ")


def test_sizes_that_do_not_ascend_are_refused() -> None:
    for wrong in ([], sizes()[:1], sizes()[::-1], [*sizes()[:3], *sizes()[:3]]):
        with pytest.raises(ValueError, match="must ascend"):
            SlabWaste(wrong)
