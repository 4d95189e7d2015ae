"""Debugging of a slab cache: known bytes around and in objects, the last users, and reports of what was damaged.

Models: mm/slub.c (Linux 6.18), init_object(), check_object(), check_bytes_and_report(), alloc_consistency_checks(),
free_consistency_checks(), set_track(), print_trailer(), object_err(), slab_fix(), validate_slab(); the bytes of
include/linux/poison.h. Leaves out: stack traces of the last users, of which a model has none; their notes and free
pointers as bytes; the part of a kmalloc
object beyond what was asked for; obfuscated free pointers.

Red zones are bytes before and behind each object: 0xbb while it is free, 0xcc while it is in use. Poison fills a free
object with 0x6b, and 0xa5 as its last byte. Whoever writes where he must not leaves a byte that is none of these; it is
found when the object is next handed out or given back, not when it happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mmkit.model.slabgeometry import track_bytes
from mmkit.model.slabstate import ObjectSnapshot, ObjectState, SlabFlags

if TYPE_CHECKING:
    from mmkit.model.slab import KmemCache, Slab

RED_INACTIVE, RED_ACTIVE = 0xBB, 0xCC
POISON_INUSE, POISON_FREE, POISON_END = 0x5A, 0x6B, 0xA5
_RULE = "=" * 77


class Track(NamedTuple):
    """Who took or gave back an object last: which CPU, and the how manieth call it was."""

    cpu: int
    when: int


class Damage(NamedTuple):
    """Bytes that are not what they must be: [first, last] by address, in the part of that name."""

    what: str
    first: int
    last: int
    found: int
    wanted: int


class SlabDebug:
    """The bytes of a cache's slabs, and what must stand where."""

    def __init__(self, cache: KmemCache, word: int, kmalloc: bool) -> None:
        self.cache, self.word, self.kmalloc = cache, word, kmalloc
        self.reports: list[str] = []
        self.lost: set[int] = set()
        """Objects that were given up, since somebody wrote into them while they were free."""
        self.tracks: dict[tuple[int, str], Track] = {}
        self._memory: dict[int, bytearray] = {}
        self._calls = 0
        flags = cache.flags
        self._checks = bool(flags & SlabFlags.CONSISTENCY_CHECKS)
        self._red, self._poison = bool(flags & SlabFlags.RED_ZONE), bool(flags & SlabFlags.POISON)
        self._poison = self._poison and cache.ctor is None and not flags & SlabFlags.TYPESAFE_BY_RCU

    # -- bytes --------------------------------------------------------------------------------------------------------

    def new_slab(self, slab: Slab) -> None:
        """Fill the bytes of a new slab: all of it padding, then each object as free."""
        self._memory[slab.pfn] = bytearray([POISON_INUSE]) * (self.cache.geometry.page_size << slab.order)
        for index in range(slab.objects):
            self._fill(slab, slab.address + self.cache.geometry.start_of(index), RED_INACTIVE)

    def discard(self, slab: Slab) -> None:
        """Forget the bytes of a slab that is given back."""
        del self._memory[slab.pfn]
        end = slab.address + (self.cache.geometry.page_size << slab.order)
        for key in [key for key in self.tracks if slab.address <= key[0] < end]:
            del self.tracks[key]

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

    # -- what must be -------------------------------------------------------------------------------------------------

    def _parts(self, address: int, active: bool) -> list[tuple[str, int, bytes]]:
        """(name, first address, what must stand there) of the parts of an object that nobody may write to."""
        geometry, red = self.cache.geometry, RED_ACTIVE if active else RED_INACTIVE
        end, parts = address + geometry.object_size, []
        tail = geometry.inuse - geometry.object_size
        if self._red:
            pad = geometry.red_left_pad
            parts += [("Left Redzone", address - pad, bytes([red]) * pad), ("Right Redzone", end, bytes([red]) * tail)]
        elif self._poison and tail:
            parts.append(("Alignment padding", end, bytes([POISON_INUSE]) * tail))
        if self._poison and not active:
            parts += [
                ("Poison", address, bytes([POISON_FREE]) * (geometry.object_size - 1)),
                ("End Poison", end - 1, bytes([POISON_END])),
            ]
        return parts

    def damage(self, address: int, active: bool) -> Damage | None:
        """Return the first part of an object that is not as it must be."""
        for what, start, wanted in self._parts(address, active):
            found = self.read(start, len(wanted))
            wrong = [i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b]
            if wrong:
                return Damage(what, start + wrong[0], start + wrong[-1], found[wrong[0]], wanted[wrong[0]])
        return None

    def is_damaged(self, address: int) -> bool:
        """Whether anything about an object is not as it must be, found yet or not."""
        return self.damage(address, address in self.cache.live) is not None

    def _restore(self, damage: Damage) -> None:
        self.write(damage.first, bytes([damage.wanted]) * (damage.last - damage.first + 1))

    # -- when objects come and go -------------------------------------------------------------------------------------

    def allocated(self, address: int, slab: Slab, cpu: int) -> bool:
        """Prepare an object that is handed out; False, with a report, if it was damaged while it was free."""
        if self._checks and (found := self.damage(address, active=False)):
            self._report_damage(address, slab, found, "Marking all objects used")
            return False
        self._note(address, "Allocated", cpu)
        self._fill(slab, address, RED_ACTIVE)
        return True

    def freed(self, address: int, slab: Slab, cpu: int) -> bool:
        """Prepare an object that is given back; False, with a report, if something beside it was damaged."""
        if self._checks and (found := self.damage(address, active=True)):
            self._report_damage(address, slab, found, f"Object at {address:#x} not freed")
            return False
        self._note(address, "Freed", cpu)
        self._fill(slab, address, RED_INACTIVE)
        return True

    def bad_free(self, address: int, cpu: int) -> None:
        """Report a free of what is no allocated object; nothing else changes."""
        slab = self.cache.slab_of(address) if isinstance(address, int) else None
        if slab is None:
            text = (
                f"Attempt to free object({address:#x}) outside of slab" if isinstance(address, int) else repr(address)
            )
            self._keep(0 if not isinstance(address, int) else address, text, [*self._head(text), self._fix(address)])
            return
        is_object = (address - slab.address - self.cache.geometry.red_left_pad) % self.cache.size == 0
        text = "Object already free" if is_object else f"Invalid object pointer {address:#x}"
        body = self._trailer(address, slab) if is_object else [self._slab_line(slab)]
        self._keep(address, text, [*self._head(text), *body, self._fix(address)])

    def validate(self) -> list[str]:
        """Look at every object; return the reports of what is damaged, and restore it."""
        before = len(self.reports)
        for slab in list(self.cache.slabs.values()):
            for index in range(slab.objects):
                address = slab.address + self.cache.geometry.start_of(index)
                while address not in self.lost and (found := self.damage(address, address in self.cache.live)):
                    self._report_damage(address, slab, found)
        return self.reports[before:]

    def _note(self, address: int, what: str, cpu: int) -> None:
        self._calls += 1
        if self.cache.flags & SlabFlags.STORE_USER:
            self.tracks[address, what] = Track(cpu, self._calls)

    # -- reports ------------------------------------------------------------------------------------------------------

    def _report_damage(self, address: int, slab: Slab, damage: Damage, *fixes: str) -> None:
        text, name = f"{damage.what} overwritten", self.cache.name
        bounds = f"0x{damage.first:x}-0x{damage.last:x}"
        offset = damage.first - slab.address
        found = f"{bounds} @offset={offset}. First byte 0x{damage.found:x} instead of 0x{damage.wanted:x}"
        restored = f"FIX {name}: Restoring {damage.what} {bounds}=0x{damage.wanted:x}"
        lines = [*self._head(text), found, *self._trailer(address, slab), restored]
        self._restore(damage)
        self._keep(address, text, [*lines, *(f"FIX {name}: {fix}" for fix in fixes)])

    def _keep(self, address: int, what: str, lines: list[str]) -> None:
        self.reports.append("\n".join(lines))
        self.cache.tell_report(address, what, self.reports[-1])

    def _head(self, text: str) -> list[str]:
        return [_RULE, f"BUG {self.cache.name} (Not tainted): {text}", "-" * 77, ""]

    def _fix(self, address: object) -> str:
        where = f"{address:#x}" if isinstance(address, int) else repr(address)
        return f"FIX {self.cache.name}: Object at {where} not freed"

    def _slab_line(self, slab: Slab) -> str:
        used = slab.objects - len(slab.freelist)
        head = f"{slab.freelist[-1]:#x}" if slab.freelist else "0x0"
        return f"Slab at pfn 0x{slab.pfn:x} objects={slab.objects} used={used} fp={head} flags=slab"

    def _trailer(self, address: int, slab: Slab) -> list[str]:
        """print_trailer(): who had the object, where it lies, and its bytes."""
        geometry = self.cache.geometry
        lines = [
            f"{what} age={self._calls - track.when} cpu={track.cpu}"
            for what in ("Allocated", "Freed")
            if (track := self.tracks.get((address, what)))
        ]
        lines += [self._slab_line(slab), f"Object 0x{address:x} @offset={address - slab.address}", ""]
        end = address + geometry.object_size
        if self._red:
            lines += self._dump("Redzone ", address - geometry.red_left_pad, geometry.red_left_pad)
        lines += self._dump("Object  ", address, geometry.object_size)
        if self._red:
            lines += self._dump("Redzone ", end, geometry.inuse - geometry.object_size)
        metadata = self._metadata_end() - geometry.inuse
        rest = geometry.size - geometry.red_left_pad - geometry.inuse - metadata
        return [*lines, *self._dump("Padding ", address + geometry.inuse + metadata, rest)]

    def _metadata_end(self) -> int:
        geometry = self.cache.geometry
        end = geometry.inuse if geometry.offset < geometry.inuse else geometry.offset + self.word
        tracked = self.cache.flags & SlabFlags.STORE_USER
        return end + (2 * track_bytes(self.word) + (self.word if self.kmalloc else 0) if tracked else 0)

    def _dump(self, title: str, start: int, nr_bytes: int) -> list[str]:
        """print_hex_dump(): sixteen bytes a line, in hexadecimal and as characters."""
        lines = []
        for at in range(start, start + nr_bytes, 16):
            row = self.read(at, min(16, start + nr_bytes - at))
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            lines.append(f"{title} {at:016x}: {row.hex(' '):<47}  {text}")
        return lines

    def object_snapshot(self, address: int) -> ObjectSnapshot:
        """Return one object with all its bytes, from its left red zone to the end of its padding.

        Raises ValueError for an address that is none of an object.
        """
        slab = self.cache.slab_of(address)
        geometry = self.cache.geometry
        index, inside = divmod(address - slab.address - geometry.red_left_pad, geometry.size) if slab else (0, 1)
        if slab is None or inside:
            raise ValueError(f"{address:#x} is no object of cache {self.cache.name}")
        start = address - geometry.red_left_pad
        active = address in self.cache.live
        damaged = [
            first + i - start
            for _, first, wanted in self._parts(address, active)
            for i, (a, b) in enumerate(zip(self.read(first, len(wanted)), wanted, strict=True))
            if a != b
        ]
        state = ObjectState.ALLOCATED if active else ObjectState.FREE
        return ObjectSnapshot(
            source=self.cache.source,
            geometry=geometry,
            address=address,
            index=index,
            state=ObjectState.DAMAGED if damaged or address in self.lost else state,
            active=active,
            content=self.read(start, geometry.size),
            damaged=tuple(damaged),
        )
