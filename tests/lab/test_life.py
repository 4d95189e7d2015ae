"""The capstone lab: every button, the timeline both ways, refusals, and a twin that is the model alone."""

from __future__ import annotations

import random

import pytest

from mmkit.lab import LifeLab
from mmkit.lab.lifebench import MOST_BLOCKS, PLACES, LifeBench
from mmkit.model.machine.life import Life


@pytest.fixture
def lab() -> LifeLab:
    return LifeLab()


def life(lab):
    return lab.timeline.current.snapshot.life


def test_it_begins_without_a_heap_and_names_everything(lab, checks):
    checks.consistent(lab)
    checks.named(lab)
    assert "no heap yet" in lab.message
    assert life(lab) == Life().snapshot()


def test_a_whole_life_by_buttons(lab, checks):
    twin = Life()
    lab.malloc_button.click()
    block = twin.malloc(100_000)
    assert "step 1 of" in lab.message
    assert "LibraryCall" not in lab.message
    checks.consistent(lab)
    lab.last()
    assert life(lab) == twin.snapshot()
    assert "2 page faults" in lab.message
    assert lab.block_menu.value == block
    lab.write_button.click()
    twin.write(block, b"A")
    lab.last()
    assert "no page fault" in lab.message
    assert life(lab) == twin.snapshot()
    lab.place_menu.value = "the next untouched page"
    lab.write_button.click()
    twin.write(block - block % 4096 + 4096, b"A")
    lab.last()
    assert "1 page fault" in lab.message
    assert life(lab) == twin.snapshot()
    lab.read_button.click()
    assert twin.read(block - block % 4096 + 8192) == b"\0"
    lab.last()
    assert "is 0x00: 1 page fault" in lab.message, "the zero page: no frame, but a fault"
    assert life(lab) == twin.snapshot()
    lab.place_menu.value = "the first byte"
    lab.read_button.click()
    assert twin.read(block) == b"A"
    lab.last()
    assert "is 0x41: no page fault" in lab.message
    lab.free_button.click()
    twin.free(block)
    lab.last()
    assert life(lab) == twin.snapshot()
    assert lab.block_menu.options[0][0] == "none yet"
    checks.consistent(lab)


def test_every_step_both_ways(lab, checks):
    lab.malloc(200_000)
    lab.free()
    shown = []
    lab.first()
    for _ in range(len(lab.timeline)):
        shown.append((lab.message, lab.alt, lab.image.value))
        checks.consistent(lab)
        lab.forward()
    for index in reversed(range(len(lab.timeline))):
        lab.go(index)
        assert lab.alt == shown[index][1]
        assert lab.image.value == shown[index][2]
    lab.go(0)
    assert [state.snapshot for state in lab.timeline.entries[:1]] == [LifeLab().timeline.current.snapshot]


@pytest.mark.parametrize("step", [1, 20, 40])
def test_acting_in_the_middle_goes_on_from_that_call(lab, checks, step):
    lab.malloc(100_000)
    lab.malloc(200_000)
    lab.go(step)
    lab.write("the first byte")
    lab.last()
    twin = Life()
    twin.write(twin.malloc(100_000), b"A")
    assert life(lab) == twin.snapshot()
    lab.model.life.machine.check()


def test_undo_and_redo(lab):
    lab.malloc("64 KiB")
    lab.last()
    after = life(lab)
    lab.undo()
    assert life(lab).blocks == ()
    lab.redo()
    assert life(lab) == after


def test_what_cannot_be_is_told(lab, checks):
    checks.refuses(lab, "no block: call malloc first", do=lab.free_button.click)
    checks.refuses(lab, "no block: call malloc first", do=lab.write_button.click)
    for size, words in ((-1, "0 to 1,000,000 bytes, not -1"), (1_000_001, "not 1000001"), (1.5, "not 1.5"),
                        ("much", "much"), ("", "''"), ("-5", "-5")):  # fmt: skip
        checks.refuses(lab, words, do=lambda size=size: lab.malloc(size))
    lab.malloc(0)
    block = lab.block_menu.value
    checks.refuses(lab, "0 bytes has no byte", do=lambda: lab.write("the first byte"))
    checks.refuses(lab, "no place 'here'", do=lambda: lab.write("here"))
    checks.refuses(lab, f"no block begins at 0x{block + 1:x}", do=lambda: lab.free(block + 1))
    checks.refuses(lab, "not an address", do=lambda: lab.free("it"))
    for _ in range(MOST_BLOCKS - 1):
        lab.malloc(5000)
    checks.refuses(lab, "free one first", do=lambda: lab.malloc(1))
    last = f"0x{life(lab).blocks[-1].addr:x}"
    checks.refuses(lab, "all pages of the block", do=lambda: lab.write("the next untouched page", last))


def test_random_calls_leave_a_sound_machine(checks):
    rng, lab = random.Random(11), LifeLab()
    for _ in range(25):
        rng.choice([
            lambda: lab.malloc(rng.choice((40, 5000, 100_000, 200_000, 400_000))),
            lambda: lab.write(rng.choice(PLACES)), lab.free, lab.undo, lab.redo,
            lambda: lab.go(rng.randrange(len(lab.timeline))),
        ])()  # fmt: skip
        lab.model.life.machine.check()
        checks.consistent(lab)
    state = lab.timeline.settled.snapshot
    assert LifeBench(state).snapshot() == state
