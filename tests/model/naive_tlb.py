"""A TLB as one would write it down first: lists that are searched from end to end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Slot:
    """One way: what it holds, and when it was used last."""

    key: tuple[int, int, int | str] | None = None
    used: int = 0


@dataclass
class Pair:
    """A node of a pseudo-LRU tree: which side was used last, and the sides."""

    low: Pair | int
    high: Pair | int
    last: str = "high"


def tree_of(ways: list[int]) -> Pair | int:
    """A tree over these ways."""
    if len(ways) == 1:
        return ways[0]
    half = len(ways) // 2
    return Pair(tree_of(ways[:half]), tree_of(ways[half:]))


def use(tree: Pair | int, way: int) -> bool:
    """Note the use of a way; says whether it is in this tree."""
    if not isinstance(tree, Pair):
        return tree == way
    for side in ("low", "high"):
        if use(getattr(tree, side), way):
            tree.last = side
            return True
    return False


def loser(tree: Pair | int) -> int:
    """The way that goes next."""
    while isinstance(tree, Pair):
        tree = tree.low if tree.last == "high" else tree.high
    return tree


@dataclass
class NaiveTlb:
    """Slots by set and way; keys are (page, shift, address space or "all")."""

    sets: int
    ways: int
    shifts: tuple[int, ...] = (12,)
    policy: str = "lru"
    clock: int = 0
    slots: list[list[Slot]] = field(default_factory=list)
    trees: list[Pair | int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = [[Slot() for _ in range(self.ways)] for _ in range(self.sets)]
        self.trees = [tree_of(list(range(self.ways))) for _ in range(self.sets)]

    def touch(self, number: int, way: int) -> None:
        """A way was used."""
        self.clock += 1
        self.slots[number][way].used = self.clock
        use(self.trees[number], way)

    def lookup(self, addr: int, asid: int) -> tuple[int, int] | None:
        """Set and way of the translation."""
        for shift in self.shifts:
            for space in (asid, "all"):
                number = (addr >> shift) % self.sets
                for way, slot in enumerate(self.slots[number]):
                    if slot.key == (addr >> shift, shift, space):
                        self.touch(number, way)
                        return number, way
        return None

    def insert(self, addr: int, asid: int, shift: int, glob: bool) -> tuple[int, int]:
        """Set and way that the translation goes to."""
        key, number = (addr >> shift, shift, "all" if glob else asid), (addr >> shift) % self.sets
        slots = self.slots[number]
        way = next((way for way, slot in enumerate(slots) if slot.key == key), None)
        if way is None:
            way = next((way for way, slot in enumerate(slots) if slot.key is None), None)
        if way is None and self.policy == "lru":
            way = min(range(self.ways), key=lambda each: slots[each].used)
        if way is None:
            way = loser(self.trees[number])
        slots[way].key = key
        self.touch(number, way)
        return number, way

    def drop(self, addr: int | None = None, asid: int | None = None, glob: bool = True) -> int:
        """Forget what covers an address, belongs to a space, is global: those that are given."""
        gone = 0
        for slot in (slot for slots in self.slots for slot in slots):
            if slot.key is None:
                continue
            page, shift, space = slot.key
            mine = glob if space == "all" else asid in (None, space)
            if mine and (addr is None or addr >> shift == page):
                slot.key = None
                gone += 1
        return gone

    def access(self, addr: int, asid: int = 0, shift: int = 12) -> bool:
        """Whether it hits; it will next time."""
        if self.lookup(addr, asid) is not None:
            return True
        self.insert(addr, asid, shift, False)
        return False


def plain_loop(pages: Iterable[int], sets: int, ways: int) -> list[bool]:
    """A good plain loop: a list for each set, the most recent first."""
    held: list[list[int]] = [[] for _ in range(sets)]
    hits = []
    for page in pages:
        entries = held[page % sets]
        hits.append(page in entries)
        if page in entries:
            entries.remove(page)
        elif len(entries) == ways:
            entries.pop()
        entries.insert(0, page)
    return hits
