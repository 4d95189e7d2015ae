"""Events of page tables and of walks: which entry is read, which is written, which table comes and goes.

Models: what the processor and mm/memory.c (Linux 6.18) do in silence, so most names are ours; ``page_fault_user`` and
``page_fault_kernel`` are tracepoints of the kernel (arch/x86/include/asm/trace/exceptions.h). Leaves out: the ``ip``
of the instruction.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.trace import Event


class PtTableNew(Event):
    """A page of memory becomes a table of this level, all zeros."""

    name: ClassVar[str] = "pt_table_new"
    addr: int
    level: str


class PtTableFree(Event):
    """A table is empty, and its page is given back."""

    name: ClassVar[str] = "pt_table_free"
    addr: int
    level: str


class PtEntrySet(Event):
    """An entry is written."""

    name: ClassVar[str] = "pt_entry_set"
    addr: int
    level: str
    index: int
    old: int
    new: int


class WalkRead(Event):
    """A walk reads an entry; ``kind`` as of a WalkStep."""

    name: ClassVar[str] = "walk_read"
    virt_addr: int
    level: str
    index: int
    addr: int
    raw: int
    kind: str


class Cr3Load(Event):
    """The root of other tables is loaded."""

    name: ClassVar[str] = "cr3_load"
    old: int
    new: int


class PageFaultUser(Event):
    """User code touched what it cannot."""

    name: ClassVar[str] = "page_fault_user"
    address: int
    error_code: int


class PageFaultKernel(Event):
    """The kernel touched what it cannot."""

    name: ClassVar[str] = "page_fault_kernel"
    address: int
    error_code: int
