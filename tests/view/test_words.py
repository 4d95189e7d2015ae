"""Every event of the buddy system has a sentence that names its numbers."""

from __future__ import annotations

import pytest

from mmkit.model import trace
from mmkit.view.words import in_words

SENTENCES = {
    trace.Take(0x400, 10, 1): ["head of the Movable list of order 10", "0x400", "1,024 pages"],
    trace.Split(0x400, 10, 0x600, 0): ["order 10", "0x400 ^ 0x200 = 0x600", "Unmovable list of order 9"],
    trace.Merge(0x408, 3, 0x400): ["0x408 ^ 0x8 = 0x400", "order 4 at 0x400"],
    trace.Put(0x400, 4, 2, False): ["at the head of the Reclaimable list of order 4"],
    trace.Put(0x400, 4, 2, True): ["at the tail", "likely merge"],
    trace.MmPageAlloc(0x400, 0, 0, 1): ["Handed out", "order 0 at 0x400", "1 page,"],
    trace.MmPageAlloc(None, 8, 0, 1): ["No free block of order 8 or above", "256 pages", "fails"],
    trace.MmPageFree(0x400, 1): ["Given back", "2 pages"],
    trace.MmPageAllocZoneLocked(0x400, 0, 1, True): ["to refill a per-CPU list"],
    trace.MmPagePcpuDrain(0x400, 0, 1): ["from a per-CPU list"],
    trace.MmPageAllocExtfrag(0x400, 3, 9, 0, 1, True): [
        "Unmovable lists",
        "Movable block of order 9",
        "changes its type",
    ],
}


@pytest.mark.parametrize("event", SENTENCES, ids=lambda event: type(event).__name__)
def test_sentences(event: trace.Event) -> None:
    sentence = in_words(event)
    assert sentence.endswith(".")
    for part in SENTENCES[event]:
        assert part in sentence


def test_other_events_are_silent() -> None:
    assert in_words(None) == ""
    assert in_words(trace.Event()) == ""
