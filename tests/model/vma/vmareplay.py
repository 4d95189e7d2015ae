"""Recorded system calls, with all areas of the process after each, replayed through the model."""

from __future__ import annotations

import re
from typing import NamedTuple

from mmkit.data import recording
from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma import File, MmStruct, OpenFile, Vma

ARCHES = {
    "amd64-4g": "X86_64", "amd64-movablecore": "X86_64", "amd64-numa2": "X86_64", "arm64-4g": "ARM64",
    "host-6.18": "X86_64", "i386-686-2g": "X86", "i386-pae-6g": "X86_PAE",
}  # fmt: skip
FILE, FILE_PAGES = "/vmafile", 256
SPECIAL = ("[vvar]", "[vvar_vclock]", "[vdso]")
MAP = {"SHARED": f.MAP_SHARED, "PRIVATE": f.MAP_PRIVATE, "ANON": f.MAP_ANONYMOUS, "FIXED": f.MAP_FIXED,
       "FIXED_NOREPLACE": f.MAP_FIXED_NOREPLACE}  # fmt: skip
REMAP = {"0": 0, "MAYMOVE": f.MREMAP_MAYMOVE, "FIXED": f.MREMAP_FIXED, "DONTUNMAP": f.MREMAP_DONTUNMAP}
ERRORS = {
    "": 0, "Operation not permitted": 1, "Bad file descriptor": 9, "Out of memory": 12, "Permission denied": 13,
    "Bad address": 14, "File exists": 17, "Invalid argument": 22, "Value too large": 75,
}  # fmt: skip
_CALL = re.compile(r"O (\d+) (\w+) (.*?) ?= (\S+) ?(.*)")
_AREA = re.compile(r" V (\S+) (\S+) (\S+) (\S+) \S+ (.*) rss=(\d+) anon=(\d+) ?(.*)")


class Area(NamedTuple):
    """One recorded area; sizes in pages, offset in bytes."""

    start: int
    end: int
    perms: str
    offset: int
    name: str
    rss: int
    anon: int
    letters: str


class Step(NamedTuple):
    """A call, what came of it, and all areas after it."""

    call: str
    arguments: dict[str, str]
    words: list[str]
    value: int
    errno: int
    areas: list[Area]


def read_steps(folder: str, number: int) -> list[Step]:
    """Return the steps of a recording; the first is the start."""
    steps: list[Step] = []
    for line in recording(folder).text(f"vmatrace.{number}.txt.gz").splitlines():
        if match := _CALL.fullmatch(line.rstrip()):
            pairs = [word.partition("=") for word in match[3].split()]
            arguments = {key: value for key, sign, value in pairs if sign}
            words = [key for key, sign, _ in pairs if not sign]
            steps.append(Step(match[2], arguments, words, int(match[4], 16), ERRORS[match[5]], []))
        elif match := _AREA.fullmatch(line.rstrip("\n")):
            name = "" if match[5] == "-" else match[5]
            if name != "[vsyscall]":
                numbers = int(match[1], 16), int(match[2], 16), match[3], int(match[4], 16)
                steps[-1].areas.append(Area(*numbers, name, int(match[6]) // 4, int(match[7]) // 4, match[8].strip()))
    return steps


class Replay:
    """The recorded process as a model."""

    def __init__(self, folder: str, start: list[Area]) -> None:
        kernel = recording(folder).kernel
        soft_dirty = "sd" in start[0].letters
        version = ".".join(kernel.split(".")[:2])
        self.mm = MmStruct(ARCHES[folder], kernel=version, soft_dirty=soft_dirty, thp=folder == "host-6.18")
        self.file = File(FILE, FILE_PAGES << 12, kind="ext4" if folder == "host-6.18" else "ramfs").open("rw")
        programs: dict[str, OpenFile] = {}
        for area in start:
            self._take_over(area, programs)
        heap = [area for area in start if area.name in ("[heap]", "")][-1]
        self.mm.start_brk = self.mm.end_brk = heap.end
        self.mm.start_stack = start[-1].end - 8

    def _take_over(self, area: Area, programs: dict[str, OpenFile]) -> None:
        file = None
        if area.name.startswith("/"):
            file = programs.setdefault(area.name, File(area.name, 1 << 30, kind="ramfs").open())
        special = area.name if area.name in SPECIAL else ""
        vma = Vma(area.start, area.end, f.parse_flag_letters(area.letters), area.offset >> 12, file, special)
        if not file and not special:
            vma.vm_pgoff = area.start >> 12
        vma.anon_vma = self.mm.ids.new_anon_vma() if area.anon else None
        self.mm.index.insert(vma)
        self.mm.account(vma.vm_flags, vma.pages)

    def do(self, step: Step) -> tuple[int, int]:
        """Make a call; returns its value, and errno."""
        try:
            return self._call(step), 0
        except MmError as error:
            return self.mm.word, error.errno or 0

    def _call(self, step: Step) -> int:
        sizes = {key: int(text, 16) for key, text in step.arguments.items() if key not in ("prot", "flags", "advice")}
        addr, length = sizes.get("addr", 0), sizes.get("len", 0)
        if step.call == "mmap":
            flags = sum(MAP[word] for word in step.arguments["flags"].split("|"))
            file = self.file if "file" in step.words else None
            return self.mm.mmap(addr, length, int(step.arguments["prot"]), flags, file, sizes.get("off", 0))
        if step.call == "mremap":
            flags = sum(REMAP[word] for word in step.words[0].split("|")) if step.words else 0
            return self.mm.mremap(sizes["old"], sizes["oldlen"], sizes["newlen"], flags, sizes.get("new", 0))
        if step.call == "brk":
            return self.mm.brk(sizes["new"])
        if step.call == "touch":
            return sum(self._touches(at, "write" in step.words) for at in range(addr, addr + length, 4096))
        how = [int(step.arguments[key]) for key in ("prot", "advice") if key in step.arguments]
        getattr(self.mm, step.call)(addr, length, *how)
        return 0

    def _touches(self, addr: int, write: bool) -> bool:
        try:
            self.mm.touch(addr, write)
        except FatalSignal:
            return False
        return True

    def areas(self) -> list[Area]:
        """Return all areas as the recording has them."""
        return [
            Area(v.start, v.end, v.perms, v.offset if v.file else 0, v.name, v.rss, v.anon_pages, v.letters)
            for v in self.mm.snapshot().vmas
        ]


def comparable(area: Area) -> Area:
    """Return an area without the pages of the program itself, which runs between the calls."""
    own = area.name in ("", FILE, "/dev/zero (deleted)")
    return area if own else area._replace(rss=0, anon=0)
