"""What a call did to the list of areas: a stretch of addresses before and after, and the lines of maps that changed."""

from __future__ import annotations

from collections.abc import Sequence

from mmkit.model.vmastate import MmState, VmaState
from mmkit.model.vmatext import format_line
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, Legend, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.vmakinds import kinds_of

PAGE = 4096
MOST_PAGES, MOST_LINES, MOST_AREAS = 96, 9, 48
_LEFT, _RIGHT = 84, 888
_BEFORE, _AFTER, _TALL = 66, 150, 34
_TEXT = 252
_LINE = 16


def window_of(mm: MmState, before: MmState | None = None, most: int = MOST_PAGES) -> tuple[int, int]:
    """Return a stretch of at most ``most`` pages in which what changed lies, or else the lowest areas."""
    known = set(before.vmas) if before else set()
    own = set(mm.vmas)
    odd = [vma for vma in mm.vmas if vma not in known] + [
        vma for vma in (before.vmas if before else ()) if vma not in own
    ]
    start = min((vma.start for vma in odd or mm.vmas), default=0x10000)
    near = [vma.end for vma in (*mm.vmas, *odd) if start <= vma.start < start + most * PAGE]
    end = min(max(near, default=start + 16 * PAGE), start + most * PAGE)
    return start, max(end, start + 16 * PAGE)


def maps_lines(mm: MmState, start: int, end: int) -> list[str]:
    """Return the lines of ``/proc/PID/maps`` of the areas in [start, end)."""
    return [
        format_line(vma.start, vma.end, vma.perms, vma.offset if vma.file else 0, *vma.device, vma.inode, vma.name, 50)
        for vma in _inside(mm, start, end)
    ]


def _inside(mm: MmState, start: int, end: int) -> list[VmaState]:
    return [vma for vma in mm.vmas if vma.start < end and start < vma.end]


def differences(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str]]:
    """Return all lines of both, in order of address, each with its sign: "+" new, "−" gone, " " as it was."""
    old, new = set(before), set(after)
    marked = [("−", line) for line in before if line not in new]
    marked += [("+" if line not in old else " ", line) for line in after]
    return sorted(marked, key=lambda one: (int(one[1].split("-")[0], 16), one[0] == "+"))


def alt_change(before: MmState, after: MmState, start: int, end: int) -> str:
    """Say in words which areas there were and are between ``start`` and ``end``."""
    counts = [_inside(mm, start, end) for mm in (before, after)]
    told = []
    for when, vmas in zip(("Before", "After"), counts, strict=True):
        listed_ = ", ".join(_said(vma, start, end) for vma in vmas[:8])
        more = f", and {len(vmas) - 8} more" if len(vmas) > 8 else ""
        told.append(f"{when}: {plural(len(vmas), 'area')}{': ' if vmas else ''}{listed_}{more}")
    return f"Pages from 0x{start:x} on. {'. '.join(told)}. ({after.source})"


def _said(vma: VmaState, start: int, end: int) -> str:
    first, last = (vma.start - start) // PAGE, (vma.end - start) // PAGE - 1
    anon = f" anon_vma {vma.anon_vma}" if vma.anon_vma is not None else ""
    pages = f"page {first}" if first == last else f"pages {first} to {last}"
    if vma.start < start or vma.end > end:
        pages = f"pages from {first} on" if vma.start >= start else f"pages up to {last}"
        pages = "all pages" if vma.start < start and vma.end > end else pages
    return f"{pages} {vma.perms}{' ' + vma.name if vma.name else ''}{anon}"


class VmaChangePicture(Picture):
    """The areas of a stretch of addresses, page by page: above as they were, below as they are, then lines of maps.

    ``window`` is that stretch, two addresses; without it the one in which something changed. With no ``before`` both
    rows show the same.
    """

    def __init__(self, after: MmState, before: MmState | None = None, window: tuple[int, int] | None = None) -> None:
        super().__init__(height=_TEXT + _LINE * (MOST_LINES + 1) + 12)
        self._title = self.text(MARGIN, MARGIN + 12, "", 14, live=True, bold=True)
        self._badge = self.badge(after.source)
        self.text(_LEFT - 12, _BEFORE + _TALL / 2, "before", 11.5, ha="right", va="center")
        self.text(_LEFT - 12, _AFTER + _TALL / 2, "after", 11.5, ha="right", va="center", bold=True)
        self.note(MARGIN, _TEXT - 8, "/proc/PID/maps")
        self._boxes = self.live(Boxes((0, _BEFORE - 4, self.width, _AFTER + _TALL + 26)))
        self._links = self.line([], [], live=True)
        self._edges = self.line([], [], ink.TEXT, 1.6, live=True)
        self._names = [self.text(0, 0, "", 10.5, live=True, ha="center") for _ in range(2 * MOST_AREAS)]
        self._anons = [self.text(0, 0, "", 10, live=True, ha="center", va="top") for _ in range(2 * MOST_AREAS)]
        self._pages = [self.text(0, 0, "", 10, live=True, ha="center", va="center") for _ in range(2 * MOST_PAGES)]
        self._ticks = [self.note(0, _AFTER + _TALL + 38, "", live=True, ha="center") for _ in range(5)]
        self._lines = [self.text(MARGIN + 14, 0, "", 11, live=True, mono=True) for _ in range(MOST_LINES + 1)]
        self._signs = [self.text(MARGIN, 0, "", 12, live=True, bold=True) for _ in range(MOST_LINES + 1)]
        self._legend = Legend(self, (470, _TEXT - 18, self.width - MARGIN, _TEXT), 4, 4)
        self.update(after, before, window)

    def update(self, after: MmState, before: MmState | None = None, window: tuple[int, int] | None = None) -> None:
        """Show another change."""
        before = before or after
        start, end = window or window_of(after, before)
        self._badge.set(str(after.source))
        pages = (end - start) // PAGE
        self._title.set(self.heading_fit(f"{plural(pages, 'page')} from 0x{start:x} on", after.source))
        self._put_areas(before, after, start, end)
        self._put_lines(maps_lines(before, start, end), maps_lines(after, start, end))
        self.alt = alt_change(before, after, start, end)
        self.touch()

    def _put_areas(self, before: MmState, after: MmState, start: int, end: int) -> None:
        boxes: list[Box] = []
        inks: list[Ink] = []
        edges: list[str] = []
        outlines, links, names, letters = [], [], 0, 0
        known = {_look(vma) for vma in before.vmas}
        for mm, top in ((before, _BEFORE), (after, _AFTER)):
            boxes.append(Box(_LEFT, top, _RIGHT, top + _TALL))
            inks.append(ink.VACANT)
            edges.append(ink.LINE)
            kinds = dict(zip(mm.vmas, kinds_of(mm.vmas), strict=True))
            for vma in _inside(mm, start, end)[:MOST_AREAS]:
                left, right = (self._x(at, start, end) for at in (max(vma.start, start), min(vma.end, end)))
                boxes.append(Box(left, top, right, top + _TALL))
                inks.append(ink.VMA_INKS[kinds[vma]])
                edges.append(ink.VMA_INKS[kinds[vma]].edge)
                fresh = mm is after and _look(vma) not in known
                corners = [(left, top), (right, top), (right, top + _TALL), (left, top + _TALL), (left, top)]
                if fresh:
                    outlines.append(corners)
                self._name(names, vma, left, right, top, fresh)
                letters = self._put_pages(letters, mm, vma, (start, end), top, boxes, inks, edges)
                names += 1
                links += [[(x, _BEFORE + _TALL + 18), (x, _AFTER - 18)] for x in (left, right) if mm is before]
        for label in (*self._names[names:], *self._anons[names:], *self._pages[letters:]):
            label.set("")
        self._boxes.put(boxes, inks, edges)
        self._edges.set_data(*segments(outlines))
        self._links.set_data(*segments(links))
        self._put_ticks(start, end)
        shown = [one for one in (ink.WRITTEN, ink.FILE_PAGE, ink.ZERO_PAGE) if one in inks]
        self._legend.set([Entry(one, one.name) for one in shown])

    @staticmethod
    def _x(addr: int, start: int, end: int) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (addr - start) / (end - start)

    def _name(self, number: int, vma: VmaState, left: float, right: float, top: float, fresh: bool) -> None:
        middle, room = (left + right) / 2, right - left - 4
        name = vma.name.rpartition("/")[2] or ""
        long = f"{vma.perms} {name}".strip()
        text = next((one for one in (long, vma.perms, vma.perms[:3]) if text_width(one, 10.5) <= room), "")
        self._names[number].set(text, x=middle, y=top - 6, bold=fresh and text_width(text, 10.5, bold=True) <= room)
        anon = f"anon_vma {vma.anon_vma}{' (inherited)' if vma.forked else ''}" if vma.anon_vma is not None else ""
        offset = f"from page {vma.pgoff} of it" if vma.file is not None else ""
        both = ", ".join(part for part in (offset, anon) if part)
        short = f"a{vma.anon_vma}" if vma.anon_vma is not None else ""
        told = next((one for one in (both, anon, short) if one and text_width(one, 10) <= room), "")
        self._anons[number].set(told, x=middle, y=top + _TALL + 4)

    def _put_pages(
        self, used: int, mm: MmState, vma: VmaState, window: tuple[int, int], top: float, boxes: list[Box],
        inks: list[Ink], edges: list[str],
    ) -> int:  # fmt: skip
        wide = (_RIGHT - _LEFT) * PAGE / (window[1] - window[0])
        for page, kind in resident(mm, max(vma.start, window[0]), min(vma.end, window[1])):
            left = self._x(page << 12, *window)
            one = {"a": ink.WRITTEN, "z": ink.ZERO_PAGE}.get(kind, ink.FILE_PAGE)
            inset = min(2.0, wide / 6)
            boxes.append(Box(left + inset, top + 8, left + wide - inset, top + _TALL - 8))
            inks.append(one)
            edges.append(one.edge)
            if used < len(self._pages) and wide >= 9:
                x = left + wide / 2
                self._pages[used].set(one.letter, x=x, y=top + _TALL / 2, colour=one.text)
                used += 1
        return used

    def _put_ticks(self, start: int, end: int) -> None:
        pages = (end - start) // PAGE
        step = max(1, pages // 4)
        for number, label in enumerate(self._ticks):
            page = number * step
            x = self._x(start + page * PAGE, start, end)
            ha = "left" if number == 0 else "right" if x > _RIGHT - 40 else "center"
            label.set(f"0x{start + page * PAGE:x}" if page <= pages else "", x=x, ha=ha)

    def _put_lines(self, before: Sequence[str], after: Sequence[str]) -> None:
        marked = differences(before, after)
        if len(marked) > MOST_LINES:
            odd = [one for one in marked if one[0] != " "]
            marked = (odd or marked)[:MOST_LINES]
            left_out = len(differences(before, after)) - len(marked)
            marked.append((" ", f"… and {plural(left_out, 'line')} more"))
        for number, (sign, line) in enumerate(zip(self._signs, self._lines, strict=True)):
            mark, text = marked[number] if number < len(marked) else ("", "")
            y = _TEXT + _LINE * number + 12
            sign.set(mark.strip(), y=y, colour=ink.ALERT if mark == "−" else "#00513b")
            line.set(fit(text, 840, 11), y=y, colour=ink.TEXT if mark != "−" else ink.MUTED, bold=mark == "+")


def _look(vma: VmaState) -> tuple[object, ...]:
    return vma.start, vma.end, vma.flags, vma.pgoff, vma.name, vma.file


def resident(mm: MmState, start: int, end: int) -> list[tuple[int, str]]:
    """Return the pages of [start, end) that are in memory, with their kinds, if the state tells them one by one."""
    pages = mm.back.pages if mm.back else ()
    return [(page, kind) for page, kind in pages if start <= page << 12 < end]
