"""Parts that several pictures share: ruler, legend, brackets, and words for numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from mmkit.record import Record
from mmkit.units import format_size
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes, Label, text_width
from mmkit.view.ink import Ink
from mmkit.view.picture import MARGIN, Picture


def plural(count: int, thing: str) -> str:
    """Return "1 block", "2,048 blocks"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def pages_size(pages: int, page_size: int = 4096) -> str:
    """Return the size of so many pages: "4 MiB"."""
    return format_size(pages * page_size)


def exact_size(size_bytes: int) -> str:
    """Return a size in the largest unit in which two decimals say it exactly: where something lies, not how big it is.

    >>> exact_size(0x440 << 12), exact_size(0x421 << 12)
    ('4.25 MiB', '4,228 KiB')
    """
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size_bytes >> power and size_bytes * 100 % (1 << power) == 0:
            return f"{size_bytes / (1 << power):,.2f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{size_bytes:,} B"


def listed(words: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart, as little as it takes, so that they keep ``gap`` and their order inside [low, high].

    >>> spread([10, 11, 40], gap=8, low=0, high=50)
    [6.5, 14.5, 40.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[int]] = []
    centres: list[float] = []
    for i in order:
        groups.append([i])
        centres.append(_clamp(float(wanted[i]), 1, gap, low, high))
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            groups[-2:] = [groups[-2] + groups[-1]]
            mean = sum(wanted[j] for j in groups[-1]) / len(groups[-1])
            centres[-2:] = [_clamp(mean, len(groups[-1]), gap, low, high)]
    placed = [0.0] * len(wanted)
    for group, centre in zip(groups, centres, strict=True):
        for place, i in enumerate(group):
            placed[i] = centre + gap * (place - (len(group) - 1) / 2)
    return placed


def _clamp(centre: float, count: int, gap: float, low: float, high: float) -> float:
    half = gap * (count - 1) / 2
    return min(max(centre, low + half), high - half)


class Ruler:
    """Ticks under an axis of page frame numbers: the pfn, and below it the address."""

    def __init__(self, picture: Picture, left: float, right: float, y: float, most: int = 9) -> None:
        self.left, self.right, self.y = left, right, y
        self._ticks = picture.live(Boxes((left - 2, y, right + 2, y + 6)))
        self.pfns = [picture.text(0, y + 17, "", 10.5, live=True, ha="center", mono=True) for _ in range(most)]
        self.sizes = [picture.text(0, y + 31, "", 10, live=True, ha="center", colour=ink.MUTED) for _ in range(most)]

    def set(self, start: int, end: int, page_size: int = 4096) -> None:
        """Show pfns ``start`` to ``end``."""
        step = 1
        while len(self._at(start, end, step)) > len(self.pfns) or step * self._scale(start, end) < self._room(end):
            step *= 2
        pfns = self._at(start, end, step)
        xs = [self.left + (pfn - start) * self._scale(start, end) for pfn in pfns]
        self._ticks.put([(x - 0.5, self.y, x + 0.5, self.y + 6) for x in xs], [ink.RULE] * len(xs))
        for row, write in ((self.pfns, hex), (self.sizes, lambda pfn: exact_size(pfn * page_size))):
            for number, label in enumerate(row):
                shown = number < len(xs)
                label.set(write(pfns[number]) if shown else "", x=xs[number] if shown else 0)

    def _scale(self, start: int, end: int) -> float:
        return (self.right - self.left) / (end - start)

    def _room(self, end: int) -> float:
        return 14 + text_width(hex(end), 10.5, mono=True)

    @staticmethod
    def _at(start: int, end: int, step: int) -> range:
        return range(-(-start // step) * step, end + 1, step)


class Entry(Record):
    """One line of a legend."""

    ink: Ink
    name: str
    note: str = ""


class Legend:
    """Swatches with letter, name and a note in bold, such as a count, line by line in ``columns`` columns."""

    def __init__(self, picture: Picture, box: Sequence[float], most: int, columns: int = 1, line: float = 19) -> None:
        self.box, self.line, self.columns = Box(*box), line, columns
        self.swatches = picture.live(Boxes(self.box))
        self.letters = [picture.text(0, 0, "", 10.5, live=True, ha="center", va="center") for _ in range(most)]
        self.names = [picture.text(0, 0, "", 11, live=True, va="center") for _ in range(most)]
        self.notes = [picture.text(0, 0, "", 11, live=True, va="center", bold=True) for _ in range(most)]

    def move(self, top: float) -> None:
        """Take another place; the entries follow when they are next set."""
        self.box = self.swatches.box = self.box._replace(top=top, bottom=top + self.box.bottom - self.box.top)

    def set(self, entries: Sequence[Entry]) -> None:
        """Show these entries."""
        wide, boxes = (self.box.right - self.box.left) / self.columns, []
        for number, (letter, name, note) in enumerate(zip(self.letters, self.names, self.notes, strict=True)):
            entry = entries[number] if number < len(entries) else Entry(ink.RULE, "")
            x = self.box.left + wide * (number % self.columns)
            y = self.box.top + self.line * (number // self.columns + 0.5)
            letter.set(entry.ink.letter, x=x + 9, y=y, colour=entry.ink.text)
            name.set(entry.name, x=x + 24, y=y)
            note.set(entry.note, x=x + 32 + text_width(entry.name, 11), y=y)
            boxes.append((x, y - 7.5, x + 18, y + 7.5))
        shown = entries[: len(self.names)]
        self.swatches.put(boxes[: len(shown)], [e.ink for e in shown])


def legend_row(picture: Picture, y: float, groups: Sequence[tuple[str, Sequence[Entry]]]) -> None:
    """Draw a legend in one fixed row: for each group its title, then swatch, letter and name of its entries."""
    swatches = picture.fixed(Boxes((0, y - 8, picture.width, y + 8)))
    x, boxes, inks = float(MARGIN), [], []
    for title, entries in groups:
        if title:
            picture.note(x, y, title, va="center")
            x += text_width(title, 10.5) + 8
        for entry in entries:
            boxes.append(Box(x, y - 7, x + 17, y + 7))
            inks.append(entry.ink)
            picture.text(x + 8.5, y, entry.ink.letter, 10, ha="center", va="center", colour=entry.ink.text)
            picture.text(x + 22, y, entry.name, 10.5, va="center")
            x += 22 + text_width(entry.name, 10.5) + 12
        x += 6
    swatches.put(boxes, inks, [ink.LINE] * len(boxes))


def outline_of(box: Box) -> tuple[list[float], list[float]]:
    """Return the points of a closed line around a box."""
    return [box.left, box.right, box.right, box.left, box.left], [box.top, box.top, box.bottom, box.bottom, box.top]


def segments(parts: Sequence[Sequence[tuple[float, float]]]) -> tuple[list[float], list[float]]:
    """Return the points of several lines as those of one, with gaps."""
    points = [point for part in parts for point in (*part, (nan, nan))]
    return [x for x, _ in points], [y for _, y in points]


class Pen:
    """Writes texts of which there are now more, now fewer: ``most`` labels that are used again at every update."""

    def __init__(self, picture: Picture, most: int, va: str = "center") -> None:
        self._labels = [picture.text(0, 0, "", 10, live=True) for _ in range(most)]
        self._va, self._used = va, 0

    def begin(self) -> None:
        """Begin an update: nothing is written yet."""
        self._used = 0

    def write(self, x: float, y: float, text: str, size: float = 10, **look: object) -> None:
        """Write a text, unless it is empty or no label is left."""
        if self._used < len(self._labels) and text:
            plain = {"ha": "left", "va": self._va, "bold": False, "mono": False, "colour": ink.TEXT}
            self._labels[self._used].set(text, x=x, y=y, size=size, **(plain | look))
            self._used += 1

    def end(self) -> None:
        """End an update: what was written before, and not now, is gone."""
        for label in self._labels[self._used :]:
            label.set("")


def write_lines(labels: Sequence[Label], lines: Sequence[str]) -> None:
    """Put one line into each label; those left over are emptied."""
    for number, label in enumerate(labels):
        label.set(lines[number] if number < len(lines) else "")


def write_to_fit(label: Label, text: str, width: float, size: float = 12, least: float = 9.5) -> None:
    """Write a line in the largest size, down to ``least``, in which it is at most ``width`` CSS pixels wide."""
    while size > least and text_width(text, size) > width:
        size -= 0.5
    label.set(text, size=size)


def wrapped(text: str, width: float, size: float = 12) -> list[str]:
    """Break ``text`` into lines of at most ``width`` CSS pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
