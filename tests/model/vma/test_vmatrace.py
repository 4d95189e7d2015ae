"""Recorded calls of seven machines, 6.1 on x86 of three kinds and arm64, and 6.18: every area is the kernel's.

After each call: bounds, rights, offsets, names, resident and anonymous pages, all flags; and what each call returned.
"""

from __future__ import annotations

import pytest
from vmareplay import ARCHES, Replay, comparable, read_steps

from mmkit.data import recording

RECORDED = [
    (folder, number) for folder in ARCHES for number in (1, 2, 3) if (folder, number) != ("host-6.18", 3)
]  # fmt: skip


@pytest.mark.parametrize(("folder", "number"), RECORDED)
def test_every_recorded_call_gives_what_the_kernel_gave(folder: str, number: int) -> None:
    start, *steps = read_steps(folder, number)
    replay = Replay(folder, start.areas)
    assert len(steps) == 400
    for at, step in enumerate(steps, 1):
        value, errno = replay.do(step)
        assert (at, value, errno) == (at, step.value, step.errno)
        ours, theirs = map(comparable, replay.areas()), map(comparable, step.areas)
        # The heap that a recording starts with is of the program's, and has pages that nobody recorded one by one.
        assert [(at, area) for area in ours if area.start >= 1 << 27] == [
            (at, area) for area in theirs if area.start >= 1 << 27
        ]
        assert [area[:5] for area in replay.areas()] == [area[:5] for area in step.areas]
        replay.mm.check()


def test_the_recordings_have_what_they_are_there_for() -> None:
    calls = [step for folder, number in RECORDED for step in read_steps(folder, number)[1:]]
    assert len(calls) == 8000
    assert {step.call for step in calls} >= {"mmap", "munmap", "mprotect", "mremap", "madvise", "mlock", "brk", "touch"}
    assert {step.errno for step in calls} == {0, 12, 14, 17, 22}
    assert {recording(folder).kernel.split("-")[0] for folder, _ in RECORDED} == {"6.1.0", "6.18.44"}


def test_the_rules_of_the_other_version_would_not_do() -> None:
    # V1, V2: between two areas 6.1 can leave neighbours apart that 6.18 merges.
    start, *steps = read_steps("amd64-4g", 1)
    replay = Replay("amd64-4g", start.areas)
    replay.mm.rules = type(replay.mm.rules)()
    alike = []
    for step in steps:
        replay.do(step)
        alike.append([area[:2] for area in replay.areas()] == [area[:2] for area in step.areas])
    assert alike[0]
    assert not all(alike)
