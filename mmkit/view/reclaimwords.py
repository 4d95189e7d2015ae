"""Reclaim in words: events for the status line, and a moment for who cannot see it."""

from __future__ import annotations

from mmkit.model import pressuretrace, reclaimtrace
from mmkit.model.reclaimstate import Look, LruPage, ProcessLine, ReclaimState
from mmkit.model.trace import Event
from mmkit.view.parts import listed, plural

_BECOMES = {
    "keep": "stays where it is, at the head again", "activate": "becomes active", "deactivate": "becomes inactive",
    "drop": "is dropped", "swap out": "is written to swap, and its frame is free",
    "write back": "leaves its entries, and is moved to the active list meanwhile",
    "rotate": "goes to the tail of the inactive list",
}  # fmt: skip
_SHORT = {
    "keep": "goes back to the head", "activate": "becomes active", "deactivate": "becomes inactive",
    "drop": "is dropped", "swap out": "is swapped out",
    "write back": "leaves its entries, and is moved to the active list meanwhile",
    "rotate": "goes to the tail of inactive_file", "swap in": "comes back from swap",
}  # fmt: skip


def reclaim_in_words(event: Event) -> str:
    """Return one sentence that says what an event of reclaim does; nothing for one of another topic.

    >>> reclaim_in_words(reclaimtrace.LruFate(0x1A3, "drop", "it was not used lately, and the disk has it"))
    'Frame 0x1a3 is dropped: it was not used lately, and the disk has it.'
    """
    match event:
        case reclaimtrace.KswapdWake():
            return f"kswapd wakes: {plural(event.free, 'page')} free; it goes on until more than {event.high} are."
        case reclaimtrace.KswapdSleep():
            return f"kswapd goes to sleep: {plural(event.free, 'page')} free."
        case reclaimtrace.DirectReclaimBegin():
            pages = plural(event.free, "page")
            return f"An allocation fails, {pages} free: who wanted it has to reclaim pages itself."
        case reclaimtrace.DirectReclaimEnd():
            return f"Direct reclaim ends: {plural(event.nr_reclaimed, 'page')} reclaimed."
        case reclaimtrace.LruFate():
            return f"Frame 0x{event.pfn:x} {_BECOMES[event.fate]}: {event.why}."
        case reclaimtrace.WorkingsetRefault():
            where = "active at once" if event.active else "inactive, as if it were new"
            return f"Frame 0x{event.pfn:x} holds a page that {_distance(event.distance, event.room)}: it is {where}."
        case reclaimtrace.SwapIn():
            return f"The page at 0x{event.addr:x} comes back from slot {event.slot}, into frame 0x{event.pfn:x}."
    return _of_lists(event) or _of_processes(event)


def _of_lists(event: Event) -> str:
    match event:
        case reclaimtrace.ShrinkActive():
            name, looked = _kind(event.file), plural(event.nr_taken, "page")
            became = f"{event.nr_deactivated} became inactive, {event.nr_active} stay"
            return f"Of active_{name}, {looked} looked at: {became}."
        case reclaimtrace.ShrinkInactive():
            name, looked = _kind(event.file), plural(event.nr_scanned, "page")
            got = f"{event.nr_reclaimed} reclaimed" if event.nr_reclaimed else "none reclaimed"
            return f"Of inactive_{name}, {looked} looked at, {got}; the priority is {event.priority}."
    return ""


def _kind(file: bool) -> str:
    return "file" if file else "anon"


def _of_processes(event: Event) -> str:
    match event:
        case reclaimtrace.MarkVictim():
            parts = f"{event.rss} resident, {event.swap} in swap, {event.tables} of tables"
            return f"Out of memory: {event.comm} ({event.pid}) has the most points, {event.points}: {parts}."
        case pressuretrace.PagesUsed():
            idle = f" kswapd woke {plural(event.idle, 'time')}, and looked at no page." if event.idle else ""
            return f"{event.comm} {event.does} {_stretch(event)}: {plural(event.free, 'page')} free.{idle}"
        case pressuretrace.TaskGone():
            return (
                f"{event.comm} {'was killed' if event.end == 'killed' else 'has ended'}: its frames and slots are free."
            )
        case pressuretrace.Refault():
            where = "active at once" if event.active else "inactive, as if it were new"
            page = f"Page {event.index} of {event.file}, a refault,"
            return f"{page} is read again; it {_distance(event.distance, event.room)}: it is {where}."
    return ""


def _distance(distance: int, room: int) -> str:
    return f"went {plural(distance, 'eviction')} ago, and the other lists have {plural(room, 'page')}"


def _stretch(event: pressuretrace.PagesUsed) -> str:
    of = f" of {event.file}" if event.file else ""
    if event.first == event.last:
        return f"page {event.first}{of}"
    return f"pages {event.first} to {event.last}{of}"


# -- a moment ---------------------------------------------------------------------------------------------------------


def letter_of(state: ReclaimState, pid: int) -> str:
    """Return the letter of a process, "f" for the file: what its pages are called by."""
    return next((line.letter for line in state.processes if line.pid == pid), "?") if pid else "f"


def page_name(state: ReclaimState, page: LruPage) -> str:
    """Return what a page is called: "H12"."""
    return f"{letter_of(state, page.owner)}{page.index}"


def look_words(state: ReclaimState, look: Look) -> str:
    """Say which page was looked at, how it was found, and what became of it."""
    at = f"at the tail of {look.source}"
    if look.source == "swap":
        at = f"from slot {look.slot}"
    elif look.fate == "rotate":
        at = f"written meanwhile, on {look.source}"
    goes = {"swap out": " to slot", "drop": ", back to slot"}.get(look.fate)
    slot = f"{goes} {look.slot}" if look.slot is not None and goes else ""
    found = f"{page_name(state, look.page)} (frame 0x{look.page.pfn:x}), {at},"
    return f"{found} {_SHORT[look.fate]}{slot}: {look.why}."


def said_of(state: ReclaimState, told: str) -> str:
    """Return what is said of a step: of a look at a page what it was about, else ``told``."""
    return look_words(state, state.look) if state.look else told


def running_words(state: ReclaimState) -> str:
    """Say what runs, from the process inwards."""
    return " › ".join(state.running) or "The machine is at rest"


def mark_words(state: ReclaimState) -> str:
    """Say where the free pages are among the marks."""
    if state.free > state.high:
        return "above high: nobody reclaims"
    if state.free > state.low:
        return "between low and high: kswapd goes on if it is awake"
    if state.free > state.min:
        return "not above low: kswapd is woken"
    return "not above min: who wants a page must reclaim one"


def alt_reclaim(state: ReclaimState, told: str) -> str:
    """Say what runs, what is free, what the lists and the swap hold, and how the processes stand."""
    said = f"{said_of(state, told)} ".lstrip()
    lists = listed([f"{name} {_list_words(state, pages)}" for name, pages in state.lists])
    used = sum(slot.owner > 0 for slot in state.slots)
    cached = sum(slot.cached for slot in state.slots)
    both = f", {cached} of them by pages that are in memory as well" if cached else ""
    swap = f"Swap: {used} of {plural(len(state.slots), 'slot')} used{both}."
    counts = {letter: state.file_pages.count(letter) for letter in "mdx"}
    file = f"{state.file}: {counts['m'] + counts['d']} of {len(state.file_pages)} pages in memory, {counts['d']} dirty."
    counters = ", ".join(f"{name} {value}" for name, value in state.counters if value) or "none yet"
    return (
        f"{running_words(state)}. {said}Free: {state.free} of {state.managed} pages, {mark_words(state)} (min "
        f"{state.min}, low {state.low}, high {state.high}); {state.pcp} more on the per-CPU list. Lists: {lists}. "
        f"{swap} {file} Processes: {listed([_line_words(line) for line in state.processes])}. "
        f"Counters: {counters}. ({state.source})"
    )


def _list_words(state: ReclaimState, pages: tuple[LruPage, ...]) -> str:
    if not pages:
        return "empty"
    return f"{len(pages)} (used: {sum(page.young for page in pages)}, next: {page_name(state, pages[0])})"


def _line_words(line: ProcessLine) -> str:
    if line.end:
        return f"{line.name} was {line.end}" + (f" with {line.points} points" if line.points else "")
    points = "never killed" if line.points is None else plural(line.points, "point")
    return f"{line.name} {line.rss} resident, {line.swap} in swap, {points}"
