"""Pictures of chapter 11 by name: moments of an allocation, and of a machine under pressure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from mmkit.model.lifestate import LifeState
from mmkit.model.machine.life import Life
from mmkit.model.machine.pressure import Pressure
from mmkit.model.reclaimstate import ReclaimState
from mmkit.view.life import LifePicture
from mmkit.view.picture import Picture
from mmkit.view.reclaim import ReclaimPicture
from mmkit.view.reclaimwords import said_of
from mmkit.view.words import in_words


@cache
def lives() -> list[tuple[LifeState, str]]:
    """Each moment of two blocks, one in the heap and one with its own pages, written, read and freed."""
    life = Life()
    found = [(life.snapshot(), "")]
    life.told = lambda event: found.append((life.snapshot(), in_words(event)))
    blocks = [life.malloc(size) for size in (100_000, 200_000, 30_000)]
    life.write(blocks[1] + 50_000, b"x")
    life.read(blocks[0] + 20_000)
    for block in blocks:
        life.free(block)
    return [*found, (life.snapshot(), "All three are freed.")]


@cache
def moments() -> list[tuple[ReclaimState, str]]:
    """Each moment of two processes and a file that want too much, with a locked page, until one is killed."""
    pressure = Pressure()
    found = [(pressure.snapshot(), "")]
    pressure.told = lambda event: found.append((state := pressure.snapshot(), said_of(state, in_words(event))))
    pressure.write_new(100, 30)
    pressure.use_file(100, 0, 40)
    pressure.use_file(100, 30, 10, "store")
    pressure.lock(100, 0, 3)
    pressure.write_new(101, 120)
    pressure.use(100, 3, 20)
    pressure.start("a_long_name")
    pressure.start()
    pressure.write_new(101, 80)
    return found


def life_at(part: float) -> Picture:
    """The moment after so much of all."""
    at = round(part * (len(lives()) - 1))
    state, told = lives()[at]
    return LifePicture(state, lives()[max(at - 1, 0)][0], told)


def pressure_at(part: float) -> Picture:
    """The moment after so much of all."""
    at = round(part * (len(moments()) - 1))
    state, told = moments()[at]
    return ReclaimPicture(state, moments()[max(at - 1, 0)][0], told)


PARTS = (0, 0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1)
MACHINE_PICTURES: dict[str, Callable[[], Picture]] = {
    **{f"life, {part:.0%}": lambda part=part: life_at(part) for part in PARTS},
    **{f"pressure, {part:.0%}": lambda part=part: pressure_at(part) for part in PARTS},
}
