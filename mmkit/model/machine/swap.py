"""Swap: slots of a device that hold what anonymous pages held, and the pages that are in memory as well.

Models: mm/swapfile.c, folio_alloc_swap(), swap_free(), vm_swap_full(); mm/swap_state.c, the swap cache; entries as in
arch/x86/include/asm/pgtable_64.h (Linux 6.18). Leaves out: clusters, read-ahead, several devices; writing and reading
take no time; shared memory is not swapped.
"""

from __future__ import annotations

from mmkit.errors import InvariantError
from mmkit.model.machine.frames import PAGE
from mmkit.model.page import Page
from mmkit.model.pageflags import PageFlags

_SHIFT, _EXCLUSIVE = 9, 1 << 3
"""A swap entry: the slot above bit 9, so that neither "present" nor PROT_NONE's bit is set; 0 is no entry.

Bit 3 says that no other entry leads to the slot.
"""


class Swap:
    """A device of ``nr_slots`` pages, none at all by default."""

    def __init__(self, nr_slots: int = 0) -> None:
        self.nr_slots = nr_slots
        self._bytes: dict[int, bytes] = {}
        self._users: dict[int, int] = {}
        self.cache: dict[int, Page] = {}
        """Pages that are in memory while a slot has them as well (the swap cache)."""
        self._slots: dict[int, int] = {}
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

    @property
    def full(self) -> bool:
        """Whether more than half is in use: slots whose pages are in memory are given up then (vm_swap_full())."""
        return 2 * self.free < self.nr_slots

    # -- slots --------------------------------------------------------------------------------------------------------

    def alloc(self) -> int:
        """Return a slot that nobody uses so far. Raises ValueError if none is free."""
        if not self.free:
            raise ValueError(f"all {self.nr_slots} slots of the swap device are in use")
        while self._next in self._users:
            self._next = self._next % self.nr_slots + 1
        slot = self._next
        self._next = self._next % self.nr_slots + 1
        self._users[slot] = 0
        return slot

    def write(self, slot: int, content: bytes) -> None:
        """Let a slot hold a page."""
        self._bytes.pop(slot, None)
        if content.rstrip(b"\0"):
            self._bytes[slot] = content

    def read(self, slot: int) -> bytes:
        """Return what a slot holds."""
        self.read_in += 1
        return self._bytes.get(slot, bytes(PAGE))

    def users(self, slot: int) -> int:
        """Return how many entries lead to a slot; 0 for one that is free, or that only the cache has."""
        return self._users.get(slot, 0)

    def share(self, slot: int) -> None:
        """One more entry leads to a slot."""
        self._users[slot] += 1

    def put(self, slot: int) -> None:
        """One entry less leads to a slot; with the last one it is free, unless the cache has it (swap_free())."""
        self._users[slot] -= 1
        self._free_if_unused(slot)

    def _free_if_unused(self, slot: int) -> None:
        if not self._users[slot] and slot not in self.cache:
            del self._users[slot]
            self._bytes.pop(slot, None)

    # -- the cache ----------------------------------------------------------------------------------------------------

    def slot_of(self, page: Page) -> int | None:
        """Return the slot that has a page which is in memory; None if none has."""
        return self._slots.get(page.pfn)

    def cache_page(self, slot: int, page: Page) -> None:
        """Know a page as what a slot has; the cache holds a reference (add_to_swap_cache())."""
        page.get()
        page.set_flags(PageFlags.swapcache)
        self.cache[slot], self._slots[page.pfn] = page, slot

    def uncache(self, page: Page) -> int:
        """Know it no more; returns its slot, which is free if no entry leads to it. The reference is the caller's."""
        slot = self._slots.pop(page.pfn)
        del self.cache[slot]
        page.clear_flags(PageFlags.swapcache)
        self._free_if_unused(slot)
        return slot

    def check(self, entries: dict[int, int]) -> None:
        """Raise InvariantError unless each slot has exactly the entries that are counted, by slot."""
        if {slot: users for slot, users in self._users.items() if users} != entries:
            raise InvariantError(f"swap: slots have {self._users} users, entries lead to {entries}")
        if not set(self.cache) <= set(self._users) or len(self._users) > self.nr_slots:
            raise InvariantError("swap: the cache knows a slot that is free, or there are too many")
        if idle := [slot for slot, users in self._users.items() if not users and slot not in self.cache]:
            raise InvariantError(f"swap: slot {idle[0]} is in use, and nobody has it")
        if {slot: page.pfn for slot, page in self.cache.items()} != {slot: pfn for pfn, slot in self._slots.items()}:
            raise InvariantError("swap: the cache and its index do not agree")


def entry_of(slot: int, exclusive: bool) -> int:
    """Return the entry of a page table that leads to a slot; ``exclusive``: no other entry does."""
    return slot << _SHIFT | (_EXCLUSIVE if exclusive else 0)


def is_exclusive(entry: int) -> bool:
    """Say whether an entry is known to be the only one that leads to its slot (pte_swp_exclusive())."""
    return bool(entry & _EXCLUSIVE)


def slot_of(entry: int) -> int:
    """Return the slot that an entry leads to; 0 for an entry that is empty or leads to a page."""
    return 0 if entry & 1 else entry >> _SHIFT
