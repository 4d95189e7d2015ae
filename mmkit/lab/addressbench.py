"""The bench of the address lab: an address, and tables of a process in which to look it up."""

from __future__ import annotations

from typing import NamedTuple

from mmkit.arch import PRESETS
from mmkit.data import recording
from mmkit.model.pgstate import WalkState
from mmkit.model.pgtable.tables import Tables, sample_places, sample_tables
from mmkit.model.pgtrace import WalkRead
from mmkit.model.trace import Trace

_NOT_HERE = ("outside", "unrecorded")
"""How a walk ends in tables that were not recorded."""


class Example(NamedTuple):
    """Whose tables can be walked: how they are called, where they come from, addresses worth looking at."""

    arch: str
    recorded: str
    """The recording; empty for a model."""

    @property
    def words(self) -> str:
        """What the menu says."""
        return f"{PRESETS[self.arch].title} ({'recorded' if self.recorded else 'model'})"

    def tables(self) -> Tables:
        """Return the tables."""
        return recording(self.recorded).page_tables if self.recorded else sample_tables(self.arch)

    def places(self) -> dict[str, int]:
        """Return addresses by their names."""
        if not self.recorded:
            return {f"{addr:#x} {name}": addr for name, addr in sample_places(self.arch).items()}
        areas = recording(self.recorded).process("vmas").vmas
        tables = self.tables()
        found = {f"{area.start:#x} {area.perms} {area.name.rpartition('/')[2]}".rstrip(): area.start for area in areas}
        return {words: addr for words, addr in found.items() if tables.walk(addr).end not in _NOT_HERE}


MACHINES: dict[str, Example] = {
    machine.arch: machine
    for machine in (
        Example("X86", "i386-686-2g"), Example("X86_PAE", "i386-pae-6g"), Example("X86_64", "amd64-4g"),
        Example("X86_64_LA57", ""), Example("ARM64", "arm64-4g"), Example("SV39", ""), Example("SV48", ""),
        Example("TOY", ""),
    )
}  # fmt: skip
"""By architecture: a recorded process where there is one, else a small program's tables as the model makes them."""
_TABLES: dict[str, Tables] = {}


def machine(arch: str) -> Example:
    """Return the machine of an architecture. Raises ValueError for an unknown one."""
    if arch not in MACHINES:
        raise ValueError(f"unknown architecture {arch!r}: choose one of {', '.join(MACHINES)}")
    return MACHINES[arch]


def tables_of(arch: str) -> Tables:
    """Return the tables of an architecture, made or read once."""
    known = machine(arch)
    if arch not in _TABLES:
        _TABLES[arch] = known.tables()
    return _TABLES[arch]


def _check_root(arch: str, addr: int) -> None:
    upper = addr >> 48 if machine(arch).arch == "ARM64" else 0
    if upper == 0xFFFF:
        raise ValueError(f"{addr:#x} goes through TTBR1, the kernel's root: its tables are not here")
    if upper:
        why = "bits 63 to 48 are neither all zeros (TTBR0) nor all ones (TTBR1)"
        raise ValueError(f"there is no root for {addr:#x}: {why}")


class AddressBench:
    """An address on a machine, and how many steps of its walk have been taken (None: all)."""

    def __init__(self, arch: str, addr: int, shown: int | None = None, trace: Trace | None = None) -> None:
        self.arch, self.addr, self.shown, self.trace = arch, addr, shown, trace
        _check_root(arch, addr)
        self.snapshot()

    def snapshot(self) -> WalkState:
        """Return the walk as far as it has come. Raises ValueError if the address is too wide for the machine."""
        return tables_of(self.arch).walk_state(self.addr, self.shown)

    def look(self, arch: str, addr: int) -> WalkState:
        """Take another address, or another machine. Raises ValueError for an address that the machine has not."""
        _check_root(arch, addr)
        state = tables_of(arch).walk_state(addr)
        self.arch, self.addr, self.shown = arch, addr, None
        return state

    def walk(self) -> WalkState:
        """Walk again from CR3, telling of every entry."""
        self.shown = 0
        state = self.snapshot()
        for number, step in enumerate(state.walk.steps if state.parts.canonical else (), 1):
            self.shown = number
            if self.trace is not None:
                self.trace.emit(
                    WalkRead(self.addr, step.level, step.index, step.entry_addr, step.raw, step.kind)
                )  # fmt: skip
        self.shown = None
        return self.snapshot()
