"""The same touches on a model's machine and on a real kernel: this one, or, where there is none, a recorded one."""

from __future__ import annotations

from mmkit.data import recording
from mmkit.errors import LiveError
from mmkit.model import vmaflags as f
from mmkit.model.machine import Machine, Process
from mmkit.proc import livefaults
from mmkit.proc.livefaults import Touch

RECORDED = "host-6.18"
SCRIPT: tuple[Touch, ...] = tuple(touch for touch, _ in recording(RECORDED).faults)
"""Touches that were recorded: pages 0 to 3 are anonymous, 4 to 7 a file's, private."""
BASE, PAGE = 0x10_0000_0000, 4096


def kernels_faults(touches: tuple[Touch, ...] = SCRIPT) -> tuple[int, ...]:
    """Return how many faults each touch takes: here and now, else as recorded.

    Raises ValueError for other touches than the recorded ones where nothing can be measured.
    """
    try:
        return livefaults.measure(touches)
    except LiveError as error:
        if touches != SCRIPT:
            raise ValueError(f"{error}; other touches than the recorded ones cannot be tried") from None
        return tuple(count for _, count in recording(RECORDED).faults)


def models_faults(touches: tuple[Touch, ...] = SCRIPT) -> tuple[int, ...]:
    """Return how many they take on a machine of the model."""
    machine = Machine("X86_64", "64MiB")
    members, rw = [machine.spawn("parent")], f.PROT_READ | f.PROT_WRITE
    file = machine.create_file("/four-pages", 4 * PAGE)
    members[0].mm.mmap(BASE, 4 * PAGE, rw, f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED)
    members[0].mm.mmap(BASE + 4 * PAGE, 4 * PAGE, rw, f.MAP_PRIVATE | f.MAP_FIXED, file.open("rw"))
    return tuple(_faults(members, touch) for touch in touches)


def _faults(members: list[Process], touch: Touch) -> int:
    process = members[touch.who]
    before = process.mm.min_flt
    if touch.how == "fork":
        members.append(process.fork())
    elif touch.how == "drop":
        process.mm.madvise(BASE + touch.page * PAGE, PAGE, f.MADV_DONTNEED)
    else:
        process.touch(BASE + touch.page * PAGE, touch.how == "w")
    return process.mm.min_flt - before
