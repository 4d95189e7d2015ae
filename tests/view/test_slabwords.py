"""Every event of the slab allocator has a sentence that names its numbers, and is true of what has happened."""

from __future__ import annotations

import pytest
from slabsamples import steps

from mmkit.model import slabtrace
from mmkit.model.kmalloc import SlabAllocator
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slabstate import Place
from mmkit.model.trace import Event, Trace
from mmkit.view.slabwords import place_in_words, slab_in_words
from mmkit.view.words import in_words

CPU, CPU_PARTIAL, NODE, FULL = Place
SENTENCES = {
    slabtrace.KmemCacheAlloc(0xFFFF888001000300, "dentry", 192, 192, 0xCC0): [
        "Handed out", "0xffff888001000300", "192 bytes", "cache dentry",
    ],
    slabtrace.KmemCacheAlloc(None, "dentry", 192, 192, 0xCC0): ["no free object in cache dentry", "request fails"],
    slabtrace.KmemCacheFree(0x1000, "dentry"): ["Given back", "0x1000", "cache dentry"],
    slabtrace.Kmalloc(0x1000, "kmalloc-96", 65, 96, 0xCC0): ["gives 96 bytes at 0x1000 for 65", "from kmalloc-96"],
    slabtrace.Kmalloc(0x4000, "", 9000, 16384, 0xCC0): ["gives 16,384 bytes", "for 9,000", "in whole pages"],
    slabtrace.Kmalloc(None, "kmalloc-96", 65, 96, 0xCC0): ["finds no memory for 65 bytes"],
    slabtrace.Kfree(0x1000): ["takes back", "0x1000"],
    slabtrace.SlabNew(0x1008, "dentry", 0, 21): ["at pfn 0x1008: the page becomes 21 free objects"],
    slabtrace.SlabNew(0x1008, "inode", 3, 27): ["at pfn 0x1008: 8 pages become 27 free objects"],
    slabtrace.SlabMove(0x1008, "dentry", NODE, CPU, 3, 4): ["pfn 0x1008", "becomes CPU 3's own"],
    slabtrace.SlabMove(0x1008, "dentry", FULL, CPU_PARTIAL, 1, 20): ["20 objects taken", "CPU 1's partial list"],
    slabtrace.SlabMove(0x1008, "dentry", CPU_PARTIAL, NODE, None, 0): ["none of its", "the node's partial list"],
    slabtrace.SlabMove(0x1008, "dentry", CPU, FULL, None, 21): ["no free object left"],
    slabtrace.SlabDiscard(0x1008, "dentry", 0): ["empty", "its page goes back to the buddy system"],
    slabtrace.SlabDiscard(0x1008, "inode", 2): ["its 4 pages go back"],
    slabtrace.SlabReport(0x1000, "dentry", "Object already free", "BUG"): ["0x1000", "Object already free"],
}  # fmt: skip


@pytest.mark.parametrize("event", SENTENCES, ids=lambda event: type(event).__name__)
def test_sentences(event: Event) -> None:
    sentence = in_words(event)
    assert sentence == slab_in_words(event)
    assert sentence.endswith(".")
    assert ". " not in sentence
    for part in SENTENCES[event]:
        assert part in sentence


def test_every_event_of_the_module_has_one() -> None:
    kinds = {kind for kind in vars(slabtrace).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert {type(event) for event in SENTENCES} == kinds - {Event}


def test_events_of_other_topics_are_silent() -> None:
    assert slab_in_words(Event()) == ""


def test_a_slab_is_where_the_sentence_puts_it() -> None:
    """The last word on each slab, step by step, names the list that it is on in the end."""
    said: dict[int, str] = {}
    for _, event in steps():
        if isinstance(event, slabtrace.SlabMove):
            said[event.pfn] = in_words(event)
        if isinstance(event, slabtrace.SlabDiscard):
            del said[event.pfn]
    assert len(said) > 1
    for slab in steps()[-1][0].slabs:
        assert place_in_words(slab.place, slab.cpu) in said[slab.pfn]


def test_places_in_words() -> None:
    places = [place_in_words(place, 2) for place in Place]
    assert places == ["CPU 2's own slab", "CPU 2's partial list", "the node's partial list", "no list"]


def test_kmalloc_of_nothing_has_nothing_to_tell() -> None:
    trace = Trace()
    SlabAllocator(PhysicalMemory("X86_64", "64MiB"), trace=trace).kmalloc(0)
    assert [in_words(event) for event in trace.events if isinstance(event, slabtrace.Kmalloc)] == []
