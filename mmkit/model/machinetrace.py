"""Events of a whole machine: faults that were served, processes that come and go.

Models: what mm/memory.c and kernel/fork.c (Linux 6.18) do between their tracepoints; ``sched_process_fork`` and
``sched_process_exit`` are the kernel's (include/trace/events/sched.h). Leaves out: scheduling.
"""

from __future__ import annotations

from typing import ClassVar

from mmkit.model.trace import Event


class FaultDone(Event):
    """A page fault was served; ``what`` stands behind the page now. ``major``: it had to be read from a disk."""

    name: ClassVar[str] = "fault_done"
    addr: int
    write: bool
    major: bool
    what: str


class AreaFound(Event):
    """Who faults has an area for the address, and it allows the access (lock_vma_under_rcu(), access_error())."""

    name: ClassVar[str] = "area_found"
    addr: int
    start: int
    perms: str
    write: bool


class AnonVmaNew(Event):
    """An area is to have its first own page: it gets an anon_vma, by which it is found from the page."""

    name: ClassVar[str] = "anon_vma_new"
    start: int
    number: int


class ClearPage(Event):
    """A page is filled with zeros before a process may see it (clear_highpage())."""

    name: ClassVar[str] = "clear_page"
    pfn: int


class SchedProcessFork(Event):
    """A process has a child."""

    name: ClassVar[str] = "sched_process_fork"
    parent_pid: int
    child_pid: int


class SchedProcessExit(Event):
    """A process has ended."""

    name: ClassVar[str] = "sched_process_exit"
    pid: int
