"""A moment of an allocation in words: what runs, what each table's entry says, and the text for who cannot see it."""

from __future__ import annotations

from mmkit.model.lifestate import BlockState, LifeState
from mmkit.model.pgstate import WalkStep
from mmkit.view.parts import listed, plural


def chain(state: LifeState) -> str:
    """Return what runs, from the program inwards."""
    return " › ".join(state.running) or "The program runs"


def block_of(block: BlockState) -> str:
    """Return what a block is called."""
    return f"the block: {block.size:,} bytes"


def step_in(state: LifeState, level: str) -> WalkStep | None:
    """Return the entry of a level, as far as there are tables."""
    return next((step for step in state.walk.steps if step.level == level), None) if state.walk else None


def table_words(level: str, step: WalkStep | None) -> tuple[str, str]:
    """Return the head of a level's box and what its entry says."""
    if step is None:
        return level, "no table"
    entry = f"0x{step.raw:x}" if step.raw else "0: not present"
    return f"{level}[{step.index}]", entry


def alt_life(state: LifeState, told: str) -> str:
    """Say what runs, which areas there are, how far the tables lead, and what the kernel has free."""
    areas = [f"{area.name} 0x{area.start:x} {area.perms} {_there(area.pages)}" for area in state.areas]
    frame = ""
    if state.frame:
        one, refs = state.frame, plural(state.frame.refcount, "reference")
        frame = f" Frame 0x{one.pfn:x} is {one.where}, {refs}, mapped {plural(one.mappings, 'time')}."
    hand = f", 0x{state.in_hand[0]:x} of order {state.in_hand[1]} in hand" if state.in_hand else ""
    kernel = (
        f"Objects of vm_area_struct: {state.vmas_in_use} of {state.vmas_there}; {plural(len(state.pcp), 'page')} on "
        f"the per-CPU list; free movable blocks by order {' '.join(map(str, state.orders))}{hand}; "
        f"{state.free_pages:,} pages free. Rss {state.rss}, {plural(state.tables, 'table')}, "
        f"{plural(state.faults, 'fault')}."
    )
    words = f"{told} " if told else ""
    return f"{chain(state)}. {words}Areas: {listed(areas)}. {_way(state)}{kernel}{frame} ({state.source})"


def _there(pages: str) -> str:
    return f"{len(pages) - pages.count('.')} of {plural(len(pages), 'page')}"


def _way(state: LifeState) -> str:
    if state.walk is None:
        return ""
    last = state.walk.steps[-1]
    there = state.walk.phys_addr is not None
    end = f"frame 0x{(state.walk.phys_addr or 0) >> 12:x}" if there else f"nothing in the {last.level}"
    tlb = "knows it" if state.tlb_frame is not None else "does not know it"
    return f"Address 0x{state.walk.virt_addr:x} leads to {end}; the TLB {tlb}. "
