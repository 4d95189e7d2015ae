"""The index beside a plain sorted list: the same answers, whatever the chunks look like; its broken rules are named."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mmkit.errors import InvariantError
from mmkit.model.vma import Vma
from mmkit.model.vma import index as module
from mmkit.model.vma.index import CHUNK, VmaIndex

PAGE, PAGES = 4096, 400
TOP = PAGES * PAGE


def area(start: int, end: int) -> Vma:
    return Vma(start * PAGE, end * PAGE, 1, start)


def gaps(plain: list[Vma], low: int, high: int) -> list[tuple[int, int]]:
    """All free ranges inside [low, high), each cut to it."""
    edges = [0, *[edge for vma in plain for edge in (vma.vm_start, vma.vm_end)], 1 << 62]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(max(start, low), min(end, high)) for start, end in pairs if max(start, low) < min(end, high)]


class Index(RuleBasedStateMachine):
    """Chunks of 8 areas, so that they are cut and joined all the time."""

    def __init__(self) -> None:
        super().__init__()
        module.CHUNK = 8
        self.index, self.plain = VmaIndex(), []

    def teardown(self) -> None:
        module.CHUNK = CHUNK

    def room(self, number: int) -> tuple[int, int]:
        """What an area may grow to between its neighbours, in bytes."""
        below = self.plain[number - 1].vm_end if number else 0
        return below, self.plain[number + 1].vm_start if number + 1 < len(self.plain) else TOP

    @initialize(share=st.sampled_from([0, 0.2, 0.9]), seed=st.integers(0, 99))
    def begin(self, share: float, seed: int) -> None:
        pages = [page for page in range(0, PAGES, 2) if Random(seed * 1000 + page).random() < share]
        Random(seed).shuffle(pages)
        for page in pages:
            self.insert(page, 1)

    @rule(start=st.integers(0, PAGES - 5), length=st.integers(1, 5))
    def insert(self, start: int, length: int) -> None:
        if any(vma.vm_start < (start + length) * PAGE and start * PAGE < vma.vm_end for vma in self.plain):
            return
        vma = area(start, start + length)
        self.index.insert(vma)
        self.plain = sorted([*self.plain, vma], key=lambda one: one.vm_start)

    @precondition(lambda self: self.plain)
    @rule(data=st.data(), count=st.integers(1, 40))
    def remove(self, data: st.DataObject, count: int) -> None:
        first = data.draw(st.integers(0, len(self.plain) - 1))
        for vma in self.plain[first : first + count]:
            self.index.remove(vma)
        del self.plain[first : first + count]

    @precondition(lambda self: self.plain)
    @rule(data=st.data())
    def set_range(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.plain) - 1))
        low, high = self.room(number)
        start = data.draw(st.integers(low // PAGE, high // PAGE - 1))
        end = data.draw(st.integers(start + 1, high // PAGE))
        self.index.set_range(self.plain[number], start * PAGE, end * PAGE)

    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        long = [vma for vma in self.plain if vma.pages > 1]
        if long:
            vma = data.draw(st.sampled_from(long))
            cut = data.draw(st.integers(vma.vm_start // PAGE + 1, vma.vm_end // PAGE - 1))
            upper = area(cut, vma.vm_end // PAGE)
            self.index.split(vma, upper)
            self.plain.insert(self.plain.index(vma) + 1, upper)

    @rule(data=st.data(), up=st.booleans(), whole=st.booleans())
    def swallow(self, data: st.DataObject, up: bool, whole: bool) -> None:
        """An area goes, or is cut in half, and its neighbour takes the room."""
        if len(self.plain) < 2:
            return
        number = data.draw(st.integers(0, len(self.plain) - 2))
        low, high = self.plain[number : number + 2]
        if whole or (low if up else high).pages == 1:
            gone, kept = (low, high) if up else (high, low)
            self.index.remove(gone, filled=True)
            self.plain.remove(gone)
            self.index.set_range(kept, min(low.vm_start, kept.vm_start), max(high.vm_end, kept.vm_end))
        elif up:
            self.index.set_range(low, low.vm_start, low.vm_end - PAGE, filled=True)
            self.index.set_range(high, low.vm_end, high.vm_end)
        else:
            self.index.set_range(high, high.vm_start + PAGE, high.vm_end, filled=True)
            self.index.set_range(low, low.vm_start, high.vm_start)

    @rule(addr=st.integers(0, TOP), length=st.integers(1, 30 * PAGE))
    def look_up(self, addr: int, length: int) -> None:
        assert self.index.find(addr) is next((vma for vma in self.plain if vma.vm_end > addr), None)
        assert self.index.find(addr) is self.index.find(addr)
        assert self.index.before(addr) is next((vma for vma in reversed(self.plain) if vma.vm_end <= addr), None)
        end = addr + length
        there = [vma for vma in self.plain if vma.vm_start < end and addr < vma.vm_end]
        assert self.index.overlapping(addr, end) == there

    @rule(length=st.integers(1, 12), low=st.integers(0, PAGES), high=st.integers(0, PAGES + 20))
    def fit(self, length: int, low: int, high: int) -> None:
        low, high, length = low * PAGE, high * PAGE, length * PAGE
        fitting = [gap for gap in gaps(self.plain, low, high) if gap[1] - gap[0] >= length]
        for _ in range(2):
            assert self.index.highest_gap(length, low, high) == (fitting[-1] if fitting else None)
            assert self.index.lowest_gap(length, low, high) == (fitting[0] if fitting else None)

    @invariant()
    def the_same_areas(self) -> None:
        self.index.check()
        assert len(self.index) == len(self.plain)
        assert list(self.index) == self.plain
        for number, vma in enumerate(self.plain):
            assert self.index.next(vma) is (self.plain[number + 1] if number + 1 < len(self.plain) else None)
            assert self.index.prev(vma) is (self.plain[number - 1] if number else None)


TestIndex = Index.TestCase
TestIndex.settings = settings(max_examples=60, stateful_step_count=40)


def full(count: int) -> tuple[VmaIndex, list[Vma]]:
    """An index with an area on every second page, filed in no order, and the areas."""
    index, vmas = VmaIndex(), [area(2 * number, 2 * number + 1) for number in range(count)]
    for vma in Random(1).sample(vmas, count):
        index.insert(vma)
    return index, vmas


def test_many_areas_are_found_again() -> None:
    index, vmas = full(5 * CHUNK)
    index.check()
    assert list(index) == vmas
    assert all(index.find(vma.vm_start) is vma for vma in vmas)
    end = vmas[-1].vm_end
    assert index.highest_gap(2 * PAGE, 0, end) is index.lowest_gap(2 * PAGE, 0, end) is None
    index.remove(vmas[700])
    hole = vmas[699].vm_end, vmas[701].vm_start
    assert index.highest_gap(2 * PAGE, 0, end) == index.lowest_gap(2 * PAGE, 0, end) == hole
    for vma in vmas[:700] + vmas[701:]:
        index.remove(vma)
    index.check()
    assert (len(index), list(index), index.find(0)) == (0, [], None)


class Watched(Vma):
    """An area that counts how often somebody looks where it starts."""

    looks = 0

    def __getattribute__(self, name: str) -> object:
        if name == "vm_start":
            Watched.looks += 1
        return super().__getattribute__(name)


@pytest.mark.parametrize("search", ["highest_gap", "lowest_gap"])
@pytest.mark.parametrize("count", [10 * CHUNK, 40 * CHUNK])
def test_looking_for_a_gap_looks_at_a_chunk_or_two_of_areas(count: int, search: str) -> None:
    """Even if there are wide gaps, but all outside the bounds."""
    index, low = VmaIndex(), 1 << 30
    for start in [0, *range(low, low + 2 * count * PAGE, 2 * PAGE), 1 << 40]:
        index.insert(Watched(start, start + PAGE, 1, 0))
    for most in (4 * CHUNK, CHUNK + 10):
        Watched.looks = 0
        assert getattr(index, search)(2 * PAGE, low, low + 2 * count * PAGE) is None
        assert Watched.looks < most
    index.check()


def test_chunks_that_become_small_are_put_together() -> None:
    index, vmas = full(20 * CHUNK)
    for number, vma in enumerate(vmas):
        if number % 100:
            index.remove(vma)
    index.check()
    assert list(index) == vmas[::100]
    assert len(index._ends) <= 2


def the_first_chunk_emptied(index: VmaIndex) -> None:
    index._count -= len(index._ends[0])
    index._ends[0].clear()
    index._vmas[0].clear()


def two_chunks_in_one(index: VmaIndex) -> None:
    for each in (index._ends, index._vmas):
        each[0] += each.pop(1)
    del index._pivots[0], index._widest[0]
    index._ends[0] += [index._ends[0][-1] + (number + 1) * PAGE for number in range(2 * CHUNK)]
    index._vmas[0] += [area(end // PAGE - 1, end // PAGE) for end in index._ends[0][len(index._vmas[0]) :]]
    index._count += 2 * CHUNK


BROKEN: dict[str, Callable[[VmaIndex], object]] = {
    "the last area has None above it": lambda index: index._vmas[-1].pop(),
    "as many ends as areas": lambda index: index._vmas[0].pop(),
    "as many areas as are counted": lambda index: setattr(index, "_count", len(index) - 1),
    "each area is filed under its end": lambda index: setattr(index._vmas[0][3], "vm_end", 1),
    "no chunk is empty": the_first_chunk_emptied,
    "no chunk is too large": two_chunks_in_one,
    "the last end of each chunk is known": lambda index: index._pivots.__setitem__(0, index._pivots[0] + 1),
    "a bound for the gaps of each chunk": lambda index: index._widest.pop(),
    "no gap is wider than its bound": lambda index: index._widest.__setitem__(1, 0),
    "the area found last is still there": lambda index: setattr(index, "_cached", area(0, 1)),
    "the only chunk is known as such": lambda index: setattr(index, "_only_ends", index._ends[0]),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_of_the_index_is_named(rule: str) -> None:
    index, _ = full(5 * CHUNK)
    index.check()
    BROKEN[rule](index)
    with pytest.raises(InvariantError, match=f"^index: {rule}"):
        index.check()
