"""One recording of a real kernel: its files as text, and as the snapshots that models and views understand."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cache, cached_property
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mmkit.data.lines import folder_of, names_of_recordings, release_of, source_of
from mmkit.errors import FormatError
from mmkit.model.slabstate import SlabInfo
from mmkit.model.snapshot import BuddyInfo, BuddySnapshot, FrameMap, MemorySnapshot, PageTypeInfo, PcpSnapshot, Source

if TYPE_CHECKING:
    from mmkit.data.events import Row
    from mmkit.model.tlbstate import TranslationTiming
    from mmkit.model.vmastate import MmState
    from mmkit.proc.livefaults import Touch
    from mmkit.proc.rawtables import RawTables
    from mmkit.proc.slabtable import SlabRow


class MemoryRange(NamedTuple):
    """Physical addresses from ``start_addr`` up to, not including, ``end_addr``, and what is there."""

    start_addr: int
    end_addr: int
    kind: str


@cache
def recordings() -> tuple[str, ...]:
    """Return the names of the recordings that mmkit carries, sorted."""
    return tuple(names_of_recordings())


@cache
def recording(name: str) -> Recording:
    """Return the recording of that name. Raises ValueError, with all names, if there is none."""
    return Recording(name)


class Recording:
    """What one boot of a real kernel left behind; everything is read when it is first asked for."""

    def __init__(self, name: str) -> None:
        self._folder = folder_of(name)
        self.name = name

    def __repr__(self) -> str:
        return f"Recording({self.name!r}, kernel {self.kernel})"

    @cached_property
    def kernel(self) -> str:
        """Release of the kernel, such as "6.1.0-50-amd64"."""
        return release_of(self.name)

    @cached_property
    def source(self) -> Source:
        """Where what this recording holds comes from."""
        return Source("recording", self.kernel, self.name)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Names of its files, sorted, those in folders as "zones/0-as-booted.zoneinfo"."""
        return tuple(sorted(_walk(self._folder)))

    def data(self, file: str) -> bytes:
        """Return the content of a file, decompressed if its name ends in ".gz".

        Raises ValueError, with the names there are, for a file that this recording does not have.
        """
        if file not in self.files:
            raise ValueError(f"recording {self.name} has no file {file!r}: choose one of {', '.join(self.files)}")
        content = self._folder.joinpath(file).read_bytes()
        return gzip.decompress(content) if file.endswith(".gz") else content

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes whose address space was recorded."""
        return tuple(file.split(".smaps")[0] for file in self.files if file.endswith((".smaps", ".smaps.txt")))

    def process(self, name: str) -> MmState:
        """Return the address space of a process. Raises ValueError, with the names there are, for another."""
        if name not in self.processes:
            raise ValueError(f"no process {name!r} was recorded in {self.name}: choose one of {self.processes}")
        from mmkit.proc.addrspace import address_space

        more = ".txt" if f"{name}.smaps" not in self.files else ""
        texts = {kind: self.text(f"{name}.{kind}{more}") for kind in ("smaps", "status")}
        source = Source("recording", self.kernel, f"{name} in {self.name}")
        return address_space("", smaps_text=texts["smaps"], status_text=texts["status"], source=source)

    @cached_property
    def page_tables(self) -> RawTables:
        """The page tables of the process "vmas", raw, as they stood in memory.

        Raises ValueError for a recording without them.
        """
        from mmkit.proc import rawtables

        listing, meta = self.text("pt.user.tsv.gz"), self.text("pt.meta.txt")
        return rawtables.parse(listing, meta, self._source("page tables"))

    @cached_property
    def table_growth(self) -> dict[int, int]:
        """By address, how many page tables a touch there cost. Raises ValueError for a recording without that."""
        from mmkit.proc import livetables

        return livetables.parse_growth(self.text("vmpte"))

    @cached_property
    def faults(self) -> tuple[tuple[Touch, int], ...]:
        """Touches, and how many page faults each took. Raises ValueError for a recording without that."""
        from mmkit.proc import livefaults

        return livefaults.parse_faults(self.text("faults"))

    @cached_property
    def translation(self) -> TranslationTiming:
        """What translation cost on the CPU of the recording. Raises ValueError for one where it was not measured."""
        from mmkit.proc import reach

        return reach.parse(self.text("translation"), self.source)

    def text(self, file: str) -> str:
        """Return the content of a text file; arguments and errors as of ``data``."""
        return self.data(file).decode("utf-8")

    @cached_property
    def buddyinfo(self) -> BuddyInfo:
        """Free blocks of each order."""
        return self.read_buddyinfo("buddyinfo")

    @cached_property
    def zoneinfo(self) -> MemorySnapshot:
        """Zones, watermarks, per-CPU lists."""
        return self.read_zoneinfo("zoneinfo")

    @cached_property
    def pagetypeinfo(self) -> PageTypeInfo:
        """Free blocks and pageblocks by migrate type."""
        return self.read_pagetypeinfo("pagetypeinfo")

    @cached_property
    def memory(self) -> MemorySnapshot:
        """The zones with their free blocks of each order."""
        from mmkit.proc.buddyinfo import with_counts

        return with_counts(self.zoneinfo, self.buddyinfo)

    def read_buddyinfo(self, file: str) -> BuddyInfo:
        """Return another buddyinfo of the recording: "buddyinfo.after", "snap3.buddyinfo", ..."""
        from mmkit.proc import buddyinfo

        return buddyinfo.parse(self.text(file), self._source(file))

    def read_zoneinfo(self, file: str) -> MemorySnapshot:
        """Return another zoneinfo of the recording: "snap3.zoneinfo", "zones/1-recomputed.zoneinfo", ..."""
        from mmkit.proc import zoneinfo

        return zoneinfo.parse(self.text(file), self._source(file))

    def read_pagetypeinfo(self, file: str) -> PageTypeInfo:
        """Return another pagetypeinfo of the recording: "pagetypeinfo.after", "snap3.pagetypeinfo", ..."""
        from mmkit.proc import pagetypeinfo

        return pagetypeinfo.parse(self.text(file), self._source(file))

    @cached_property
    def slabinfo(self) -> SlabInfo:
        """Slab caches: how many objects each has, in how many slabs."""
        return self.read_slabinfo("slabinfo")

    def read_slabinfo(self, file: str) -> SlabInfo:
        """Return another slabinfo of the recording: "snap3.slabinfo.gz", ..."""
        from mmkit.proc import slabinfo

        return slabinfo.parse(self.text(file), self._source(file))

    @cached_property
    def slab_table(self) -> tuple[SlabRow, ...]:
        """What ``/sys/kernel/slab`` says of every slab cache."""
        from mmkit.proc import slabtable

        return slabtable.parse(self.text("slab_table.tsv.gz"))

    @property
    def nr_cpus(self) -> int:
        """CPUs of the machine: those that have lists of free pages."""
        return 1 + max(pcp.cpu for zone in self.zoneinfo.zones for pcp in zone.pcp)

    def _source(self, file: str) -> Source:
        """The plain files need no remark; of the others the reader is told which one it is."""
        return source_of(self.name, file) if "." in file else self.source

    @cached_property
    def settings(self) -> dict[str, str]:
        """The ``vm.*`` settings of the kernel: {"min_free_kbytes": "67584", ...}."""
        return self.read_settings("sysctl_vm")

    def read_settings(self, file: str) -> dict[str, str]:
        """Return the settings in another file: "zones/1-recomputed.sysctl", ..."""
        return dict(line.split(": ", 1) for line in self.text(file).splitlines())

    @cached_property
    def memory_map(self) -> tuple[MemoryRange, ...]:
        """What is where in physical memory: the firmware's map, or, where there is none, the kernel's ``iomem``."""
        from mmkit.proc import iomem

        if "firmware_memmap" in self.files:
            return _parse_memmap(self.text("firmware_memmap"))
        regions = iomem.parse(self.text("iomem"))
        return tuple(MemoryRange(each.start, each.end, each.name) for each in regions if not each.depth)

    @property
    def ram(self) -> tuple[tuple[int, int], ...]:
        """Ranges [start, end) of physical addresses that are RAM."""
        return tuple((each.start_addr, each.end_addr) for each in self.memory_map if each.kind == "System RAM")

    def frame_map(self) -> FrameMap:
        """Return what every page frame was used for. Raises ValueError where that was not recorded."""
        from mmkit.proc import kpageflags

        if "kpageflags.bin.gz" not in self.files:
            raise ValueError(f"recording {self.name} has no frame map: {_that_have('kpageflags.bin.gz')}")
        return kpageflags.parse(self.data("kpageflags.bin.gz"), self.source)

    def buddy(self, zone: str = "Normal", node: int = 0) -> BuddySnapshot:
        """Return the free blocks of a zone with their places, from the flags of its frames.

        Flags tell neither the order of the lists nor migrate types: lists are ascending, and all is Movable. Where
        ``free_lists`` knows more, use that. Raises ValueError where flags were not recorded, or no such zone.
        """
        from mmkit.proc import kpageflags
        from mmkit.proc.zoneinfo import find_zone
        from mmkit.proc.zoneinfo_layout import rules

        return kpageflags.to_buddy(
            self.frame_map(),
            find_zone(self.zoneinfo, zone, node),
            max_order=len(self.buddyinfo.zones[0].counts) - 1,
            pageblock_order=self.pagetypeinfo.pageblock_order,
            kernel=rules(self.kernel),
        )

    @property
    def snapshots(self) -> tuple[int, ...]:
        """Numbers of the moments for which ``free_lists`` and ``pcp_lists`` are known."""
        names = (file.removeprefix("state").removesuffix(".lists.txt.gz") for file in self.files)
        return tuple(sorted(int(number) for number in names if number.isdigit()))

    def free_lists(self, k: int = 0) -> dict[str, BuddySnapshot]:
        """Return the buddy allocator of every zone at snapshot ``k``, all lists in the kernel's order.

        Raises ValueError where that was not recorded.
        """
        from mmkit.data.lists import read_lists

        return read_lists(self.name, self._known(k))

    def pcp_lists(self, k: int = 0) -> dict[str, PcpSnapshot]:
        """Return the per-CPU lists of every zone at snapshot ``k``; errors as of ``free_lists``."""
        from mmkit.data.lists import read_pcp_lists

        return read_pcp_lists(self.name, self._known(k))

    def events(self) -> Iterator[Row]:
        """Yield what the allocator did between the snapshots, in order. Raises ValueError where it was not recorded."""
        from mmkit.data.events import read_events

        if "trace.tsv.gz" not in self.files:
            raise ValueError(f"recording {self.name} has no trace: {_that_have('trace.tsv.gz')}")
        return read_events(self.name)

    def _known(self, k: int) -> int:
        if not self.snapshots:
            raise ValueError(f"recording {self.name} has no free lists: {_that_have('state0.lists.txt.gz')}")
        if k not in self.snapshots:
            raise ValueError(f"recording {self.name} has no snapshot {k!r}: choose 0 to {self.snapshots[-1]}")
        return k


def _that_have(file: str) -> str:
    names = [name for name in recordings() if file in recording(name).files]
    return f"choose one of {', '.join(names)}"


def _walk(folder: Traversable | Path, prefix: str = "") -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name


def _parse_memmap(text: str) -> tuple[MemoryRange, ...]:
    """Each line: number, first and last byte in hexadecimal, kind."""
    ranges = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            index, first, last, kind = line.split(" ", 3)
            ranges.append(MemoryRange(int(first, 16), int(last, 16) + 1, kind))
        except ValueError:
            index = ""
        if index != str(number - 1):
            raise FormatError("firmware_memmap", number, line, f"'{number - 1} 0xFIRST 0xLAST KIND'")
    return tuple(ranges)
