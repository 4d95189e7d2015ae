"""The machine beside the running kernel: processes that touch, fork, map and unmap, compared after each step.

Compared are the errno of a call, the faults that a touch took, of every area in a window what smaps counts, and, where
the kernel shows them (root), which pages share a frame. By hand, for long runs::

    .venv/bin/python tests/model/machine/kernelfamily.py --steps 100000 --seed 1000
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parent), str(Path(__file__).parents[1] / "vma")]

from vmapeers import NUMBERS, running_rules, write_file

from mmkit import Machine
from mmkit.errors import FatalSignal, MmError
from mmkit.model import vmaflags as f
from mmkit.model.machine.usage import usage_of
from mmkit.model.pageflags import PageFlags
from mmkit.model.vma.resident import FILE, SHMEM, ZERO

PAGE, WINDOW, PAGES = 4096, 0x1_0000_0000, 48
FIELDS = ("Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Referenced", "Anonymous",
          "Swap", "Locked")  # fmt: skip
MOST = 4
RW, R = f.PROT_READ | f.PROT_WRITE, f.PROT_READ


class Difference(AssertionError):
    """What the kernel and the model disagree about."""


class Kernel:
    """The root process of a family."""

    def __init__(self) -> None:
        command = [sys.executable, "-S", "-E", str(Path(__file__).with_name("familychild.py")), "privileged"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def ask(self, path: tuple[int, ...], line: str) -> tuple[int, int, str]:
        """Send a line to the process at ``path``, child by child from the root; returns value, errno and text."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("".join(f"> {number} " for number in path).encode() + line.encode() + b"\n")
        head = self.process.stdout.readline().split()
        assert len(head) == 3, f"the process is gone after {line!r}"
        value, errno, length = map(int, head)
        text = b""
        while len(text) < length:
            text += self.process.stdout.read(length - len(text))
        return value, errno, text.decode()

    def close(self) -> None:
        """End them all."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def smaps(text: str) -> dict[tuple[int, int], dict[str, int]]:
    """Return what smaps says of each area in the window: kB by field."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
        start, end = (int(each, 16) for each in block.split(None, 1)[0].split("-"))
        if WINDOW <= start < WINDOW + PAGES * PAGE:
            fields = dict(re.findall(r"^(\w+): +(\d+) kB$", block, re.M))
            found[start, end] = {name: int(fields[name]) for name in FIELDS}
    return found


class Family:
    """Processes on the kernel, and the same ones on a machine of the model."""

    def __init__(self, folder: Path) -> None:
        self.kernel, self.machine = Kernel(), Machine("X86_64", "64MiB")
        self.on_disk = write_file(folder / "file", 24, more=100)
        self.shared = self.machine.create_file("/memfd:shared (deleted)", 24 * PAGE, kind="tmpfs", cached=False)
        with open(self.on_disk.name, "rb") as written:
            os.fsync(written.fileno())  # what has not been written to the disk yet counts as dirty
            content = written.read()
        self.machine.page_cache.add_file(self.on_disk, content)
        self.files = {
            "file": (self.kernel.ask((), f"O {self.on_disk.name} {os.O_RDWR}")[0], self.on_disk.open("rw")),
            "shared": (self.kernel.ask((), "M shared 24")[0], self.shared.open("rw")),
        }
        root = self.machine.spawn("root", kernel=running_rules())
        self.members = {(): root}
        self.forked: dict[tuple[int, ...], int] = {}
        self.is_root = os.geteuid() == 0

    def do(self, path: tuple[int, ...], call: tuple) -> None:
        """Make a call in both. Raises Difference if they answer differently."""
        name, *rest = call
        member = self.members[path]
        if name == "fork":
            number = self.kernel.ask(path, "F")[0]
            self.members[*path, number] = member.fork()
            return
        if name == "exit":
            self.kernel.ask(path, "Q")
            member.exit()
            del self.members[path]
            return
        if name == "touch":
            theirs, ours = self._touch(path, *rest), self._touch_model(member, *rest)
            if rest[1] and ours[0] == "refused":
                # Whether a write that is refused marks the page accessed is the processor's affair (R52).
                self._touch(path, rest[0], False)
                self._touch_model(member, rest[0], False)
        else:
            theirs, ours = self._call(path, name, rest), self._call_model(member, name, rest)
        if theirs != ours:
            raise Difference(f"kernel {theirs}, model {ours}")

    def _touch(self, path: tuple[int, ...], addr: int, write: bool) -> tuple[str, int]:
        faults, errno, _ = self.kernel.ask(path, f"{'W' if write else 'R'} {addr}")
        return ("refused", 0) if errno else ("fine", faults)

    def _touch_model(self, member, addr: int, write: bool) -> tuple[str, int]:
        before = member.mm.min_flt
        try:
            member.touch(addr, write)
        except FatalSignal:
            return "refused", 0
        return "fine", member.mm.min_flt - before

    def _call(self, path: tuple[int, ...], name: str, rest: list) -> int:
        words = list(rest)
        if name == "mmap" and words[4] in self.files:
            words[4] = self.files[words[4]][0]
        return self.kernel.ask(path, " ".join(map(str, (NUMBERS[name], *words))))[1]

    def _call_model(self, member, name: str, rest: list) -> int:
        words = list(rest)
        if name == "mmap":
            words[4] = self.files[words[4]][1] if words[4] in self.files else None
        try:
            getattr(member.mm, name)(*words)
        except MmError as error:
            return error.errno or 0
        return 0

    def compare(self) -> None:
        """Raise Difference if anything is not alike."""
        groups: dict[int, list] = {}
        twins: dict[int, list] = {}
        for path, member in self.members.items():
            theirs = smaps(self.kernel.ask(path, "S")[2])
            ours = {
                (vma.vm_start, vma.vm_end): self._fields(usage_of(member.mm, vma), vma) for vma in member.mm.vmas
            }  # fmt: skip
            for area in self._unsure(member):
                if area in theirs and area in ours:
                    ours[area]["Referenced"] = theirs[area]["Referenced"]
            if theirs != ours:
                raise Difference(_different(path, theirs, ours))
            if self.is_root:
                self._frames(path, member, groups, twins)
        if sorted(map(sorted, groups.values())) != sorted(map(sorted, twins.values())):
            raise Difference(f"pages that share a frame: kernel {groups}, model {twins}")

    @staticmethod
    def _unsure(member) -> list[tuple[int, int]]:
        """Areas with old pages of files, or old ones that were given up or populated, of which nobody can be sure.

        The kernel moves pages between its lists once a processor has a batch of them, and changes marks with it: so
        whether they are referenced depends on what else has been moved.
        """
        pages = member.mm.pages

        def is_unsure(page: int, kind: str) -> bool:
            if kind == ZERO or pages.raw(page) & pages.young:
                return False
            flags = pages.struct_page(page).flags
            moving = not flags & PageFlags.swapbacked or flags & (PageFlags.referenced | PageFlags.active)
            return kind in (FILE, SHMEM) or bool(moving)

        return [
            (vma.vm_start, vma.vm_end)
            for vma in member.mm.vmas
            if any(is_unsure(page, kind) for page, kind in pages.within(vma.vm_start, vma.vm_end))
        ]

    @staticmethod
    def _fields(usage, vma) -> dict[str, int]:
        kb = {name: 4 * getattr(usage, name.lower()) for name in FIELDS[2:8]}
        return {"Rss": 4 * usage.rss, "Pss": usage.pss_bytes >> 10, **kb, "Swap": 0,
                "Locked": (usage.pss_bytes >> 10) * bool(vma.vm_flags & f.VM_LOCKED)}  # fmt: skip

    def _frames(self, path: tuple[int, ...], member, groups: dict, twins: dict) -> None:
        words = bytes.fromhex(self.kernel.ask(path, f"P {WINDOW} {PAGES}")[2])
        for page in range(PAGES):
            word = int.from_bytes(words[8 * page : 8 * page + 8], "little")
            if word >> 63:
                groups.setdefault(word & (1 << 55) - 1, []).append((path, page))
            number = (WINDOW >> 12) + page
            if member.mm.pages.kind(number):
                twins.setdefault(member.mm.pages.pfn(number), []).append((path, page))


def _different(path: tuple[int, ...], theirs: dict, ours: dict) -> str:
    lines = [f"process {path}:"]
    for key in sorted(theirs.keys() | ours.keys()):
        one, other = theirs.get(key), ours.get(key)
        if one != other:
            if one is None or other is None:
                lines.append(f"  {key[0]:#x}-{key[1]:#x} only {'kernel' if one else 'model'}")
            else:
                words = [f"{name} {one[name]}/{other[name]}" for name in FIELDS if one[name] != other[name]]
                lines.append(f"  {key[0]:#x}-{key[1]:#x} kernel/model: {', '.join(words)}")
    return "\n".join(lines)


def calls(seed: int, family: Family):
    """Yield (path, call) for ever, chosen by ``seed`` and by who lives."""
    rng = random.Random(seed)
    page = lambda: WINDOW + rng.randrange(PAGES) * PAGE  # noqa: E731
    size = lambda: rng.choice((1, 1, 2, 3, 5, 8)) * PAGE  # noqa: E731
    while True:
        path = rng.choice(sorted(family.members))
        addr, length = page(), size()
        length = min(length, WINDOW + PAGES * PAGE - addr)
        kind = rng.random()
        if kind < 0.62:
            yield path, ("touch", addr + rng.randrange(PAGE), rng.random() < 0.5)
        elif kind < 0.78:
            backing = rng.choice(("", "", "file", "shared", "zero"))
            share = f.MAP_SHARED if backing in ("zero",) or (backing and rng.random() < 0.5) else f.MAP_PRIVATE
            anonymous = f.MAP_ANONYMOUS if backing in ("", "zero") else 0
            prot = rng.choice((RW, RW, RW, R))
            offset = rng.randrange(0, 20) * PAGE if backing in family.files else 0
            where = backing if backing in family.files else -1
            yield path, ("mmap", addr, length, prot, share | anonymous | f.MAP_FIXED, where, offset)
        elif kind < 0.83:
            yield path, ("munmap", addr, length)
        elif kind < 0.89:
            yield path, ("mprotect", addr, length, rng.choice((RW, R)))
        elif kind < 0.91:
            yield path, rng.choice((("mlock", addr, length), ("mlock2", addr, length, 1), ("munlock", addr, length)))
        elif kind < 0.95:
            advice = (f.MADV_DONTNEED, f.MADV_FREE, f.MADV_POPULATE_READ, f.MADV_POPULATE_WRITE)
            yield path, ("madvise", addr, length, rng.choice(advice))
        elif kind < 0.965:
            new = min(page(), WINDOW + PAGES * PAGE - length)
            yield path, ("mremap", addr, length, length, f.MREMAP_MAYMOVE | f.MREMAP_FIXED, new)
        elif kind < 0.985 and len(family.members) < MOST:
            yield path, ("fork",)
        elif path and not any(other[: len(path)] == path and other != path for other in family.members):
            yield path, ("exit",)


def run(seed: int, steps: int, folder: Path) -> int:
    """Compare so many steps of a seed; returns how many. Raises Difference, with how to see it again."""
    family = Family(folder)
    made = calls(seed, family)
    for step in range(steps):
        path, call = next(made)
        try:
            family.do(path, call)
            family.compare()
            if not step % 50:
                family.machine.check()
        except AssertionError as error:
            again = f"--seed {seed} --steps {step + 1}"
            raise Difference(f"seed {seed}, step {step}, {path} {call}: {error}\n  again with {again}") from error
    family.kernel.close()
    return steps


def confirmed(seed: int, steps: int, folder: Path) -> int:
    """As run(); a difference counts if it comes again.

    A page that the kernel's flusher has locked at that moment is not mapped around (R41), and never twice.
    """
    seen: list[str] = []
    while True:
        place = folder / f"{seed}-{len(seen)}"
        place.mkdir()
        try:
            return run(seed, steps, place)
        except Difference as difference:
            seen.append(str(difference).partition(" (")[0])  # seed and step
            if len(seen) != len(set(seen)) or len(seen) == 3:
                raise


def main() -> None:
    """Run as many steps as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    begun, done, seed = time.monotonic(), 0, asked.seed
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        while done < asked.steps:
            done += confirmed(seed, min(500, asked.steps - done), Path(folder))
            seed += 1
    print(f"{done:,} steps, no difference, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
