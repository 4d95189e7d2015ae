"""One moment of an allocation: program, areas, TLB and walk, slab, per-CPU list, buddy lists and the frame, at once."""

from __future__ import annotations

from mmkit.model.lifestate import AreaLine, FrameLine, LifeState
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, text_width
from mmkit.view.ink import Ink
from mmkit.view.lifewords import alt_life, block_of, chain, step_in, table_words
from mmkit.view.parts import Pen, outline_of, plural, segments, write_to_fit
from mmkit.view.picture import MARGIN, Picture, fit

HEIGHT = 562
LEVELS = ("pgd", "pud", "pmd", "pte")
_AREAS, _STRIP, _WALK, _KERNEL, _FRAME = 82, 146, 233, 322, 474
_INKS: dict[str, Ink] = {".": ink.GHOST, "a": ink.WRITTEN, "f": ink.FILE_PAGE, "z": ink.ZERO_PAGE}
_PCP_COLUMNS, _PCP_MOST, _OBJECTS = 10, 40, 21
_CHANGED = "#d55e00"


class LifePicture(Picture):
    """Everything that takes part, at one moment; what differs from ``before`` is outlined, ``told`` says what it is."""

    def __init__(self, state: LifeState, before: LifeState | None = None, told: str = "") -> None:
        super().__init__(HEIGHT)
        self._badge = self.badge(state.source)
        self._title = self.text(MARGIN, 24, "", 14, live=True, bold=True)
        self._told = self.text(MARGIN, 46, "", 12, live=True)
        self.boxes = self.live(Boxes((0, 0, self.width, self.height)))
        self.lines = self.line([], [], ink.MUTED, 1.2, live=True, zorder=3)
        self.outlines = self.line([], [], _CHANGED, 2.6, live=True, zorder=6)
        self._pen = Pen(self, 150)
        self._write = self._pen.write
        for name, y in (("The process", _AREAS), ("The way to the frame", _WALK), ("The kernel's memory", _KERNEL),
                        ("The frame", _FRAME)):  # fmt: skip
            self.line([MARGIN, self.width - MARGIN], [y - 22, y - 22], ink.FAINT, 1)
            self.text(MARGIN, y - 8, name, 11.5, bold=True, colour=ink.MUTED)
        self.update(state, before, told)

    def update(self, state: LifeState, before: LifeState | None = None, told: str = "") -> None:
        """Show another moment."""
        self.alt = alt_life(state, told)
        self._pen.begin()
        self._put: list[tuple[Box, Ink]] = []
        self._paths: list[list[tuple[float, float]]] = []
        self._new: list[Box] = []
        self._badge.set(str(state.source))
        self._title.set(self.heading_fit(chain(state), state.source))
        write_to_fit(self._told, told, self.width - 2 * MARGIN)
        then = before or state
        self._draw_areas(state, then)
        self._draw_strip(state, then)
        self._draw_walk(state, then)
        self._draw_slab(state, then)
        self._draw_pcp(state, then)
        self._draw_buddy(state, then)
        self._draw_frame(state, then)
        self._pen.end()
        self.boxes.put([box for box, _ in self._put], [one for _, one in self._put])
        self.lines.set_data(*segments(self._paths))
        self.outlines.set_data(*segments([list(zip(*outline_of(box), strict=True)) for box in self._new]))
        self.touch()

    # -- pens ---------------------------------------------------------------------------------------------------------

    def _box(self, box: Box, one: Ink, new: bool = False) -> Box:
        self._put.append((box, one))
        if new:
            self._new.append(box)
        return box

    # -- the process --------------------------------------------------------------------------------------------------

    def _draw_areas(self, state: LifeState, then: LifeState) -> None:
        old = {area.start: area for area in then.areas}
        wide = (self.width - 2 * MARGIN) / max(len(state.areas), 5)
        for number, area in enumerate(state.areas[:6]):
            left = MARGIN + number * wide
            inside = state.addr is not None and area.start <= state.addr < area.end
            was = old.get(area.start)
            new = was is None or (was.end, was.perms) != (area.end, area.perms)
            box = self._box(Box(left, _AREAS, left + wide - 6, _AREAS + 34), ink.FIELD if inside else ink.VACANT, new)
            self._write(left + 7, _AREAS + 11, area.name, 11, bold=True)
            self._write(box.right - 7, _AREAS + 11, area.perms, 10, mono=True, ha="right")
            self._write(left + 7, _AREAS + 25, f"0x{area.start:x}", 9.5, mono=True, colour=ink.MUTED)
            there = sum(letter != "." for letter in area.pages)
            self._write(box.right - 7, _AREAS + 25, f"{there} of {plural(len(area.pages), 'page')}", 9.5, ha="right",
                        colour=ink.MUTED)  # fmt: skip

    def _draw_strip(self, state: LifeState, then: LifeState) -> None:
        """Draw the pages of the area that the address lies in."""
        area = _area_of(state)
        if area is None:
            words = "No address is followed yet."
            if state.addr is not None:
                words = f"No area holds 0x{state.addr:x}."
            self._write(MARGIN, _STRIP, words, 10.5, colour=ink.MUTED)
            return
        was = next((one.pages for one in then.areas if one.start == area.start), "")
        cell = min(24.0, (self.width - 2 * MARGIN) / len(area.pages))
        name = "mapping" if area.name == "mmap" else area.name
        self._write(MARGIN, _STRIP - 14, f"the pages of the {name}:", 10, colour=ink.MUTED)
        self._draw_legend()
        for number, letter in enumerate(area.pages):
            left = MARGIN + number * cell
            box = Box(left, _STRIP - 5, left + cell - min(2.0, cell / 5), _STRIP + 15)
            self._box(box, _INKS[letter], was[number : number + 1] != letter)
            if letter == "z":
                self._write((box.left + box.right) / 2, (box.top + box.bottom) / 2, "0", 9, ha="center")
            if state.addr is not None and state.addr >> 12 == (area.start >> 12) + number:
                middle = (box.left + box.right) / 2
                below = box.bottom + 7
                self._paths.append([(middle - 4, below), (middle, below - 5), (middle + 4, below)])
                self._write_address(middle, below + 8, f"0x{state.addr:x}")
        self._draw_blocks(state, area, cell)

    def _draw_legend(self) -> None:
        """Say at the right what the letters of the pages look like, and what an outline means."""
        right = self.width - MARGIN
        for words, letter in (("a frame of its own", "a"), ("a file's", "f"), ("the zero page", "z"), ("nothing", ".")):
            self._write(right, _STRIP - 14, words, 9.5, ha="right", colour=ink.MUTED)
            right -= text_width(words, 9.5) + 5
            self._box(Box(right - 11, _STRIP - 19, right, _STRIP - 9), _INKS[letter])
            if letter == "z":
                self._write(right - 5.5, _STRIP - 14, "0", 9, ha="center")
            right -= 22
        self._write(right, _STRIP - 14, "outlined: new with this step", 9.5, ha="right", colour=_CHANGED)

    def _write_address(self, middle: float, y: float, text: str) -> None:
        """Write below the page's middle, but inside the picture."""
        half = text_width(text, 9.5, mono=True) / 2
        self._write(min(max(middle, MARGIN + half), self.width - MARGIN - half), y, text, 9.5, mono=True, ha="center")

    def _draw_blocks(self, state: LifeState, area: AreaLine, cell: float) -> None:
        """Draw a bracket under what malloc gave, and say where the next would come from."""
        scale, y = cell / 4096, _STRIP + 43
        self._labelled = 0.0
        for block in sorted(state.blocks, key=lambda block: block.addr):
            if area.start <= block.addr < area.end:
                left, right = (MARGIN + (at - area.start) * scale for at in (block.addr, block.addr + block.size))
                self._bracket(left, right, y, block_of(block), ink.TEXT)
        if area.start <= state.heap_top < area.end and area.name == "heap":
            left, right = (MARGIN + (at - area.start) * scale for at in (state.heap_top, state.brk))
            self._bracket(left, right, y, "the library's top chunk", ink.MUTED)

    def _bracket(self, left: float, right: float, y: float, words: str, colour: str) -> None:
        self._paths.append([(left, y - 3), (left, y + 2), (right, y + 2), (right, y - 3)])
        # Beside the label before it, if there is room; else the bracket has to do.
        half = text_width(words, 9.5) / 2
        middle = max((left + right) / 2, self._labelled + 8 + half)
        if middle + half <= self.width - MARGIN:
            self._write(middle, y + 9, words, 9.5, ha="center", colour=colour)
            self._labelled = middle + half

    # -- the way ------------------------------------------------------------------------------------------------------

    def _draw_walk(self, state: LifeState, then: LifeState) -> None:
        top, low = _WALK + 4, _WALK + 44
        known = f"frame 0x{state.tlb_frame:x}" if state.tlb_frame is not None else "not this page"
        box = Box(MARGIN, top, 122, low)
        focus = ink.ON_PATH if state.focus == "tlb" else ink.FIELD if state.tlb_frame is not None else ink.VACANT
        self._box(box, focus, state.tlb_frame != then.tlb_frame and state.addr == then.addr)
        self._write(20, top + 12, "TLB", 11, bold=True)
        self._write(20, top + 28, known, 9.5)
        if state.walk is None:
            return
        self._box(Box(136, top, 226, low), ink.VACANT)
        self._write(143, top + 12, "CR3", 11, bold=True)
        self._write(143, top + 28, f"0x{state.walk.steps[0].table_addr:x}", 9.5, mono=True)
        left, wide = 240.0, 134.0
        for number, level in enumerate(LEVELS):
            self._draw_level(state, then, level, Box(left + number * wide, top, left + (number + 1) * wide - 14, low))
        self._draw_target(state, then, Box(left + 4 * wide, top, self.width - MARGIN, low))

    def _draw_level(self, state: LifeState, then: LifeState, level: str, box: Box) -> None:
        step, was = step_in(state, level), step_in(then, level)
        one = ink.ON_PATH if state.focus == level else ink.GHOST if step is None else ink.VACANT
        changed = (step and (step.entry_addr, step.raw)) != (was and (was.entry_addr, was.raw))
        self._box(box, one, bool(changed) and state.addr == then.addr)
        head, entry = table_words(level, step)
        colour = ink.LEVEL_INKS[level][0].edge if step else ink.MUTED
        self._write(box.left + 7, box.top + 12, head, 10.5, bold=True, colour=colour)
        self._write(box.left + 7, box.top + 28, entry, 9, mono=step is not None)
        if step is not None:
            y = (box.top + box.bottom) / 2
            self._paths.append([(box.left - 13, y), (box.left - 2, y)])
            self._paths.append([(box.left - 6, y - 3), (box.left - 2, y), (box.left - 6, y + 3)])

    def _draw_target(self, state: LifeState, then: LifeState, box: Box) -> None:
        walk = state.walk
        if walk is None or walk.phys_addr is None:
            self._box(box, ink.GHOST)
            self._write(box.left + 7, box.top + 20, "no frame", 10, colour=ink.MUTED)
            return
        was = then.walk.phys_addr if then.walk and then.addr == state.addr else walk.phys_addr
        zero = state.frame is not None and state.frame.where == "the zero page"
        colour = ink.TEXT if zero else ink.PAPER
        self._box(box, ink.ZERO_PAGE if zero else ink.WRITTEN, was != walk.phys_addr)
        self._write(box.left + 7, box.top + 12, f"0x{walk.phys_addr >> 12:x}", 10.5, bold=True, colour=colour)
        self._write(box.left + 7, box.top + 28, f"+ 0x{walk.phys_addr & 4095:x}", 9.5, mono=True, colour=colour)

    # -- the kernel's memory ------------------------------------------------------------------------------------------

    def _draw_slab(self, state: LifeState, then: LifeState) -> None:
        self._head(MARGIN, "slab cache vm_area_struct", f"{state.vmas_in_use} of {state.vmas_there} in use",
                   state.focus == "slab")  # fmt: skip
        for number in range(min(state.vmas_there, 2 * _OBJECTS)):
            row, column = divmod(number, 7)
            box = Box(MARGIN + column * 27, _KERNEL + 32 + row * 25, MARGIN + column * 27 + 24, _KERNEL + 54 + row * 25)
            used, was = number < state.vmas_in_use, number < then.vmas_in_use
            self._box(box, ink.USED if used else ink.VACANT, used != was)

    def _draw_pcp(self, state: LifeState, then: LifeState) -> None:
        left, old = 228, set(then.pcp)
        more = f", {len(state.pcp) - _PCP_MOST} more" if len(state.pcp) > _PCP_MOST else ""
        self._head(left, "this processor's own list", plural(len(state.pcp), "page") + more, state.focus == "pcp")
        for number, pfn in enumerate(state.pcp[:_PCP_MOST]):
            row, column = divmod(number, _PCP_COLUMNS)
            box = Box(left + column * 32, _KERNEL + 32 + row * 22, left + column * 32 + 30, _KERNEL + 51 + row * 22)
            self._box(box, ink.WATER, pfn not in old)
            self._write((box.left + box.right) / 2, (box.top + box.bottom) / 2, f"{pfn:x}", 9, ha="center", mono=True)
        if not state.pcp:
            self._write(left, _KERNEL + 42, "empty: the next page comes from the buddy lists", 10, colour=ink.MUTED)

    def _draw_buddy(self, state: LifeState, then: LifeState) -> None:
        left, top = 568.0, _KERNEL + 32
        words = "free blocks by order"
        if state.in_hand:
            words = f"in hand: 0x{state.in_hand[0]:x}, order {state.in_hand[1]}"
        self._head(left, "buddy lists, movable", words, state.focus == "buddy")
        for order, (count, was) in enumerate(zip(state.orders, then.orders, strict=True)):
            box = Box(left + order * 29, top, left + order * 29 + 26, top + 34)
            self._box(box, ink.WATER if count else ink.GHOST, count != was)
            middle = (box.left + box.right) / 2
            self._write(middle, top + 17, f"{count}", 11, ha="center", bold=count != was)
            self._write(middle, top + 43, f"{order}", 9.5, ha="center", colour=ink.MUTED)
            if state.in_hand and state.in_hand[1] == order:
                self._box(Box(box.left, top + 51, box.right, top + 67), ink.IN_HAND)
                self._write(middle, top + 59, f"{state.in_hand[0]:x}", 9, ha="center", mono=True, colour=ink.PAPER)
        words = f"{state.free_pages:,} pages are free, on these lists and others"
        self._write(left, top + 80, words, 10, colour=ink.MUTED)

    def _head(self, left: float, name: str, words: str, focus: bool) -> None:
        self._write(left, _KERNEL + 7, name, 10.5, bold=True, colour=_CHANGED if focus else ink.TEXT)
        self._write(left, _KERNEL + 21, words, 10, colour=ink.MUTED)

    # -- the frame ----------------------------------------------------------------------------------------------------

    def _draw_frame(self, state: LifeState, then: LifeState) -> None:
        frame, top = state.frame, _FRAME + 4
        was = then.frame if then.frame and frame and then.frame.pfn == frame.pfn else None
        box = Box(MARGIN, top, 560, top + 72)
        mapped = frame is not None and frame.where == "mapped"
        self._box(box, ink.FIELD if mapped else ink.VACANT, frame is not None and was is not None and was != frame)
        if frame is None:
            self._write(MARGIN + 8, top + 34, "No frame stands behind the address.", 10.5, colour=ink.MUTED)
        else:
            self._write_frame(frame, top)
        counters = (
            ("resident pages (Rss)", state.rss, then.rss), ("page-table pages", state.tables, then.tables),
            ("page faults so far", state.faults, then.faults),
        )  # fmt: skip
        for number, (name, now, old) in enumerate(counters):
            y = top + 12 + number * 24
            self._write(580, y, name, 10.5)
            self._write(760, y, f"{now}", 12, bold=True, ha="right", colour=_CHANGED if now != old else ink.TEXT)
            self._write(768, y, f"{now - old:+d}" if now != old else "", 10.5, colour=_CHANGED)

    def _write_frame(self, frame: FrameLine, top: float) -> None:
        self._write(MARGIN + 8, top + 12, f"struct page of frame 0x{frame.pfn:x}: {frame.where}", 10.5, bold=True)
        counts = f"_refcount {frame.refcount}   _mapcount {frame.mappings - 1}"
        place = f"   mapping 0x{frame.mapping:x}   index 0x{frame.index:x}" if frame.mapping else "   mapping NULL"
        self._write(MARGIN + 8, top + 28, counts + place, 9.5, mono=True)
        flags = "flags " + (", ".join(frame.flags) or "none")
        self._write(MARGIN + 8, top + 43, fit(flags, 500, 9.5), 9.5, mono=True)
        self._write(MARGIN + 8, top + 59, _holds(frame), 9.5, mono=True)


def _holds(frame: FrameLine) -> str:
    if frame.where not in ("mapped", "the zero page"):
        return "what was left in it is cleared before it is mapped"
    return f"its first bytes that are not zero: {frame.content}" if frame.content else "holds nothing but zeros"


def _area_of(state: LifeState) -> AreaLine | None:
    if state.addr is None:
        return None
    return next((area for area in state.areas if area.start <= (state.addr or 0) < area.end), None)
