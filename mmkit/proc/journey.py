"""One virtual address followed to the memory chip, through three files of the kernel.

``maps`` says what the address belongs to, ``pagemap`` which frame holds its page, ``zoneinfo`` where that frame lies.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence

from mmkit.arch import X86_64, Arch
from mmkit.model.introduction import half_of
from mmkit.model.snapshot import Journey, MemorySnapshot
from mmkit.proc.maps import Mapping
from mmkit.proc.pagemap import PagemapEntry


def follow(
    addr: int,
    mappings: Sequence[Mapping],
    pages: MappingType[int, PagemapEntry],
    memory: MemorySnapshot,
    arch: Arch = X86_64,
) -> Journey:
    """Return the steps from virtual address ``addr`` to its byte in physical memory, as far as they go.

    A step that finds nothing leaves the later ones None: no mapping, or a page that is not in memory yet.
    Raises ValueError for an address that ``arch`` cannot express.
    """
    mapping = next((each for each in mappings if addr in each), None)
    offset = addr % memory.page_size
    entry = pages.get(addr - offset) if mapping else None
    pfn = entry.pfn if entry else None
    zone = next((z for z in memory.zones if pfn is not None and z.start_pfn <= pfn < z.end_pfn), None)
    return Journey(
        source=memory.source,
        addr=addr,
        page_size=memory.page_size,
        mapping=(mapping.start, mapping.end) if mapping else None,
        perms=mapping.perms if mapping else None,
        name=(mapping.name or "anonymous memory") if mapping else None,
        pfn=pfn,
        node=zone.node if zone else None,
        zone=zone.name if zone else None,
        memory=memory,
        owner=half_of(arch, addr).owner,
    )


class Explorer:
    """A recorded process whose addresses can be followed, one after the other.

    ``mappings`` and ``pages`` come from the process's ``maps`` and ``pagemap``, ``memory`` from ``zoneinfo``.
    """

    def __init__(
        self,
        mappings: Sequence[Mapping],
        pages: MappingType[int, PagemapEntry],
        memory: MemorySnapshot,
        addr: int = 0,
    ) -> None:
        self._mappings, self._pages, self._memory = mappings, pages, memory
        self.follow(addr)

    def follow(self, addr: int) -> Journey:
        """Follow ``addr`` from now on. Raises ValueError, and changes nothing, for an address that cannot be."""
        self._journey = follow(addr, self._mappings, self._pages, self._memory)
        return self._journey

    def snapshot(self) -> Journey:
        """Return how far the present address got."""
        return self._journey

    def at(self, journey: Journey) -> Explorer:
        """Return an explorer of the same process at the address of ``journey``."""
        return Explorer(self._mappings, self._pages, self._memory, journey.addr)
