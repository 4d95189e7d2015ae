"""Processes and the frames that they share: pages above, frames with their reference counts below."""

from __future__ import annotations

from mmkit.model.machinestate import FaultState, FrameState, MemberState, PageState
from mmkit.record import replace
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.ink import Ink
from mmkit.view.parts import Entry, Pen, legend_row, listed, outline_of, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit

MOST_MEMBERS, MOST_PAGES, MOST_FRAMES = 4, 8, 18
_LEFT, _TOP, _LANE, _CELL, _HIGH = 208, 84, 62, 84, 40
_FRAME, _FRAME_HIGH, _GAP = 92, 58, 50
NOT_THERE = ink.GHOST
_INKS: dict[str, Ink] = {
    "": NOT_THERE, "z": ink.ZERO_PAGE, "a": ink.WRITTEN, "f": ink.FILE_PAGE, "s": ink.VMA_INKS["shared"],
}  # fmt: skip
KINDS = {"": "not there", "z": "the zero page", "a": "its own", "f": "a file's", "s": "shared memory's"}


def alt_fault(state: FaultState) -> str:
    """Say of each process what its pages are, and of each frame who holds it."""
    told = f" {state.told}" if state.told else ""
    members = " ".join(_alt_member(member) for member in state.members)
    frames = [
        f"0x{frame.pfn:x} ({KINDS[frame.kind]}, holds {frame.content!r}): {plural(frame.refcount, 'reference')}, "
        f"mapped {plural(frame.mappings, 'time')}" for frame in state.frames if frame.kind != "z"
    ]  # fmt: skip
    behind = f" Frames: {'; '.join(frames[:6])}{' and more' if len(frames) > 6 else ''}." if frames else ""
    return f"{members}{behind}{told} ({state.source})"


def _alt_member(member: MemberState) -> str:
    pages = []
    for number, page in enumerate(member.pages):
        if page.kind:
            how = "writable" if page.writable else "write-protected"
            pages.append(f"{number} {KINDS[page.kind]} 0x{page.pfn:x} {how}")
    what = listed(pages) if pages else "no page there"
    return f"Process {member.pid}: {what}; {plural(member.min_flt + member.maj_flt, 'fault')}."


class FaultPicture(Picture):
    """A lane of pages for each process; between them the frames, with a line to each from its pages."""

    def __init__(self, state: FaultState, before: FaultState | None = None) -> None:
        super().__init__(_TOP + MOST_MEMBERS * _LANE + 200)
        self._badge = self.badge(state.source)
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._told = self.text(MARGIN, 45, "", 12, live=True)
        self.boxes = self.live(Boxes((0, 0, self.width, self.height)))
        self.lines = self.line([], [], ink.MUTED, 1.2, live=True, zorder=1)
        self.outlines = self.line([], [], ink.TEXT, 2.4, live=True, zorder=6)
        self._pen = Pen(self, 150)
        self._write = self._pen.write
        # No letters: the boxes below have frames and signs in their place.
        names = [Entry(replace(_INKS[kind], letter=""), name) for kind, name in KINDS.items()]
        legend_row(self, 66, [("", names)])
        signs = "▣ write-protected   ✎ dirty   bold outline: changed"
        self.note(self.width - MARGIN, 66, signs, ha="right", va="center")
        self.update(state, before)

    def update(self, state: FaultState, before: FaultState | None = None) -> None:
        """Show another state; pages whose frame or rights differ from ``before`` are outlined."""
        self.alt = alt_fault(state)
        self._pen.begin()
        members, nr_pages = state.members[:MOST_MEMBERS], len(state.members[0].pages) if state.members else 0
        cell = min(_CELL, (self.width - MARGIN - _LEFT) / max(nr_pages, 1))
        above = -(-len(members) // 2)
        frames_top = _TOP + above * _LANE + _GAP
        rows = -(-min(len(state.frames), MOST_FRAMES) // 9)
        below_top = frames_top + rows * (_FRAME_HIGH + 12) - 12 + _GAP - 18
        bottom = below_top + (len(members) - above) * _LANE if len(members) > above else below_top - _GAP + 24
        self.resize(bottom + 12)
        self.boxes.box = Box(0, 0, self.width, self.height)
        self._badge.set(str(state.source))
        self._write_title(state, len(members))
        boxes: list[Box] = []
        inks, lines, changed = [], [], []
        places = self._place_frames(state.frames, frames_top)
        for row, member in enumerate(members):
            top = _TOP + row * _LANE + 18 if row < above else below_top + (row - above) * _LANE + 18
            self._write_member(member, top)
            for number, page in enumerate(member.pages):
                box = Box(_LEFT + number * cell, top, _LEFT + (number + 1) * cell - 3, top + _HIGH)
                boxes.append(box)
                inks.append(_INKS[page.kind])
                self._write_page(page, box, number, row == 0)
                if page.pfn is not None and page.pfn in places and page.kind != "z":
                    far = _LANE * (above - 1 - row if row < above else above - row)
                    lines.append(_line_between(box, places[page.pfn], far))
                if _is_new(state, before, row, number):
                    changed.append(box)
        for each in state.frames[:MOST_FRAMES]:
            boxes.append(places[each.pfn])
            inks.append(_INKS[each.kind])
            self._write_frame(each, places[each.pfn])
        self.boxes.put(boxes, inks)
        self._finish(lines, changed)

    def _write_title(self, state: FaultState, nr_members: int) -> None:
        many = f"{nr_members} process{'' if nr_members == 1 else 'es'}"
        self._title.set(f"{many}, {plural(len(state.frames), 'frame')} behind their pages")
        self._told.set(fit(state.told, self.width - 2 * MARGIN))

    def _finish(self, lines: list[list[tuple[float, float]]], changed: list[Box]) -> None:
        self._pen.end()
        self.lines.set_data(*segments(lines))
        self.outlines.set_data(*segments([list(zip(*outline_of(box), strict=True)) for box in changed]))
        self.touch()

    def _write_member(self, member: MemberState, top: float) -> None:
        self._write(
            MARGIN, top + 9, fit(f"{member.name}, process {member.pid}", _LEFT - 30, 12, bold=True), 12, bold=True
        )
        faults = plural(member.min_flt, "minor fault") + (f", {member.maj_flt} major" if member.maj_flt else "")
        self._write(MARGIN, top + 24, faults, 10.5)
        size = f"Rss {4 * member.rss} KiB, Pss {member.pss_bytes / 1024:.1f} KiB"
        self._write(MARGIN, top + 37, size, 10.5, colour=ink.MUTED)

    def _write_page(self, page: PageState, box: Box, number: int, first: bool) -> None:
        middle, colour = (box.left + box.right) / 2, _INKS[page.kind].text
        if first:
            self._write(middle, box.top - 8, f"page {number}", 10, ha="center", colour=ink.MUTED)
        if page.kind:
            self._write(middle, box.top + 13, f"0x{page.pfn:x}", 10.5, ha="center", mono=True, colour=colour)
            signs = ("" if page.writable else "▣") + ("✎" if page.dirty else "")
            self._write(middle, box.top + 29, signs, 12, ha="center", colour=colour)
        elif page.area:
            self._write(middle, box.top + _HIGH / 2, page.area.split()[0], 10, ha="center", mono=True, colour=ink.MUTED)

    def _place_frames(self, frames: tuple[FrameState, ...], top: float) -> dict[int, Box]:
        places = {}
        for number, frame in enumerate(frames[:MOST_FRAMES]):
            row, column = divmod(number, 9)
            left, y = MARGIN + column * (_FRAME + 5), top + row * (_FRAME_HIGH + 12)
            places[frame.pfn] = Box(left, y, left + _FRAME, y + _FRAME_HIGH)
        return places

    def _write_frame(self, frame: FrameState, box: Box) -> None:
        colour, middle = _INKS[frame.kind].text, (box.left + box.right) / 2
        self._write(middle, box.top + 12, f"frame 0x{frame.pfn:x}", 10.5, ha="center", bold=True, colour=colour)
        if frame.kind == "z":
            self._write(middle, box.top + 30, "zeros, for all", 10, ha="center", colour=colour)
            return
        self._write(middle, box.top + 28, f"{plural(frame.refcount, 'ref')}, {plural(frame.mappings, 'map')}", 10,
                    ha="center", colour=colour)  # fmt: skip
        what = f"page {frame.file_page}, " if frame.file_page is not None else ""
        self._write(middle, box.top + 44, f"{what}holds {frame.content}", 10, ha="center", colour=colour)


def _line_between(page: Box, frame: Box, far: float) -> list[tuple[float, float]]:
    """Return a line from a page to its frame; past the lanes between, if any, it goes down (up) the gap beside it.

    ``far`` is the height of those lanes, negative upwards. The zero page has no lines: each page says its number.
    """
    x, there, gap = (page.left + page.right) / 2, (frame.left + frame.right) / 2, page.right + 1.5
    start, goal = (page.bottom, frame.top) if frame.top > page.top else (page.top, frame.bottom)
    if not far:
        return [(x, start), (there, goal)]
    away = 7 if far > 0 else -7
    return [(x, start), (gap, start + away), (gap, start + far + away / 2), (there, goal)]


def _is_new(state: FaultState, before: FaultState | None, row: int, number: int) -> bool:
    """Say whether a page has another frame or other rights than before."""
    if before is None:
        return False
    member = state.members[row]
    old = next((one for one in before.members if one.pid == member.pid), None)
    if old is None:
        return bool(member.pages[number].kind)
    then, now = old.pages[number], member.pages[number]
    return (then.kind, then.pfn, then.writable, then.dirty) != (now.kind, now.pfn, now.writable, now.dirty)
