"""The files of ``/proc`` that a machine of the model would show, in the kernel's formats.

Models: fs/proc/meminfo.c, task_mmu.c, array.c (Linux 6.18), as far as the model has what they tell. Leaves out: lines
about what the model has not (huge pages, NUMA, per-CPU memory).
"""

from __future__ import annotations

from mmkit.errors import LiveError
from mmkit.model.machine import Machine, Process
from mmkit.model.machine.lru import LISTS
from mmkit.model.machine.oom import oom_score
from mmkit.model.machine.space import MachineMm
from mmkit.model.machine.usage import usage_of
from mmkit.model.slabstate import SlabInfo, SlabInfoLine
from mmkit.model.snapshot import MODEL
from mmkit.model.vma.area import Vma
from mmkit.model.vma.resident import ZERO
from mmkit.model.vmaflags import flag_letters
from mmkit.proc import buddyinfo, maps, pagemap, slabinfo, smaps, status, zoneinfo

_PROCESS = ("maps", "smaps", "status", "oom_score", "oom_score_adj")
_NONE = ("KSM", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb")


class ProcFs:
    """``/proc`` of ``machine``: :meth:`read` returns the text of a file by its path there.

    >>> proc = ProcFs(Machine("X86_64", "64MiB"))
    >>> proc.read("meminfo").splitlines()[0]
    'MemTotal:          63344 kB'
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def read(self, path: str) -> str:
        """Return the text of "meminfo", "buddyinfo", "zoneinfo", "slabinfo", "vmstat", "PID/maps", "PID/smaps", ...

        Raises LiveError for a path that is not there.
        """
        pid, _, name = path.rpartition("/")
        if not pid and name in ("meminfo", "buddyinfo", "zoneinfo", "slabinfo", "vmstat"):
            return str(getattr(self, f"_{name}")())
        if pid.isdigit() and int(pid) in self.machine.processes and name in _PROCESS:
            return str(getattr(self, f"_{name}")(self.machine.processes[int(pid)]))
        raise LiveError(f"/proc/{path} does not exist on this machine")

    def pagemap(self, pid: int, addr: int, pages: int) -> bytes:
        """Return the words of ``/proc/PID/pagemap`` for some pages from an address on, as root reads them."""
        mm = self.machine.processes[pid].mm
        words = [_pagemap_word(mm, (addr >> 12) + page) for page in range(pages)]
        return b"".join(word.to_bytes(8, "little") for word in words)

    # -- the whole machine --------------------------------------------------------------------------------------------

    def _buddyinfo(self) -> str:
        return buddyinfo.format(self.machine.memory.snapshot())

    def _zoneinfo(self) -> str:
        return zoneinfo.format(self.machine.memory.snapshot())

    def _slabinfo(self) -> str:
        lines = []
        for cache in reversed(self.machine.objects.caches.values()):
            slabs = len(cache.snapshot().slabs)
            active = len(self.machine.objects.in_use[cache.name])
            lines.append(
                SlabInfoLine(
                    cache.name, active, slabs * cache.objs_per_slab, cache.size, cache.objs_per_slab, 1 << cache.order,
                    active_slabs=slabs, num_slabs=slabs,
                )
            )  # fmt: skip
        return slabinfo.format(SlabInfo(MODEL, tuple(lines)))

    def _pages(self) -> dict[str, int]:
        """Count pages by what they are used for."""
        machine = self.machine
        frames = {space.pages.pfn(page): kind for space in machine.spaces for page, kind in space.pages.items()
                  if kind != ZERO}  # fmt: skip
        cached = machine.page_cache.items()
        slab = sum(len(cache.snapshot().slabs) << cache.order for cache in machine.objects.caches.values())
        return {
            "total": sum(zone.managed_pages for zone in machine.memory.zones),
            "free": sum(zone.free_pages for zone in machine.memory.zones),
            "per_cpu": sum(zone.pcp_pages for zone in machine.memory.zones),
            "file": len(cached),
            "shmem": sum(bool(page.flags & page.flags.swapbacked) for _, _, page in cached),
            "anon": sum(kind == "a" for kind in frames.values()),
            "mapped": sum(kind != "a" for kind in frames.values()),
            "dirty": sum(bool(page.flags & page.flags.dirty) for _, _, page in cached),
            "slab": slab,
            "page_tables": sum(space.table.nr_tables for space in machine.spaces),
        }

    def _meminfo(self) -> str:
        pages = self._pages()
        rows = {
            "MemTotal": pages["total"], "MemFree": pages["free"], "Buffers": 0, "Cached": pages["file"],
            "SwapCached": 0, "Dirty": pages["dirty"], "AnonPages": pages["anon"], "Mapped": pages["mapped"],
            "Shmem": pages["shmem"], "Slab": pages["slab"], "PageTables": pages["page_tables"],
        }  # fmt: skip
        lru, swap = self.machine.lru, self.machine.swap
        for kind in ("anon", "file"):
            rows |= {f"{name}({kind})": lru.size(f"{name.lower()}_{kind}") for name in ("Active", "Inactive")}
        # Nothing but mlock() makes pages unevictable here.
        rows |= dict.fromkeys(("Unevictable", "Mlocked"), lru.size("unevictable"))
        rows |= {"SwapTotal": swap.nr_slots, "SwapFree": swap.free}
        rows["SwapCached"] = len(swap.cache)
        return "".join(f"{name + ':':<16}{4 * count:>8} kB\n" for name, count in rows.items())

    def _vmstat(self) -> str:
        pages = self._pages()
        machine, found = self.machine, self.machine.workingset
        rows = {
            "nr_free_pages": pages["free"], "nr_anon_pages": pages["anon"], "nr_mapped": pages["mapped"],
            "nr_file_pages": pages["file"], "nr_dirty": pages["dirty"], "nr_shmem": pages["shmem"],
            "nr_page_table_pages": pages["page_tables"], "pgfault": machine.min_flt + machine.maj_flt,
            "pgmajfault": machine.maj_flt, "pswpin": self.machine.swap.read_in,
            "pswpout": self.machine.reclaim.swapped_out, "oom_kill": self.machine.reclaim.kills,
        }  # fmt: skip
        rows |= {f"nr_{name}": self.machine.lru.size(name) for name in LISTS}
        rows["nr_mlock"] = rows["nr_unevictable"]
        for kind in ("anon", "file"):
            rows[f"workingset_refault_{kind}"] = found.refaults[kind]
            rows[f"workingset_activate_{kind}"] = found.activated[kind]
        return "".join(f"{name} {value}\n" for name, value in rows.items())

    # -- one process --------------------------------------------------------------------------------------------------

    def _maps(self, process: Process) -> str:
        return process.mm.maps()

    def _smaps(self, process: Process) -> str:
        lines = maps.parse(process.mm.maps())
        areas = [_smaps_area(process.mm, vma, line) for vma, line in zip(process.mm.vmas, lines, strict=True)]
        return smaps.format(tuple(areas))

    def _status(self, process: Process) -> str:
        state = process.mm.snapshot()
        sizes = status.sizes_of(state.counters, state.layout)
        tables = process.mm.nr_pgtables
        rows = {"Name": f"\t{process.name}", "Pid": f"\t{process.pid}", "PPid": f"\t{process.parent}"}
        names = (
            "VmSize",
            "VmLck",
            "VmPin",
            "VmRSS",
            "RssAnon",
            "RssFile",
            "RssShmem",
            "VmData",
            "VmStk",
            "VmExe",
            "VmLib",
        )
        rows |= {name: f"\t{sizes[name]:>8} kB" for name in names} | {"VmPTE": f"\t{4 * tables:>8} kB"}
        rows["VmSwap"] = f"\t{4 * len(process.mm.pages.swapped):>8} kB"
        return status.format(status.Status(tuple(rows.items())))

    def _oom_score(self, process: Process) -> str:
        return f"{oom_score(process)}\n"

    def _oom_score_adj(self, process: Process) -> str:
        return f"{process.oom_score_adj}\n"


def _pagemap_word(mm: MachineMm, page: int) -> int:
    kind = mm.pages.kind(page)
    if page in mm.pages.swapped:
        return pagemap.SWAPPED | mm.pages.swapped[page] << 5
    if not kind:
        return 0
    struct = mm.pages.struct_page(page)
    shared = pagemap.FILE_OR_SHARED if kind != "a" else 0
    exclusive = pagemap.EXCLUSIVE if kind != ZERO and struct.mappings == 1 else 0
    return pagemap.PRESENT | shared | exclusive | struct.pfn


def _smaps_area(mm: MachineMm, vma: Vma, line: maps.Mapping) -> smaps.SmapsArea:
    use = usage_of(mm, vma)
    sizes = {
        "Size": 4 * vma.pages, "KernelPageSize": 4, "MMUPageSize": 4, "Rss": 4 * use.rss, "Pss": use.pss_bytes >> 10,
        "Pss_Dirty": use.pss_dirty_bytes >> 10, "Shared_Clean": 4 * use.shared_clean,
        "Shared_Dirty": 4 * use.shared_dirty, "Private_Clean": 4 * use.private_clean,
        "Private_Dirty": 4 * use.private_dirty, "Referenced": 4 * use.referenced, "Anonymous": 4 * use.anonymous,
        "KSM": 0, "LazyFree": 4 * use.lazy_free,
    }  # fmt: skip
    sizes |= dict.fromkeys(_NONE[1:], 0) | {"Swap": 4 * use.swap, "SwapPss": use.swap_pss_bytes >> 10}
    locked = use.pss_bytes >> 10 if "lo" in flag_letters(vma.vm_flags).split() else 0
    rows = (*sizes.items(), ("Locked", locked))
    return smaps.SmapsArea(line, rows, (("THPeligible", 0),), flag_letters(vma.vm_flags).strip())
