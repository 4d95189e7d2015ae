"""Debugging of a slab cache: known bytes around and in objects, the last users, and what is found damaged.

Models: mm/slub.c (Linux 6.18), setup_slab_debug(), init_object(), set_track(), check_object(), check_pad_bytes(),
slab_pad_check(), check_slab(), alloc_debug_processing(), free_debug_processing(), free_consistency_checks(),
cache_from_obj(), validate_slab(); the bytes of include/linux/poison.h. Leaves out: stack traces; the part of a kmalloc
object beyond what was asked for; coded free pointers (CONFIG_SLAB_FREELIST_HARDENED). The model keeps its lists
besides the free pointers: one that is overwritten with the address of another object is believed by the kernel, not
by the model.

Red zones are bytes before and behind each object: 0xbb while it is free, 0xcc while it is in use. Poison fills a free
object with 0x6b, and 0xa5 as its last byte. Whoever writes where he must not leaves a byte that is none of these; it is
found when the object is next handed out or given back, not when it happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from mmkit.model.slabreport import SlabReport
from mmkit.model.slabstate import (
    POISON_END,
    POISON_FREE,
    POISON_INUSE,
    RED_ACTIVE,
    RED_INACTIVE,
    ObjectSnapshot,
    ObjectState,
    SlabFlags,
    track_bytes,
)

if TYPE_CHECKING:
    from mmkit.model.slab import KmemCache
    from mmkit.model.slablists import Slab

_DISABLED = "Slab disabled since SLUB metadata consistency check failed"


class Track(NamedTuple):
    """Who took or gave back an object last, on which CPU, and the how manieth call it was."""

    caller: str
    cpu: int
    pid: int
    when: int


class Damage(NamedTuple):
    """Bytes that are not what they must be: [first, last] by address, in the part of that name."""

    what: str
    first: int
    last: int
    found: int
    wanted: int


class SlabDebug:
    """The bytes of a cache's slabs, and what must stand where. ``caller`` and ``pid`` go into the notes it keeps."""

    def __init__(self, cache: KmemCache, word: int, kmalloc: bool, kernel: str = "6.18") -> None:
        self.cache, self.word, self.kernel = cache, word, kernel
        self.caller, self.pid = "unknown", 0
        self.calls = 0
        """Objects taken or given back so far: the time of the notes."""
        self.reports: list[str] = []
        self.lost: set[int] = set()
        """Objects that were given up, since somebody wrote into them while they were free."""
        self.disabled: set[int] = set()
        """Slabs, by pfn, of which nothing is believed any more."""
        self._callers: dict[tuple[int, str], str] = {}
        self._memory: dict[int, bytearray] = {}
        self._pointer, self._note = Struct("<Q" if word == 8 else "<I"), Struct("<QIIIxxxxQ" if word == 8 else "<IIIII")
        self._say = SlabReport(self)
        flags, geometry = cache.flags, cache.geometry
        self.checks = bool(flags & SlabFlags.CONSISTENCY_CHECKS)
        self._red, self._padded = bool(flags & SlabFlags.RED_ZONE), bool(flags & SlabFlags.POISON)
        self._poison = self._padded and cache.ctor is None and not flags & SlabFlags.TYPESAFE_BY_RCU
        self._notes_at = geometry.inuse if geometry.offset < geometry.inuse else geometry.offset + word
        noted = 2 * track_bytes(word) + (word if kmalloc else 0) if flags & SlabFlags.STORE_USER else 0
        self.metadata_end = self._notes_at + noted
        """From an object's start to the end of its free pointer and notes."""

    # -- bytes --------------------------------------------------------------------------------------------------------

    def new_slab(self, slab: Slab) -> None:
        """Fill the bytes of a new slab: padding, then each object as free, linked to the next."""
        filler = POISON_INUSE if self._padded else 0
        self._memory[slab.pfn] = bytearray([filler]) * (self.cache.geometry.page_size << slab.order)
        following = 0
        for address in slab.freelist:  # the last one first
            self._fill(slab, address, RED_INACTIVE)
            self._link(address, following)
            if self.cache.flags & SlabFlags.STORE_USER:
                self.write(address + self._notes_at, bytes(2 * track_bytes(self.word)))
            following = address

    def discard(self, slab: Slab) -> None:
        """Forget the bytes of a slab that is given back."""
        del self._memory[slab.pfn]
        for index in range(slab.objects):
            for what in ("Allocated", "Freed"):
                self._callers.pop((slab.address + self.cache.geometry.start_of(index), what), None)

    def read(self, address: int, nr_bytes: int) -> bytes:
        """Return bytes of a slab. Raises ValueError for bytes that are not all in one."""
        slab, start = self._place(address, nr_bytes)
        return bytes(self._memory[slab.pfn][start : start + nr_bytes])

    def write(self, address: int, data: bytes) -> None:
        """Write bytes into a slab, whatever they destroy. Raises ValueError for bytes that are not all in one."""
        slab, start = self._place(address, len(data))
        self._memory[slab.pfn][start : start + len(data)] = data

    def _place(self, address: int, nr_bytes: int) -> tuple[Slab, int]:
        slab = self.cache.slab_of(address)
        if slab is None or nr_bytes < 0 or address + nr_bytes > slab.address + len(self._memory[slab.pfn]):
            raise ValueError(f"{nr_bytes} bytes from {address:#x} on are not in a slab of cache {self.cache.name}")
        return slab, address - slab.address

    def _fill(self, slab: Slab, address: int, red: int) -> None:
        """init_object()."""
        geometry, memory, at = self.cache.geometry, self._memory[slab.pfn], address - slab.address
        if self._red:
            memory[at - geometry.red_left_pad : at] = bytes([red]) * geometry.red_left_pad
            end = at + geometry.object_size
            memory[end : at + geometry.inuse] = bytes([red]) * (geometry.inuse - geometry.object_size)
        if self._poison:
            size = geometry.object_size
            memory[at : at + size] = bytes([POISON_FREE]) * (size - 1) + bytes([POISON_END])

    def free_pointer(self, address: int) -> int:
        """Return what stands where a free object has the address of the next one, 0 in the last."""
        found: tuple[int] = self._pointer.unpack(self.read(address + self.cache.geometry.offset, self.word))
        return found[0]

    def _link(self, address: int, following: int) -> None:
        self.write(address + self.cache.geometry.offset, self._pointer.pack(following))

    # -- notes --------------------------------------------------------------------------------------------------------

    def _write_note(self, address: int, what: str, cpu: int) -> None:
        """set_track(): the first word would be an address in the kernel's code."""
        self.calls += 1
        if self.cache.flags & SlabFlags.STORE_USER:
            self._callers[address, what] = self.caller
            self.write(self._note_of(address, what), self._note.pack(1, 0, cpu, self.pid, self.calls))

    def _note_of(self, address: int, what: str) -> int:
        return address + self._notes_at + (track_bytes(self.word) if what == "Freed" else 0)

    def track(self, address: int, what: str) -> Track | None:
        """Return the note of who last "Allocated" or "Freed" an object; None if there is none."""
        if not self.cache.flags & SlabFlags.STORE_USER:
            return None
        code, _, cpu, pid, when = self._note.unpack(self.read(self._note_of(address, what), self._note.size))
        return Track(self._callers.get((address, what), f"0x{code:x}"), cpu, pid, when) if code else None

    # -- what must be -------------------------------------------------------------------------------------------------

    def _parts(self, address: int, active: bool) -> Iterator[tuple[str, int, bytes]]:
        """Give (name, first address, what must stand there) of the parts of an object that nobody may write to."""
        geometry, red = self.cache.geometry, RED_ACTIVE if active else RED_INACTIVE
        end, pad = address + geometry.object_size, geometry.red_left_pad
        tail = geometry.inuse - geometry.object_size
        if self._red:
            yield "Left Redzone", address - pad, bytes([red]) * pad
            yield "Right Redzone", end, bytes([red]) * tail
        elif self._padded:
            yield "Alignment padding", end, bytes([POISON_INUSE]) * tail
        if self._poison and not active:
            yield "Poison", address, bytes([POISON_FREE]) * (geometry.object_size - 1)
            yield "End Poison", end - 1, bytes([POISON_END])
        if self._padded:
            rest = geometry.size - pad - self.metadata_end
            yield "Object padding", address + self.metadata_end, bytes([POISON_INUSE]) * rest

    def damages(self, address: int, active: bool) -> list[Damage]:
        """Return every part of an object that is not as it must be, bytes from the first wrong one to the last."""
        found = (self._damage(*part) for part in self._parts(address, active))
        return [damage for damage in found if damage is not None]

    def _damage(self, what: str, start: int, wanted: bytes) -> Damage | None:
        found = self.read(start, len(wanted)) if wanted else wanted
        if found == wanted:
            return None
        wrong = [i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b]
        return Damage(what, start + wrong[0], start + wrong[-1], found[wrong[0]], wanted[wrong[0]])

    def _lost_way(self, slab: Slab, address: int, active: bool) -> bool:
        """Whether the free pointer of an object leads nowhere; in one that is in use it may be the user's bytes."""
        geometry = self.cache.geometry
        if active and geometry.offset < geometry.inuse:
            return False
        pointer = self.free_pointer(address)
        return pointer != 0 and not self._is_object(slab, pointer)

    def _is_object(self, slab: Slab, address: int) -> bool:
        """check_valid_pointer()."""
        index, inside = divmod(address - slab.address - self.cache.geometry.red_left_pad, self.cache.size)
        return not inside and 0 <= index < slab.objects

    def is_damaged(self, address: int) -> bool:
        """Whether anything about an object is not as it must be, found yet or not."""
        slab, active = self.cache.slab_of(address), address in self.cache.live
        return bool(self.damages(address, active)) or (slab is not None and self._lost_way(slab, address, active))

    # -- when objects come and go -------------------------------------------------------------------------------------

    def allocated(self, address: int, slab: Slab, cpu: int) -> bool:
        """Prepare an object that is handed out; False, with a report, if it was damaged while it was free."""
        if self.checks:
            self._check_tail(slab)
            if lines := self._check(address, slab, active=False):
                self.disabled.add(slab.pfn)
                self._keep(address, [*lines, self._say.fix("Marking all objects used")])
                return False
        self._write_note(address, "Allocated", cpu)
        self._fill(slab, address, RED_ACTIVE)
        return True

    def freed(self, address: int, slab: Slab, cpu: int) -> bool:
        """Prepare an object that is given back; False, with a report, if something beside it was damaged."""
        if self.checks and not self._may_be_freed(address, slab):
            return False
        self._write_note(address, "Freed", cpu)
        self._fill(slab, address, RED_INACTIVE)
        self._link(address, slab.freelist[-1] if slab.freelist else 0)
        return True

    def _may_be_freed(self, address: int, slab: Slab) -> bool:
        if slab.pfn in self.disabled:
            lines = self._say.slab(_DISABLED, slab)
        else:
            self._check_tail(slab)
            lines = self._check(address, slab, active=True)
        if lines:
            self._keep(address, [*lines, self._say.fix(f"Object at 0x{address:x} not freed")])
        return not lines

    def _check(self, address: int, slab: Slab, active: bool) -> list[str]:
        """check_object(): mend what is damaged, and return what is to be said of it."""
        lines: list[str] = []
        for damage in self.damages(address, active):
            with_object = not lines or damage.what == "Object padding"
            lines += self._say.damaged(address, slab, damage, with_object)
            self.write(damage.first, bytes([damage.wanted]) * (damage.last - damage.first + 1))
            if self.kernel == "6.1":  # which looks no further
                return lines
        if self._lost_way(slab, address, active):
            lines += self._say.object("Freepointer corrupt", address, slab)
            self._link(address, 0)
        return lines

    def _check_tail(self, slab: Slab) -> None:
        """slab_pad_check()."""
        size = len(self._memory[slab.pfn])
        rest = size % self.cache.size if self._padded else 0
        start = slab.address + size - rest
        if damage := self._damage("slab padding", start, bytes([POISON_INUSE]) * rest):
            self._keep(damage.first, self._say.tail(slab, damage, start, rest))
            self.write(start, bytes([POISON_INUSE]) * rest)

    def bad_free(self, address: int, cpu: int) -> None:
        """Report a free of what is no allocated object of this cache; one of another cache is freed there."""
        slab, name = self.cache.slab_of(address), self.cache.name
        if slab is None:
            owner = self.cache.owner_of(address)
            if owner is None:
                self._keep(address, ["virt_to_cache: Object is not a Slab page!"])
                return
            wrong = f"cache_from_obj: Wrong slab cache. {name} but object is from {owner.name}"
            self._keep(address, [wrong, *(owner.debug._say.users(address) if owner.debug else [])])
            owner.free(address, cpu)
            return
        if slab.pfn in self.disabled:
            lines = self._say.slab(_DISABLED, slab)
        elif not self._is_object(slab, address):
            lines = self._say.slab(f"Invalid object pointer 0x{address:x}", slab)
        else:
            lines = self._say.object("Object already free", address, slab)
        self._keep(address, [*lines, self._say.fix(f"Object at 0x{address:x} not freed")])

    def validate(self) -> list[str]:
        """validate_slab_cache(): look at every object of partial slabs and, with notes, of full ones; mend them.

        In each slab it stops at the first object that is damaged. Returns the new reports.
        """
        before = len(self.reports)
        full = [slab for slab in self.cache.slabs.values() if slab not in self.cache.partial]
        noted = self.cache.flags & SlabFlags.STORE_USER
        for slab in [*self.cache.partial, *(full if noted else [])]:
            self._validate_slab(slab)
        return self.reports[before:]

    def _validate_slab(self, slab: Slab) -> None:
        if slab.pfn in self.disabled:
            return
        self._check_tail(slab)
        for index in range(slab.objects):
            address = slab.address + self.cache.geometry.start_of(index)
            if lines := self._check(address, slab, address in self.cache.live):
                self._keep(address, lines)
                return

    def _keep(self, address: int, lines: list[str]) -> None:
        self.reports.append("\n".join(lines))
        self.cache.tell_report(address, what_of(lines), self.reports[-1])

    def object_snapshot(self, address: int) -> ObjectSnapshot:
        """Return one object with all its bytes, from its left red zone to the end of its padding.

        Raises ValueError for an address that is none of an object.
        """
        slab, geometry = self.cache.slab_of(address), self.cache.geometry
        if slab is None or not self._is_object(slab, address):
            raise ValueError(f"{address:#x} is no object of cache {self.cache.name}")
        start, active = address - geometry.red_left_pad, address in self.cache.live
        damaged = [
            first + i - start
            for _, first, wanted in self._parts(address, active)
            for i, (a, b) in enumerate(zip(self.read(first, len(wanted)) if wanted else b"", wanted, strict=True))
            if a != b
        ]
        if self._lost_way(slab, address, active):
            damaged += range(
                geometry.red_left_pad + geometry.offset, geometry.red_left_pad + geometry.offset + self.word
            )
        state = ObjectState.ALLOCATED if active else ObjectState.FREE
        return ObjectSnapshot(
            source=self.cache.source,
            geometry=geometry,
            address=address,
            index=(start - slab.address) // geometry.size,
            state=ObjectState.DAMAGED if damaged or address in self.lost else state,
            active=active,
            content=self.read(start, geometry.size),
            damaged=tuple(damaged),
        )


def what_of(lines: list[str]) -> str:
    """Return what a report is about in a few words.

    >>> what_of(["[Right Redzone overwritten] 0x20-0x21 @offset=32. First byte 0x41 instead of 0xcc", "=", "BUG ..."])
    'Right Redzone overwritten'
    >>> what_of(["=", "BUG dentry (Not tainted): Object already free"])
    'Object already free'
    """
    if lines[0].startswith("["):
        return lines[0][1 : lines[0].index("]")]
    return lines[1].split(": ", 1)[1] if len(lines) > 1 and lines[1].startswith("BUG ") else lines[0]
