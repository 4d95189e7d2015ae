"""The machine that this runs on: what its kernel shows of its memory, and why it does not show the rest.

Every file is read with as few read() calls as the kernel allows (one for a node of the text files), so that what stands
in a snapshot is from one moment, as far as the kernel itself makes it so.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmkit.errors import LiveError
from mmkit.model.fragstate import FragmentationIndex
from mmkit.model.slabstate import SlabInfo
from mmkit.model.snapshot import BuddyInfo, BuddySnapshot, FrameMap, MemorySnapshot, PageTypeInfo, Source
from mmkit.proc import buddyinfo as buddyinfo_format
from mmkit.proc import extfrag as extfrag_format
from mmkit.proc import iomem as iomem_format
from mmkit.proc import kpageflags as kpageflags_format
from mmkit.proc import pagetypeinfo as pagetypeinfo_format
from mmkit.proc import slabinfo as slabinfo_format
from mmkit.proc import slabtable
from mmkit.proc import zoneinfo as zoneinfo_format
from mmkit.proc.slabtable import SlabRow
from mmkit.proc.zoneinfo_layout import rules
from mmkit.record import Record

PROC = Path("/proc")
"""Where the kernel's files are; tests put another folder here."""
SLAB = Path("/sys/kernel/slab")
"""Where the kernel describes its slab caches."""
DEBUG = Path("/sys/kernel/debug")
"""Where debugfs is mounted, if it is."""
_DEBUG = "debugfs:"

_TITLES = {
    "buddyinfo": "free blocks of each order",
    "zoneinfo": "zones, watermarks, per-CPU lists",
    "pagetypeinfo": "free blocks by migrate type",
    "kpageflags": "what every page frame is used for",
    "kpagecount": "how often every page frame is mapped",
    "iomem": "where RAM lies",
    "slabinfo": "slab caches",
    "vmstat": "counters of the memory manager",
    "self/maps": "memory areas of this process",
    "self/pagemap": "page frames of this process",
}
_WORD_BYTES = 8
_CHUNK_BYTES = 1 << 20


class Offer(Record):
    """A file of the kernel, and whether it can be read here; ``why_not`` is empty if it can."""

    path: str
    title: str
    why_not: str = ""

    @property
    def readable(self) -> bool:
        """Whether it can be read here."""
        return not self.why_not

    def __str__(self) -> str:
        return f"{self.path} ({self.title}): {self.why_not or 'yes'}"


def is_available() -> bool:
    """Return whether there is a Linux kernel here that shows its zones and free blocks to this user."""
    return not (_why_not("zoneinfo") or _why_not("buddyinfo"))


def offers() -> tuple[Offer, ...]:
    """Return what this machine shows of its memory, file by file, with the reason where it does not."""
    return tuple(Offer(f"/proc/{name}", title, _why_not(name)) for name, title in _TITLES.items())


def _why_not(name: str) -> str:
    try:
        with _opened(name) as file:
            content = os.read(file, _WORD_BYTES)
            # To others than root the kernel shows this file with zeros in place of addresses.
            return _not_root(name) if name == "iomem" and content == b"0" * _WORD_BYTES and os.geteuid() else ""
    except OSError as error:
        return str(error)


@contextmanager
def _opened(name: str) -> Iterator[int]:
    path = DEBUG / name.removeprefix(_DEBUG) if name.startswith(_DEBUG) else PROC / name
    if not sys.platform.startswith("linux"):
        raise LiveError(f"{_shown(name)} is a file of Linux; this machine runs {platform.system() or sys.platform}")
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise LiveError(f"{_shown(name)} does not exist here: {_missing(name)}") from None
    except PermissionError:
        raise LiveError(_not_root(name)) from None
    try:
        yield file
    except OSError as error:
        raise LiveError(f"{_shown(name)} cannot be read: {error.strerror}") from error
    finally:
        os.close(file)


def _not_root(name: str) -> str:
    return f"{_shown(name)} is shown to root only"


def _shown(name: str) -> str:
    """The path as readers know it, also where tests have put another folder in its place."""
    return f"/sys/kernel/debug/{name.removeprefix(_DEBUG)}" if name.startswith(_DEBUG) else f"/proc/{name}"


def _missing(name: str) -> str:
    if name.startswith(_DEBUG):
        return "the kernel was built without it, or as root: mount -t debugfs none /sys/kernel/debug"
    return "the kernel was built without it, or hides it"


def read(name: str, start: int = 0, nr_bytes: int | None = None) -> bytes:
    """Return ``/proc/`` + ``name``, or ``nr_bytes`` of it from ``start``. Raises LiveError, in words, if it cannot."""
    content = bytearray()
    with _opened(name) as file:
        if start:
            os.lseek(file, start, os.SEEK_SET)
        # Binary files of the kernel refuse reads that are not whole words, so sizes stay multiples of 8.
        while chunk := os.read(file, _CHUNK_BYTES if nr_bytes is None else min(_CHUNK_BYTES, nr_bytes - len(content))):
            content += chunk
    return bytes(content)


def _text(name: str) -> str:
    return read(name).decode("ascii", errors="backslashreplace")


def source() -> Source:
    """Return the Source of what is read here."""
    return Source("live", platform.release())


def zoneinfo() -> MemorySnapshot:
    """Return the zones of this machine. Raises LiveError where they cannot be read."""
    return zoneinfo_format.parse(_text("zoneinfo"), source())


def buddyinfo() -> BuddyInfo:
    """Return the free blocks of each order. Raises LiveError where they cannot be read."""
    return buddyinfo_format.parse(_text("buddyinfo"), source())


def memory() -> MemorySnapshot:
    """Return the zones together with their free blocks of each order, read at once, one after the other."""
    counts = _text("buddyinfo")
    return buddyinfo_format.with_counts(zoneinfo(), buddyinfo_format.parse(counts, source()))


def pagetypeinfo() -> PageTypeInfo:
    """Return free blocks and pageblocks by migrate type. Raises LiveError for others than root."""
    return pagetypeinfo_format.parse(_text("pagetypeinfo"), source())


def extfrag_index() -> FragmentationIndex:
    """Return why requests of each order would fail. Raises LiveError for others than root, and without debugfs."""
    return extfrag_format.parse(_text(f"{_DEBUG}extfrag/extfrag_index"), "extfrag_index", source())


def unusable_index() -> FragmentationIndex:
    """Return how much of the free memory is useless to requests of each order. Raises LiveError as above."""
    return extfrag_format.parse(_text(f"{_DEBUG}extfrag/unusable_index"), "unusable_index", source())


def slabinfo() -> SlabInfo:
    """Return the slab caches of this machine. Raises LiveError for others than root."""
    return slabinfo_format.parse(_text("slabinfo"), source())


def slab_table() -> tuple[SlabRow, ...]:
    """Return what ``/sys/kernel/slab`` says of every slab cache. Raises LiveError where it does not."""
    if not SLAB.is_dir():
        raise LiveError("/sys/kernel/slab does not exist here: it is a folder of Linux")
    rows = map(_slab_row, sorted(SLAB.iterdir()))
    return tuple(row for row in rows if row is not None)


def _slab_row(folder: Path) -> SlabRow | None:
    """What stands in ``folder``; None if the cache has been destroyed meanwhile."""
    try:
        links_to = os.path.basename(os.readlink(folder)) if folder.is_symlink() else ""
        content = {file: (folder / file).read_text() for file in slabtable.FILES if (folder / file).exists()}
    except PermissionError:
        raise LiveError(f"/sys/kernel/slab/{folder.name} is shown to root only") from None
    except OSError:
        return None
    return slabtable.row_of(folder.name, links_to, content) if "object_size" in content else None


def kpageflags(start_pfn: int = 0, nr_pages: int | None = None) -> FrameMap:
    """Return what page frames are used for, all of them or some. Raises LiveError for others than root.

    Takes about half a second for 24 GiB; what goes on meanwhile is seen in part.
    """
    regions = iomem_format.parse(_text("iomem"))
    nr_bytes = None if nr_pages is None else nr_pages * _WORD_BYTES
    flags = read("kpageflags", start_pfn * _WORD_BYTES, nr_bytes)
    ram = iomem_format.ram_frames(regions, os.sysconf("SC_PAGE_SIZE"))
    return kpageflags_format.parse(flags, source(), start_pfn, ram)


def buddy(zone: str = "Normal", node: int = 0) -> BuddySnapshot:
    """Return the free blocks of a zone with their places, from the flags of its frames; root only.

    The kernel shows neither the order of its lists nor which migrate type each block has: lists are ascending, and all
    is Movable. Raises LiveError where flags cannot be read, ValueError for a zone that is not here.
    """
    found = zoneinfo_format.find_zone(zoneinfo(), zone, node)
    return kpageflags_format.to_buddy(
        kpageflags(found.start_pfn, found.spanned),
        found,
        max_order=len(buddyinfo().zones[0].counts) - 1,
        pageblock_order=pagetypeinfo().pageblock_order,
        kernel=rules(platform.release()),
    )
