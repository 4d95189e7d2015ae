"""The pictures of one page: the bits of its flags, the pointer that tells whose it is, and ``struct page`` whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mmkit.model.snapshot import PageSnapshot
from mmkit.view.pagebits import FlagsPanel, MappingPanel, StructPanel
from mmkit.view.pagewords import (
    change_words,
    field_value,
    field_words,
    lru_words,
    mapping_lines,
    set_words,
    state_words,
    virtual_line,
)  # fmt: skip
from mmkit.view.picture import MARGIN, Picture

_HEAD = 40


def alt_flags(snapshot: PageSnapshot, before: PageSnapshot | None = None) -> str:
    """Say which flags are set, which node and zone the word names, and what has changed since ``before``."""
    numbers = ", ".join(field_words(snapshot, field) for field in snapshot.layout.fields)
    changed = f" {change_words(snapshot, before or snapshot)}".rstrip()
    return f"flags {field_value(snapshot, 'flags')}. {set_words(snapshot)} Above them: {numbers}.{changed}"


def alt_mapping(snapshot: PageSnapshot) -> str:
    """Say what the pointer leads to."""
    what, where = mapping_lines(snapshot)
    return f"mapping {field_value(snapshot, 'mapping')}. {what} {where}".strip()


def alt_struct(snapshot: PageSnapshot) -> str:
    """Name the value of every field, now and then."""
    now = ("index", "private", "_mapcount", "_refcount")
    fields = ", ".join([lru_words(snapshot), *(f"{name} {field_value(snapshot, name)}" for name in now)])
    then = f"The textbook's has _count {field_value(snapshot, '_count')} and a field virtual"
    return f"struct page today: {fields}. {then}. {virtual_line(snapshot)}."


class _Panel(Protocol):
    def put(self, snapshot: PageSnapshot, before: PageSnapshot) -> None: ...


class _PagePicture(Picture):
    """A heading, and panels one below the other; changes since the last picture of the same page are outlined."""

    def __init__(self, snapshot: PageSnapshot, panels: list[Callable[[Picture, float], tuple[_Panel, float]]]) -> None:
        super().__init__(height=_HEAD)
        self.snapshot = self.before = snapshot
        self._badge = self.badge(snapshot.source)
        self._heading = self.text(MARGIN, 22, "", 14, live=True, bold=True)
        self.panels: list[_Panel] = []
        top = float(_HEAD)
        for make in panels:
            panel, high = make(self, top)
            self.panels.append(panel)
            top += high
        self.resize(top + 4)

    def update(self, snapshot: PageSnapshot, textbook: bool = False, before: PageSnapshot | None = None) -> None:
        """Show another state of the page, and what has changed since ``before`` (None: since the last one shown).

        With ``textbook`` the heading counts as the textbook does: -1 when free.
        """
        if before is not None:
            self.before = before
        elif snapshot != self.snapshot:
            self.before = self.snapshot if self.snapshot.pfn == snapshot.pfn else snapshot
        self.snapshot = snapshot
        self._badge.set(str(snapshot.source))
        heading = state_words(snapshot, textbook)
        self._heading.set(self.heading_fit(heading, snapshot.source))
        for panel in self.panels:
            panel.put(snapshot, self.before)
        self.alt = f"{heading}. {self.describe()} ({snapshot.source})"
        self.touch()

    def describe(self) -> str:
        """The sentences about the panels, for the alt text."""
        raise NotImplementedError


class FlagBits(_PagePicture):
    """The flags word of a page, bit by bit."""

    def __init__(self, snapshot: PageSnapshot) -> None:
        super().__init__(snapshot, [lambda p, top: (FlagsPanel(p, top, snapshot), FlagsPanel.HEIGHT)])
        self.update(snapshot)

    def describe(self) -> str:
        """Say what the flags say."""
        return alt_flags(self.snapshot, self.before)


class MappingBits(_PagePicture):
    """The pointer in ``mapping`` of a page, bit by bit."""

    def __init__(self, snapshot: PageSnapshot) -> None:
        super().__init__(snapshot, [lambda p, top: (MappingPanel(p, top, snapshot), MappingPanel.HEIGHT)])
        self.update(snapshot)

    def describe(self) -> str:
        """Say what the pointer says."""
        return alt_mapping(self.snapshot)


class StructPage(_PagePicture):
    """The bytes of ``struct page``, today's beside the textbook's."""

    def __init__(self, snapshot: PageSnapshot) -> None:
        super().__init__(snapshot, [_struct(snapshot)])
        self.update(snapshot)

    def describe(self) -> str:
        """Name every value."""
        flags, mapping = field_value(self.snapshot, "flags"), field_value(self.snapshot, "mapping")
        return f"flags {flags}, mapping {mapping}. {alt_struct(self.snapshot)}"


class PageBits(_PagePicture):
    """The bits of a page's flags and of its mapping."""

    def __init__(self, snapshot: PageSnapshot) -> None:
        super().__init__(
            snapshot,
            [
                lambda p, top: (FlagsPanel(p, top, snapshot), FlagsPanel.HEIGHT),
                lambda p, top: (MappingPanel(p, top, snapshot), MappingPanel.HEIGHT),
            ],
        )
        self.update(snapshot)

    def describe(self) -> str:
        """Say what both say."""
        return f"{alt_flags(self.snapshot, self.before)} {alt_mapping(self.snapshot)}"


class PagePicture(_PagePicture):
    """All of a page: its struct, the bits of its flags and of its mapping."""

    def __init__(self, snapshot: PageSnapshot, textbook: bool = False) -> None:
        super().__init__(
            snapshot,
            [
                _struct(snapshot),
                lambda p, top: (FlagsPanel(p, top, snapshot), FlagsPanel.HEIGHT),
                lambda p, top: (MappingPanel(p, top, snapshot), MappingPanel.HEIGHT),
            ],
        )
        self.update(snapshot, textbook)

    def describe(self) -> str:
        """Say all that the panels show."""
        return f"{alt_struct(self.snapshot)} {alt_flags(self.snapshot, self.before)} {alt_mapping(self.snapshot)}"


def _struct(snapshot: PageSnapshot) -> Callable[[Picture, float], tuple[_Panel, float]]:
    def make(picture: Picture, top: float) -> tuple[_Panel, float]:
        panel = StructPanel(picture, top, snapshot)
        return panel, panel.height + 30

    return make
