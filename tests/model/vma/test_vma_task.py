"""Threads share an address space, a fork has its own; in the model and on the running kernel."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import pytest
from test_vma_load import small
from vmapeers import needs_linux

from mmkit.errors import InvariantError
from mmkit.model.vma import MmStruct
from mmkit.model.vma.task import Tasks
from mmkit.model.vmaflags import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ

ANON = MAP_PRIVATE | MAP_ANONYMOUS


def test_what_one_thread_maps_the_other_has() -> None:
    tasks = Tasks()
    main = tasks.start(MmStruct(), "server")
    thread, child = main.clone_thread(), main.fork()
    addr = thread.mm.mmap(0, 4096, PROT_READ, ANON)
    assert main.mm.find_vma(addr) is not None
    assert child.mm.find_vma(addr) is None
    assert [(task.pid, task.tgid, task.parent) for task in tasks] == [
        (1000, 1000, 1),
        (1001, 1000, 1),
        (1002, 1002, 1000),
    ]
    state = tasks.snapshot()
    assert ([task.mm for task in state.tasks], [mm.mm_users for mm in state.mms]) == ([0, 0, 1], [2, 1])
    tasks.check()


def test_the_memory_goes_with_the_last_thread() -> None:
    tasks = Tasks()
    main = tasks.start(MmStruct())
    thread = main.clone_thread()
    main.mm.mmap(0, 4096, PROT_READ, ANON)
    main.exit()
    assert (thread.mm.mm_users, thread.mm.total_vm) == (1, 1)
    thread.exit()
    assert (thread.mm.mm_users, thread.mm.total_vm, thread.mm.map_count, len(tasks)) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="task 1001 has ended"):
        thread.exit()
    with pytest.raises(ValueError, match="task 1000 has ended"):
        main.fork()


def test_another_program_ends_the_other_threads_and_has_a_memory_of_its_own() -> None:
    tasks = Tasks()
    main = tasks.start(MmStruct())
    thread, child = main.clone_thread(), main.fork()
    old = main.mm
    old.mmap(0, 4096, PROT_READ, ANON)
    thread.execute(small())
    assert {(task.pid, task.name) for task in tasks} == {(1000, "small"), (1002, "a.out")}
    assert (old.mm_users, old.map_count, child.mm.mm_users, thread.mm.mm_users) == (0, 0, 1, 1)
    tasks.check()


def test_broken_rules_are_named() -> None:
    tasks = Tasks()
    main = tasks.start(MmStruct())
    thread = main.clone_thread()
    main.mm.mm_users = 3
    with pytest.raises(InvariantError, match="mm_users: 2 tasks use"):
        tasks.check()
    main.mm.mm_users = 1
    thread.mm = MmStruct()
    with pytest.raises(InvariantError, match="one memory a process"):
        tasks.check()


@needs_linux
def test_the_running_kernel_agrees() -> None:
    def text(pid: int, tid: int) -> str:
        return Path(f"/proc/{pid}/task/{tid}/maps").read_text()

    stop, ids = threading.Event(), []
    thread = threading.Thread(target=lambda: (ids.append(threading.get_native_id()), stop.wait()))
    thread.start()
    while not ids:
        pass
    pid = os.getpid()
    assert text(pid, ids[0]) == text(pid, pid)
    stop.set()
    thread.join()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.read(reader, 1)
        os._exit(0)
    before, mine = text(child, child), text(pid, pid)
    mapped = mmap.mmap(-1, 64 << 20)
    assert text(pid, pid) != mine
    assert text(child, child) == before
    mapped.close()
    os.write(writer, b"x")
    os.waitpid(child, 0)
