"""Swap: slots of a device that hold what anonymous pages held, and the pages that are in memory as well.

Models: mm/swapfile.c, folio_alloc_swap(), swap_free(); mm/swap_state.c, the swap cache (Linux 6.18). Leaves out:
clusters, read-ahead, several devices; writing and reading take no time; shared memory is not swapped.
"""

from __future__ import annotations

from mmkit.errors import InvariantError
from mmkit.model.machine.frames import PAGE
from mmkit.model.page import Page

_SHIFT = 9
"""A swap entry: the slot above bit 9, so that neither "present" nor PROT_NONE's bit is set; 0 is no entry."""


class Swap:
    """A device of ``nr_slots`` pages, none at all by default."""

    def __init__(self, nr_slots: int = 0) -> None:
        self.nr_slots = nr_slots
        self._bytes: dict[int, bytes] = {}
        self._users: dict[int, int] = {}
        self.cache: dict[int, Page] = {}
        """Pages that are in memory again while other entries still lead to their slot."""
        self._next = 1
        self.read_in = 0
        """Pages that were read, ever."""

    @property
    def used(self) -> int:
        """Slots in use."""
        return len(self._users)

    @property
    def free(self) -> int:
        """Slots that are left."""
        return self.nr_slots - len(self._users)

    def write(self, content: bytes, users: int) -> int:
        """Keep a page for so many entries; returns the slot. Raises ValueError if none is free."""
        if not self.free:
            raise ValueError(f"all {self.nr_slots} slots of the swap device are in use")
        while self._next in self._users:
            self._next = self._next % self.nr_slots + 1
        slot = self._next
        self._next = self._next % self.nr_slots + 1
        self._users[slot] = users
        if content.rstrip(b"\0"):
            self._bytes[slot] = content
        return slot

    def read(self, slot: int) -> bytes:
        """Return what a slot holds."""
        self.read_in += 1
        return self._bytes.get(slot, bytes(PAGE))

    def users(self, slot: int) -> int:
        """Return how many entries lead to a slot."""
        return self._users[slot]

    def holds(self, slot: int) -> bool:
        """Say whether a slot is in use."""
        return slot in self._users

    def share(self, slot: int) -> None:
        """One more entry leads to a slot (fork())."""
        self._users[slot] += 1

    def put(self, slot: int) -> Page | None:
        """One entry less leads to a slot; with the last one it is free. Returns the page that the cache lets go."""
        self._users[slot] -= 1
        if self._users[slot]:
            return None
        del self._users[slot]
        self._bytes.pop(slot, None)
        return self.cache.pop(slot, None)

    def check(self, entries: dict[int, int]) -> None:
        """Raise InvariantError unless each slot has exactly the entries that are counted, by slot."""
        if self._users != entries:
            raise InvariantError(f"swap: slots have {self._users} users, entries lead to {entries}")
        if not set(self.cache) <= set(self._users) or len(self._users) > self.nr_slots:
            raise InvariantError("swap: the cache knows a slot that is free, or there are too many")


def entry_of(slot: int) -> int:
    """Return the entry of a page table that leads to a slot."""
    return slot << _SHIFT


def slot_of(entry: int) -> int:
    """Return the slot that an entry leads to; 0 for an entry that is empty or leads to a page."""
    return 0 if entry & 1 else entry >> _SHIFT
