"""What the VMA lab shows as text: the files in ``/proc`` in which a kernel shows an address space."""

from __future__ import annotations

import html
from collections.abc import Callable

from mmkit.model.vmastate import MmState, VmaState
from mmkit.model.vmatext import format_line
from mmkit.proc.status import sizes_of


def maps(mm: MmState) -> str:
    """Return the text of ``/proc/PID/maps``."""
    return "".join(_line(vma) + "\n" for vma in mm.vmas)


def _line(vma: VmaState) -> str:
    offset = vma.offset if vma.file is not None else 0
    return format_line(vma.start, vma.end, vma.perms, offset, *vma.device, vma.inode, vma.name)


def inside(mm: MmState) -> str:
    """Return, area by area, what ``/proc/PID/smaps`` shows of it and what the kernel does not show."""
    return "".join(f"{_line(vma)}\n{_fields(vma)}" for vma in mm.vmas)


def _fields(vma: VmaState) -> str:
    hidden = f"vm_pgoff {vma.pgoff:#x}"
    hidden += f", open file {vma.file}" if vma.file is not None else ""
    hidden += f", anon_vma {vma.anon_vma}" if vma.anon_vma is not None else ", no anon_vma"
    hidden += " (inherited over fork)" if vma.forked else ""
    sizes = f"Size {vma.pages << 2} kB, Rss {vma.rss << 2} kB, Anonymous {vma.anon_pages << 2} kB"
    return f"    {sizes}\n    VmFlags: {vma.letters}\n    not shown: {hidden}\n"


def status(mm: MmState) -> str:
    """Return the lines of ``/proc/PID/status`` about memory."""
    return "".join(f"{name + ':':<9}{kb:>9} kB\n" for name, kb in sizes_of(mm.counters, mm.layout).items())


def fields(mm: MmState) -> str:
    """Return the fields of the ``mm_struct``."""
    counters, layout = mm.counters, mm.layout
    lines = [f"{name:<11} {getattr(layout, name):#x}" for name in type(layout).record_fields]
    lines += [f"{name:<11} {getattr(counters, name):,}" for name in type(counters).record_fields]
    return "\n".join([*lines, f"{'mm_users':<11} {mm.mm_users}"]) + "\n"


TEXTS: dict[str, Callable[[MmState], str] | None] = {
    "none": None, "/proc/PID/maps": maps, "each area, its flags": inside, "/proc/PID/status": status,
    "mm_struct, its fields": fields,
}  # fmt: skip
"""What the menu offers."""


def as_html(name: str, mm: MmState) -> str:
    """Return the text of that name as HTML, nothing for "none"."""
    text = TEXTS[name]
    if text is None:
        return ""
    look = "font-size:11px;line-height:1.25;overflow:auto;max-height:24em"
    return f'<pre style="{look}">{html.escape(text(mm))}</pre>'
