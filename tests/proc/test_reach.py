"""Measurements on this CPU: whole, positive, of what was asked for. How fast it is nobody can say beforehand."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from mmkit.model.tlbstate import MatrixTiming, ReachTiming
from mmkit.proc import reach
from mmkit.proc.reach import measure_matrix, measure_reach


def test_a_matrix():
    timing = measure_matrix(64, rounds=1)
    assert timing.size == 64
    assert timing.row_ns > 0
    assert timing.padded_ns > 0
    assert timing.ratio == timing.column_ns / timing.row_ns > 0
    assert MatrixTiming(2, 1.5, 6.0, 3.0).ratio == 4.0


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("size", [64, 256])
def test_every_number_of_a_matrix_once_and_no_other(size, by_columns):
    """By columns, longer rows spread a column over all sets of a cache; without that it stays in a few."""
    line = reach.LINE // 8
    for row in (size, size + line):
        order = reach.matrix_order(size, row, by_columns)
        assert sorted(order) == [first * row + number for first in range(size) for number in range(size)]
        assert order[1] == (row if by_columns else 1)
    if by_columns:
        sets = [len(set(reach.matrix_order(size, row, True)[:size] // line % 64)) for row in (size, size + line)]
        assert sets == [64 * line // size, 64]


def test_reach():
    found = measure_reach((4, 50), rounds=1)
    assert [each.pages for each in found] == [4, 50]
    for each in found:
        assert each.together_ns > 0
        assert each.ratio == each.apart_ns / each.together_ns > 0
        assert (each.large_ns is None) == (not hasattr(mmap, "MADV_HUGEPAGE"))
    assert ReachTiming(1, 2.0, 3.0, None).ratio == 1.5


def test_one_line_in_each_page_and_none_outside():
    pages = 130
    memory = reach._memory(pages * reach.STRIDE, "small")
    places = np.arange(pages) * reach.STRIDE
    assert len(set(places // reach.PAGE)) == pages
    assert len(set(places % reach.PAGE // reach.LINE)) == min(pages, reach.PAGE // reach.LINE)
    assert places.max() < memory.nbytes
    assert memory.all()


def test_nonsense():
    with pytest.raises(ValueError, match="size has to be at least 1, not 0"):
        measure_matrix(0)
    with pytest.raises(ValueError, match="pages has to be at least 1, not -1"):
        measure_reach((-1,))
