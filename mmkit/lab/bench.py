"""The bench of the zone lab: a machine, the blocks that were taken from it, and the way of the last request."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from mmkit.arch import get_arch
from mmkit.model.memory import PhysicalMemory
from mmkit.model.snapshot import MemorySnapshot, ZoneTry, ZoneWalk
from mmkit.record import Record, field

MOST_BLOCKS = 20_000
"""How many blocks one request of the lab takes at most: about a second."""
Held = tuple[tuple[int, int], ...]


class Plan(Record):
    """What a machine is built from."""

    arch: str = "X86_64"
    ram: str = "4GiB"
    nodes: int = 1
    movable: str = "0"

    def __str__(self) -> str:
        nodes = f", {self.nodes} nodes" if self.nodes > 1 else ""
        movable = f", {self.movable} of it movable" if self.movable not in ("0", "") else ""
        return f"{get_arch(self.arch).title}, {self.ram} of RAM{nodes}{movable}"


class BenchState(Record):
    """A machine, frozen, with what was taken from it."""

    plan: Plan
    memory: MemorySnapshot
    walk: ZoneWalk | None
    """Way of the last request; None before the first."""
    held: Held = field(repr=False)
    """(first pfn, order) of the blocks taken, in that order."""

    @property
    def waiting(self) -> dict[str, int]:
        """Free pages that wait on per-CPU lists, by zone; zones without any are left out."""
        pages: dict[str, int] = {}
        for zone in self.memory.zones:
            name = f"{zone.name} of node {zone.node}" if self.plan.nodes > 1 else zone.name
            pages[name] = sum(lists.count for lists in zone.pcp)
        return {name: count for name, count in pages.items() if count}


class Outcome(Record):
    """What came of a request for a number of blocks."""

    wanted: int | None
    """None: as many as the first zone gives."""
    got: int
    walk: ZoneWalk


def last_try(walk: ZoneWalk) -> ZoneTry | None:
    """Return the look at the zone that served, None if none did."""
    return walk.tries[-1] if walk.tries and walk.tries[-1].ok else None


class Bench:
    """A machine that requests are tried on; it is built when it is first needed.

    Raises ValueError for a plan of a machine that cannot be.
    """

    def __init__(self, state: BenchState | None = None, plan: Plan | None = None) -> None:
        self._restored = state
        self.plan = state.plan if state else plan or Plan()
        self.walk = state.walk if state else None
        self.held = list(state.held) if state else []

    @cached_property
    def memory(self) -> PhysicalMemory:
        """The machine's memory."""
        plan = self.plan
        if self._restored and any(zone.buddy for zone in self._restored.memory.zones):
            return PhysicalMemory.from_snapshot(self._restored.memory)
        return PhysicalMemory(plan.arch, plan.ram, plan.nodes, plan.movable or 0)

    def snapshot(self) -> BenchState:
        """Return the state; single frames are told only once a block was taken: until then the plan says all."""
        touched = bool(self.held or self.walk)
        return BenchState(self.plan, self.memory.snapshot(frames=touched), self.walk, tuple(self.held))

    def build(self, plan: Plan) -> None:
        """Put another machine in place of this one. Raises ValueError, and keeps this one, if it cannot be."""
        new = Bench(plan=plan)
        new.memory  # noqa: B018  built now, so that what cannot be is refused before anything changes
        vars(self).update(vars(new))

    @property
    def words(self) -> str:
        """What the machine is, and what is to be said about RAM that it cannot use."""
        note = self.memory.note
        return f"{self.plan}{'; ' * bool(note)}{note}"

    def look(self, gfp: int, order: int) -> ZoneWalk:
        """Return the way that a request would take; nothing is taken."""
        self.walk = self.memory.walk(gfp, order)
        return self.walk

    def alloc(self, gfp: int, order: int, wanted: int | None = 1) -> Outcome:
        """Take ``wanted`` blocks or, with None, as many as come from the zone that serves the first; stop when refused.

        Raises ValueError for a number of blocks below 1 or above MOST_BLOCKS, and as ``alloc_pages`` does.
        """
        if wanted is not None and not 1 <= wanted <= MOST_BLOCKS:
            raise ValueError(f"take 1 to {MOST_BLOCKS:,} blocks at a time, not {wanted!r}")
        got, zone = 0, None
        for walk in self._requests(gfp, order, wanted):
            self.walk = walk
            tried = last_try(walk)
            if tried is None or walk.pfn is None:
                break
            got += 1
            self.held.append((walk.pfn, order))
            here = (tried.node, tried.zone)
            if wanted is None and zone not in (None, here):
                break
            zone = here
        assert self.walk is not None
        return Outcome(wanted, got, self.walk)

    def _requests(self, gfp: int, order: int, wanted: int | None) -> Iterator[ZoneWalk]:
        for _ in range(MOST_BLOCKS if wanted is None else wanted):
            yield self.memory.alloc_walk(gfp, order)

    def free(self, blocks: int | None = None) -> int:
        """Give back the blocks taken last, or with None all of them; returns how many.

        Raises ValueError if there are none, or fewer.
        """
        if not self.held:
            raise ValueError("nothing is taken from this machine: there is nothing to give back")
        count = len(self.held) if blocks is None else blocks
        if not 1 <= count <= len(self.held):
            raise ValueError(f"{len(self.held):,} blocks are taken: give back 1 to that many, not {blocks!r}")
        for pfn, order in reversed(self.held[-count:]):
            self.memory.free_pages(pfn, order)
        del self.held[-count:]
        return count

    def drain(self) -> int:
        """Give what waits on the per-CPU lists back to the zones; returns how many pages. ValueError if none wait."""
        waiting = sum(zone.pcp_pages for zone in self.memory.zones)
        if not waiting:
            raise ValueError("no page waits on a per-CPU list: there is nothing to drain")
        self.memory.drain_pages()
        return waiting
