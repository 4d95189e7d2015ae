"""What the kernel's log says when it finds a slab object damaged or freed wrongly.

Models: mm/slub.c (Linux 6.18), __slab_bug(), print_slab_info(), print_tracking(), print_trailer(), object_err(),
slab_err(), slab_fix(), print_hex_dump(). Leaves out: where in the code the last users were, and how they got there;
that a kernel which has reported calls itself tainted from then on; addresses of struct slab (a pfn stands instead).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkit.model.pageflags import flags_layout
from mmkit.model.slabstate import SlabFlags

if TYPE_CHECKING:
    from mmkit.model.slabdebug import Damage, SlabDebug
    from mmkit.model.slablists import Slab

_DOUBLE, _SINGLE = "=" * 77, "-" * 77


class SlabReport:
    """Writes reports about one cache; ``debug`` knows its bytes."""

    def __init__(self, debug: SlabDebug) -> None:
        self.debug, self.cache = debug, debug.cache

    def damaged(self, address: int, slab: Slab, damage: Damage, with_object: bool) -> list[str]:
        """Return the lines about one damaged part: what was found, the object if it is wanted, and the repair."""
        bounds = f"0x{damage.first:x}-0x{damage.last:x}"
        offset = f"@offset={damage.first - slab.address}"
        found = f"{bounds} {offset}. First byte 0x{damage.found:x} instead of 0x{damage.wanted:x}"
        if self.debug.kernel == "6.1":  # until 6.14
            lines = [*self.head(f"{damage.what} overwritten"), found, *self.trailer(address, slab)]
        else:
            lines = [f"[{damage.what} overwritten] {found}"]
            lines += self.object("Object corrupt", address, slab) if with_object else []
        return [*lines, self.fix(f"Restoring {damage.what} {bounds}=0x{damage.wanted:x}")]

    def tail(self, slab: Slab, damage: Damage, start: int, nr_bytes: int) -> list[str]:
        """slab_pad_check(): the bytes behind the last object of a slab."""
        bounds = f"0x{damage.first:x}-0x{damage.last:x}"
        head = self.head(f"Padding overwritten. {bounds} @offset={damage.first - slab.address}")
        lines = [*head, *self.dump("Padding", start, nr_bytes), self.slab_line(slab)]
        return [*lines, self.fix(f"Restoring slab padding {bounds}=0x{damage.wanted:x}")]

    def object(self, what: str, address: int, slab: Slab) -> list[str]:
        """object_err()."""
        return [*self.head(what), *self.trailer(address, slab)]

    def slab(self, what: str, slab: Slab) -> list[str]:
        """slab_err()."""
        return [*self.head(what), self.slab_line(slab)]

    def head(self, what: str) -> list[str]:
        """The lines that begin a report."""
        return [_DOUBLE, f"BUG {self.cache.name} (Not tainted): {what}", _SINGLE, ""]

    def fix(self, what: str) -> str:
        """The line that says what the kernel does about it."""
        return f"FIX {self.cache.name}: {what}"

    def slab_line(self, slab: Slab) -> str:
        """print_slab_info()."""
        used = slab.objects - len(slab.freelist)
        head = slab.freelist[-1] if slab.freelist else 0
        word, fields = slab.page.flags_word, flags_layout(self.cache.memory.arch).fields
        numbers = [f"{each.name.replace('_', '')}={_number(each.name, each.get(word))}" for each in fields]
        names = [*slab.page.flags.names, *numbers]
        flags = f"0x{word:x}({'|'.join(names)})"
        return f"Slab at pfn 0x{slab.pfn:x} objects={slab.objects} used={used} fp=0x{head:x} flags={flags}"

    def trailer(self, address: int, slab: Slab) -> list[str]:
        """print_trailer(): who had the object, where it lies, and its bytes."""
        debug, geometry = self.debug, self.cache.geometry
        end, left = address + geometry.object_size, geometry.red_left_pad
        pointer = debug.free_pointer(address)
        lines = [*self.users(address), self.slab_line(slab)]
        lines += [f"Object 0x{address:x} @offset={address - slab.address} fp=0x{pointer:x}", ""]
        if geometry.flags & SlabFlags.RED_ZONE:
            lines += self.dump("Redzone", address - left, left)
        elif address > slab.address + 16:
            lines += self.dump("Bytes b4", address - 16, 16)
        lines += self.dump("Object", address, min(geometry.object_size, geometry.page_size))
        if geometry.flags & SlabFlags.RED_ZONE:
            lines += self.dump("Redzone", end, geometry.inuse - geometry.object_size)
        start = address + debug.metadata_end
        return [*lines, *self.dump("Padding", start, address - left + geometry.size - start)]

    def users(self, address: int) -> list[str]:
        """print_tracking(): the last who took the object, and who gave it back, if notes are kept."""
        notes = ((what, self.debug.track(address, what)) for what in ("Allocated", "Freed"))
        return [
            f"{what} in {note.caller} age={self.debug.calls - note.when} cpu={note.cpu} pid={note.pid}"
            for what, note in notes
            if note is not None
        ]

    def dump(self, title: str, start: int, nr_bytes: int) -> list[str]:
        """print_hex_dump(): sixteen bytes a line, in hexadecimal and as characters."""
        lines = []
        for at in range(start, start + nr_bytes, 16):
            row = self.debug.read(at, min(16, start + nr_bytes - at))
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            lines.append(f"{title:<8} {at:016x}: {row.hex(' '):<47}  {text}")
        return lines


def _number(name: str, value: int) -> str:
    return f"0x{value:x}" if name == "last_cpupid" else str(value)
