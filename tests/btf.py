"""Reads enums and struct layouts out of /sys/kernel/btf/vmlinux, where a kernel describes its own types.

``python tests/btf.py`` prints what ``mmkit/data/host-6.18/btf.txt`` holds.
"""

from __future__ import annotations

import platform
import struct
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")
ENUMS = ("pageflags", "pagetype", "zone_type")
STRUCTS = ("page",)

# Bytes that follow the header of a type, by its kind: fixed, and for each of its members.
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}
_PER_MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_STRUCT, _UNION, _ENUM = 4, 5, 6


class Btf:
    """The types of a kernel; ``data`` is its BTF, as described in Documentation/bpf/btf.rst."""

    def __init__(self, data: bytes) -> None:
        header, types_at, types_len, strings_at, _ = struct.unpack_from("<IIIII", data, 4)
        self.strings = data[header + strings_at :]
        self.types: list[tuple[int, str, list[tuple[int, ...]]]] = [(0, "void", [])]
        at = header + types_at
        end = at + types_len
        while at < end:
            name, info, _ = struct.unpack_from("<III", data, at)
            kind, nr_members = info >> 24 & 31, info & 0xFFFF
            at += 12 + _FIXED.get(kind, 0)
            step = _PER_MEMBER.get(kind, 0)
            layout = {8: "<Ii", 12: "<III"}.get(step, "")
            members = [struct.unpack_from(layout, data, at + step * i) for i in range(nr_members if step else 0)]
            self.types.append((kind, self.text(name), members))
            at += step * nr_members

    def text(self, at: int) -> str:
        """The string that starts at ``at``."""
        return self.strings[at : self.strings.index(b"\0", at)].decode()

    def enum(self, name: str) -> dict[str, int]:
        """Names and values of an enum, in the order of the source."""
        members = next(members for kind, found, members in self.types if (kind, found) == (_ENUM, name))
        return {self.text(member): value for member, value in members}

    def offsets(self, name: str) -> dict[str, int]:
        """Byte offset of every member of a struct, those of nameless structs and unions in it included."""
        members = next(members for kind, found, members in self.types if (kind, found) == (_STRUCT, name))
        return self._offsets(members, 0)

    def _offsets(self, members: list[tuple[int, ...]], base: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, type_id, bit in members:
            kind, _, inner = self.types[type_id]
            if name:
                found.setdefault(self.text(name), base + bit // 8)
            elif kind in (_STRUCT, _UNION):
                found = {**self._offsets(inner, base + bit // 8), **found}
        return found


def describe(btf: Btf) -> str:
    """One line for each value and member: what it belongs to, its name, its value or byte offset."""
    lines = [f"enum {name}\t{member}\t{value}" for name in ENUMS for member, value in btf.enum(name).items()]
    lines += [f"struct {name}\t{member}\t{at}" for name in STRUCTS for member, at in btf.offsets(name).items()]
    return "\n".join(lines) + "\n"


def parse(text: str) -> dict[str, dict[str, int]]:
    """Read a description back: {"enum pageflags": {"PG_locked": 0, ...}, ...}."""
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        where, name, value = line.split("\t")
        found.setdefault(where, {})[name] = int(value)
    return found


if __name__ == "__main__":
    print(f"# {platform.system()} {platform.release()} {platform.machine()}")
    print(describe(Btf(VMLINUX.read_bytes())), end="")
