"""The bench of the capstone lab: one process, its malloc, and what each call did to the whole machine, in words."""

from __future__ import annotations

from typing import Any

from mmkit.lab.vmamenus import choice
from mmkit.model.lifestate import LifeState
from mmkit.model.machine.life import PAGE, Life
from mmkit.model.trace import Trace
from mmkit.record import Record, field
from mmkit.view.parts import listed, plural

MOST_BLOCKS, MOST_BYTES = 3, 1_000_000
"""More the picture has no room for."""
PLACES = ("the first byte", "the next untouched page", "the last byte")


class LifeBenchState(Record):
    """What the timeline keeps: the moment, and what was done, from which it can be done again."""

    life: LifeState
    done: tuple[tuple[str, tuple[Any, ...]], ...] = field(repr=False)


class LifeBench:
    """malloc, write and free; each returns what came of it, in words."""

    def __init__(self, state: LifeBenchState | None = None, trace: Trace | None = None) -> None:
        self.life = Life()
        self.done: list[tuple[str, tuple[Any, ...]]] = []
        for name, arguments in state.done if state else ():
            getattr(self, name)(*arguments)
        self.listen(trace)

    def listen(self, trace: Trace | None) -> None:
        """Tell this trace what happens from now on."""
        self.life.told = trace.emit if trace is not None else None

    def snapshot(self) -> LifeBenchState:
        """Return the frozen state."""
        return LifeBenchState(self.life.snapshot(), tuple(self.done))

    def malloc(self, size: int) -> str:
        """Call malloc(). Raises ValueError for what there is no room for."""
        if type(size) is not int or not 0 <= size <= MOST_BYTES:
            raise ValueError(f"here malloc takes 0 to {MOST_BYTES:,} bytes, not {size!r}")
        if len(self.life.sizes) >= MOST_BLOCKS:
            raise ValueError(f"{MOST_BLOCKS} blocks are as many as can be drawn: free one first")
        before = self.life.snapshot()
        addr = self.life.malloc(size)
        self.done.append(("malloc", (size,)))
        return f"malloc({size}) gave 0x{addr:x}: {self._difference(before)}."

    def write(self, addr: int, place: str) -> str:
        """Write one byte into a block. Raises ValueError for a block or a place that there is not."""
        at = self._place(self._block(addr), place)
        before = self.life.snapshot()
        self.life.write(at, b"A")
        self.done.append(("write", (addr, place)))
        return f"One byte is written at 0x{at:x}: {self._difference(before)}."

    def read(self, addr: int, place: str) -> str:
        """Read one byte of a block. Raises ValueError for a block or a place that there is not."""
        at = self._place(self._block(addr), place)
        before = self.life.snapshot()
        byte = self.life.read(at)
        self.done.append(("read", (addr, place)))
        return f"The byte at 0x{at:x} is 0x{byte[0]:02x}: {self._difference(before)}."

    def free(self, addr: int) -> str:
        """Call free(). Raises ValueError for what is no block."""
        self._block(addr)
        before = self.life.snapshot()
        self.life.free(addr)
        self.done.append(("free", (addr,)))
        return f"free(0x{addr:x}): {self._difference(before)}."

    def _block(self, addr: int) -> int:
        if type(addr) is not int or addr not in self.life.sizes:
            known = listed([f"0x{each:x}" for each in self.life.sizes]) or "call malloc first"
            where = f"0x{addr:x}" if type(addr) is int else repr(addr)
            raise ValueError(f"no block begins at {where}: {known}")
        return addr

    def _place(self, addr: int, place: str) -> int:
        choice(dict.fromkeys(PLACES), place, "place")
        size, pages = self.life.sizes[addr], self.life.process.mm.pages
        if size == 0:
            raise ValueError("a block of 0 bytes has no byte to write")
        if place == PLACES[0]:
            return addr
        if place == PLACES[2]:
            return addr + size - 1
        starts = (addr, *range(addr - addr % PAGE + PAGE, addr + size, PAGE))
        for at in starts:
            if not pages.kind(at >> 12):
                return int(at)
        raise ValueError("all pages of the block have been touched")

    def _difference(self, before: LifeState) -> str:
        """Say what has changed for the process and the kernel."""
        after = self.life.snapshot()
        faults = after.faults - before.faults
        found = [plural(faults, "page fault") if faults else "no page fault"]
        for name, now, old in (
            ("resident", after.rss, before.rss), ("for page tables", after.tables, before.tables),
            ("free", after.free_pages, before.free_pages),
        ):  # fmt: skip
            if now != old:
                found.append(f"{plural(abs(now - old), 'page')} {'more' if now > old else 'less'} {name}")
        areas = len(after.areas) - len(before.areas)
        if areas:
            found.append(f"{plural(abs(areas), 'area')} {'more' if areas > 0 else 'less'}")
        return listed(found) if len(found) > 1 or faults else "no page fault, and the kernel has nothing more or less"
