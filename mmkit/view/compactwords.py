"""Events of compaction in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmkit.model import compacttrace
from mmkit.model.trace import Event
from mmkit.view.parts import plural

_ENDS = {
    "complete": "the scanners have met",
    "success": "a block of the wanted size is free",
    "contended": "there is no room left for what is to be moved",
    "skipped": "too little memory is free to move anything",
    "not_suitable_zone": "the request would fail for lack of memory, not for its pieces",
}


def _begin(event: compacttrace.MmCompactionBegin) -> str:
    return (
        f"Compaction begins: the migrate scanner at page 0x{event.migrate_pfn:x} goes up, "
        f"the free scanner at 0x{event.free_pfn:x} goes down."
    )


def _pages(start_pfn: int, end_pfn: int) -> str:
    if end_pfn - start_pfn == 1:
        return f"page 0x{start_pfn:x}"
    return f"pages 0x{start_pfn:x} to 0x{end_pfn - 1:x}"


def _migratepages(event: compacttrace.MmCompactionIsolateMigratepages) -> str:
    return (
        f"The migrate scanner looks at {_pages(event.start_pfn, event.end_pfn)}: "
        f"{plural(event.nr_taken, 'page')} of them can be moved, and are taken off."
    )


def _freepages(event: compacttrace.MmCompactionIsolateFreepages) -> str:
    return (
        f"The free scanner looks at {_pages(event.start_pfn, event.end_pfn)}: "
        f"{plural(event.nr_taken, 'page')} of them free, taken as room."
    )


def _migrate(event: compacttrace.Migrate) -> str:
    pages = "The page" if event.order == 0 else f"The {1 << event.order} pages"
    return f"{pages} at 0x{event.pfn:x} {'is' if event.order == 0 else 'are'} moved to 0x{event.new_pfn:x}."


def _failed(event: compacttrace.MigrateFailed) -> str:
    return f"What is at page 0x{event.pfn:x} stays: {event.why}."


def _moved(event: compacttrace.MmCompactionMigratepages) -> str:
    failed = f", {event.nr_failed:,} could not be" if event.nr_failed else ""
    return f"Of the pages taken off, {event.nr_migrated:,} were moved{failed}."


def _end(event: compacttrace.MmCompactionEnd) -> str:
    return f"Compaction ends ({event.status}): {_ENDS.get(event.status, 'nothing more can be done')}."


_WORDS: dict[type[Event], Callable[[Any], str]] = {
    compacttrace.MmCompactionBegin: _begin,
    compacttrace.MmCompactionIsolateMigratepages: _migratepages,
    compacttrace.MmCompactionIsolateFreepages: _freepages,
    compacttrace.Migrate: _migrate,
    compacttrace.MigrateFailed: _failed,
    compacttrace.MmCompactionMigratepages: _moved,
    compacttrace.MmCompactionEnd: _end,
}


def compaction_in_words(event: Event) -> str:
    """Return one sentence that says what an event of compaction does; nothing for one of another topic.

    >>> compaction_in_words(compacttrace.Migrate(pfn=0x10, new_pfn=0x38, order=0))
    'The page at 0x10 is moved to 0x38.'
    """
    words = _WORDS.get(type(event))
    return words(event) if words else ""
