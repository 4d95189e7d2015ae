"""Out of memory: which process has to die.

Models: mm/oom_kill.c, oom_badness(), select_bad_process(); fs/proc/base.c, proc_oom_score() (Linux 6.18). Leaves out:
cgroups, memory policies, the reaper; a victim is gone at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmkit.model.machine.machine import Machine
    from mmkit.model.machine.process import Process

ADJ_MIN = -1000
"""The least ``/proc/PID/oom_score_adj``: never."""


def total_pages(machine: Machine) -> int:
    """Return the pages that points are measured against: memory and swap."""
    return sum(zone.managed_pages for zone in machine.memory.zones) + machine.swap.nr_slots


def badness(process: Process) -> int | None:
    """Return a process's points: its resident pages, swapped pages and page tables; None if it must not be killed."""
    if process.oom_score_adj == ADJ_MIN:
        return None
    mm, machine = process.mm, process.machine
    points = mm.rss + len(mm.pages.swapped) + mm.nr_pgtables
    return points + process.oom_score_adj * (total_pages(machine) // 1000)


def oom_score(process: Process) -> int:
    """Return what ``/proc/PID/oom_score`` says: points in thousandths, raised and cut so that none is negative."""
    points = badness(process)
    return 0 if points is None else score(points, total_pages(process.machine))


def score(points: int, total: int) -> int:
    """Return points as a part of ``total`` pages, as ``/proc/PID/oom_score`` writes it."""
    # C divides towards zero.
    part = abs(points) * 1000 // total
    return (1000 + (part if points >= 0 else -part)) * 2 // 3


def select_bad_process(machine: Machine) -> Process | None:
    """Return the process with the most points; of several the newest. Threads of one count once."""
    scored = [(badness(process), process) for process in machine if process.pid == process.tgid]
    known = [(points, process) for points, process in scored if points is not None]
    return max(reversed(known), key=lambda one: one[0])[1] if known else None
