"""What the tests of the rules are written with: calls in pages of one window, on the model or on the running kernel."""

from __future__ import annotations

from pathlib import Path

from vmapeers import PAGE, WINDOW, Area, KernelPeer, ModelPeer, in_window, write_file

from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.vma import OpenFile

R, RW, RX, NONE, RWX = 1, 3, 5, 0, 7
PRIVATE, SHARED, ANON, FIXED = f.MAP_PRIVATE, f.MAP_SHARED, f.MAP_ANONYMOUS, f.MAP_FIXED


class Bench:
    """An address space whose window is empty; all numbers are pages, from the window's first on."""

    def __init__(self, peer: KernelPeer | ModelPeer, folder: Path) -> None:
        self.peer, self.folder, self.nr_files = peer, folder, 0

    def file(self, pages: int = 40, mode: str = "rw", more: int = 0) -> OpenFile:
        """Make a file and open it."""
        self.nr_files += 1
        self.made = write_file(self.folder / f"file{self.nr_files}", pages, more)
        return self.peer.open(self.made, mode)

    def again(self, mode: str = "rw") -> OpenFile:
        """Open the file made last once more."""
        return self.peer.open(self.made, mode)

    def map(
        self, page: int, pages: int, prot: int = RW, flags: int = PRIVATE | FIXED, file: OpenFile | None = None,
        offset: int = 0,
    ) -> int:  # fmt: skip
        """Map pages at a page of the window; returns the page."""
        flags |= 0 if file else ANON
        addr = self.peer.mmap(WINDOW + page * PAGE, pages * PAGE, prot, flags, file, offset * PAGE)
        return (addr - WINDOW) // PAGE

    def do(self, name: str, page: float, pages: float, *more: int) -> None:
        """Make a call on [page, page + pages)."""
        self.peer.call(name, int(WINDOW + page * PAGE), int(pages * PAGE), *more)

    def move(self, page: float, old: float, new: float, flags: int = 0, to: float = 0) -> int:
        """Make an mremap; returns the page where it is then."""
        target = int(WINDOW + to * PAGE) if flags & 6 else 0
        addr = self.peer.call("mremap", int(WINDOW + page * PAGE), int(old * PAGE), int(new * PAGE), flags, target)
        return (addr - WINDOW) // PAGE

    def write(self, *pages: int) -> None:
        """Write to the first byte of each of these pages."""
        for page in pages:
            self.peer.touch(WINDOW + page * PAGE, True)

    def read(self, *pages: int) -> None:
        """Read the first byte of each of these pages."""
        for page in pages:
            self.peer.touch(WINDOW + page * PAGE, False)

    def refuses(self, page: int, write: bool = False) -> bool:
        """Say whether an access is answered with a signal."""
        try:
            self.peer.touch(WINDOW + page * PAGE, write)
        except FatalSignal:
            return True
        return False

    def errno(self, call: str, *arguments: object, **more: object) -> int:
        """Return the errno of a method of this bench, 0 if it succeeds."""
        try:
            getattr(self, call)(*arguments, **more)
        except MmError as error:
            return error.errno or 0
        return 0

    def areas(self) -> list[Area]:
        """Return the areas in the window."""
        return in_window(self.peer.areas())

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """First page and page after the last of each area in the window."""
        return [((area.start - WINDOW) // PAGE, (area.end - WINDOW) // PAGE) for area in self.areas()]

    @property
    def perms(self) -> list[str]:
        """Rights of each area in the window."""
        return [area.perms for area in self.areas()]

    @property
    def letters(self) -> list[str]:
        """Flags of each area in the window."""
        return [area.letters for area in self.areas()]

    @property
    def pages(self) -> list[tuple[int, int]]:
        """Resident and own pages of each area in the window."""
        return [(area.rss, area.anon) for area in self.areas()]

    def offsets(self) -> list[int]:
        """Offsets in pages that maps shows for the window."""
        lines = [line for line in self.peer.maps() if WINDOW <= int(line.split("-")[0], 16) < WINDOW + (1 << 20)]
        return [int(line.split()[2], 16) // PAGE for line in lines]

    def clear(self) -> None:
        """Empty the window."""
        self.do("munmap", 0, 160)

    def fork(self) -> None:
        """Go on in a child."""
        self.peer.fork()
