"""Whatever allocation fails, and wherever a process is killed: the machine stays consistent, nothing is left."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from mmkit import Machine
from mmkit.errors import OutOfMemory
from mmkit.model import vmaflags as f

PAGE, BASE, FAR, RW = 4096, 0x1000_0000, 1 << 40, f.PROT_READ | f.PROT_WRITE
ANON = f.MAP_PRIVATE | f.MAP_ANONYMOUS | f.MAP_FIXED


class Failing:
    """Lets the ``nth`` allocation of a machine fail, of pages or of the kernel's own objects."""

    def __init__(self, machine: Machine, nth: int) -> None:
        self.left, self.what = nth, ""
        self.pages, self.objects = machine.memory.alloc_pages, machine.objects.alloc
        machine.memory.alloc_pages = self.alloc_pages  # type: ignore[method-assign]
        machine.objects.alloc = self.alloc_object  # type: ignore[method-assign]

    def _count(self, what: str) -> None:
        self.left -= 1
        if not self.left:
            self.what = what
            raise OutOfMemory(f"no memory for {what}")

    def alloc_pages(self, *arguments, **more):
        self._count("a page")
        return self.pages(*arguments, **more)

    def alloc_object(self, name: str) -> int:
        self._count(name)
        left, self.left = self.left, 1 << 60  # the pages of its slab are counted with it
        try:
            return self.objects(name)
        finally:
            self.left = left


def script(machine: Machine) -> Iterator[str]:
    """Do a little of everything; yields before each step what it is."""
    file = machine.create_file("/f", b"x" * PAGE * 8)
    yield "spawn"
    parent = machine.spawn("parent")
    yield "mmap"
    parent.mm.mmap(BASE, 8 * PAGE, RW, ANON)
    yield "write"
    parent.write(BASE, b"hello" * 2000)
    yield "mmap a file"
    parent.mm.mmap(BASE + 16 * PAGE, 4 * PAGE, RW, f.MAP_SHARED | f.MAP_FIXED, file.open("rw"))
    parent.write(BASE + 16 * PAGE, b"y")
    yield "mprotect"
    parent.mm.mprotect(BASE + 2 * PAGE, PAGE, f.PROT_READ)
    yield "munmap"
    parent.mm.munmap(BASE + 5 * PAGE, PAGE)
    yield "fork"
    child = parent.fork()
    yield "copy on write"
    child.write(BASE, b"child")
    yield "mremap"
    parent.mm.mremap(BASE, PAGE, PAGE, f.MREMAP_MAYMOVE | f.MREMAP_FIXED, FAR)
    yield "thread"
    child.clone_thread()
    yield "far away"
    parent.mm.mmap(2 * FAR, PAGE, RW, ANON)
    parent.write(2 * FAR, b"far")


def play(nth: int) -> tuple[str, str]:
    """Run the script with one allocation failing; returns the step that failed, and for lack of what."""
    machine, step = Machine("X86_64", "64MiB", reclaim=False), ""
    failing = Failing(machine, nth)
    try:
        for name in script(machine):
            machine.check()
            step = name
    except OutOfMemory:
        machine.check()
    for process in list(machine):
        process.exit()
        machine.check()
    assert not machine.spaces
    return (step, failing.what) if failing.what else ("", "")


def test_every_allocation_may_fail() -> None:
    failed, nth = [], 1
    while (found := play(nth)) != ("", ""):
        failed.append(found)
        nth += 1
    assert len(failed) > 35
    assert {what for _, what in failed} == {"a page", "vm_area_struct", "mm_struct", "task_struct"}
    assert {step for step, _ in failed} >= {
        "spawn",
        "mmap",
        "write",
        "mprotect",
        "munmap",
        "fork",
        "far away",
        "thread",
    }


@pytest.mark.parametrize("seed", range(5))
def test_kills_anywhere_leave_nothing_behind(seed: int) -> None:
    rng, machine = random.Random(seed), Machine("X86_64", "64MiB", nr_cpus=2)
    machine.spawn("first").exit()

    def free() -> list[int]:
        machine.objects.shrink()
        machine.memory.drain_pages()
        return [zone.free_pages for zone in machine.memory.zones]

    before = free()
    family = [machine.spawn()]
    family[0].mm.mmap(BASE, 32 * PAGE, RW, ANON)
    for _ in range(60):
        process = rng.choice(family)
        process.write(BASE + rng.randrange(32 * PAGE - 8), b"12345678", cpu=rng.randrange(2))
        if rng.random() < 0.2 and len(family) < 6:
            family.append(rng.choice((process.fork, process.clone_thread))())
        if rng.random() < 0.15 and len(family) > 1:
            family.remove(process)
            process.exit()
            machine.check()
    for process in family:
        process.exit()
    machine.check()
    assert free() == before
