"""Timeline: the snapshots of what was done, and an index into them; nothing is ever recomputed.

An operation ("allocate 256 pages") is one or more entries, one for each step the model told of. Undo and redo move by
operations, step and play by entries. Acting after going back drops what lay ahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from mmkit.model.trace import Event
from mmkit.record import Record, field, replace

S = TypeVar("S")
Step = tuple[str, S, Event | None]
"""What an operation is recorded from: a label in words, the snapshot after the step, the event that told of it."""


class Entry(Record, Generic[S]):
    """One step of one operation, as it can be shown again."""

    label: str
    snapshot: S = field(repr=False)
    event: Event | None
    operation: int
    """Number of the operation that the step belongs to; 0 is the start."""


class Timeline(Generic[S]):
    """Keeps entries and which of them is shown.

    >>> timeline = Timeline(0, "start")
    >>> timeline.record("count to two", [("one", 1, None), ("two", 2, None)])
    0
    >>> timeline.back().snapshot, timeline.undo().snapshot, timeline.redo().snapshot
    (1, 0, 2)
    """

    def __init__(self, snapshot: S, label: str = "start") -> None:
        self.entries: list[Entry[S]] = [Entry(label, snapshot, None, 0)]
        self.titles: list[str] = [label]
        """What each operation was, by its number."""
        self.ends: list[int] = [0]
        """Index of each operation's last entry, by its number."""
        self.index = 0

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def current(self) -> Entry[S]:
        """The entry shown."""
        return self.entries[self.index]

    @property
    def title(self) -> str:
        """What the operation shown was."""
        return self.titles[self.current.operation]

    @property
    def settled(self) -> Entry[S]:
        """The last entry of the operation shown: what a new operation continues from."""
        return self.entries[self.ends[self.current.operation]]

    @property
    def at_end(self) -> bool:
        """Whether the operation shown is the last one, so that acting drops nothing."""
        return self.current.operation == len(self.ends) - 1

    def record(self, title: str, steps: Iterable[Step[S]]) -> int:
        """Add an operation after the one shown and show its end; returns how many operations that dropped.

        Raises ValueError if there are no steps.
        """
        steps = list(steps)
        if not steps:
            raise ValueError(f"operation {title!r} has no steps: record at least the state after it")
        operation = self.current.operation + 1
        dropped = len(self.ends) - operation
        del self.entries[self.ends[operation - 1] + 1 :], self.titles[operation:], self.ends[operation:]
        for label, snapshot, event in steps:
            shared = share(self.entries[-1].snapshot, snapshot)
            self.entries.append(Entry(label, shared, event, operation))
        self.titles.append(title)
        self.ends.append(len(self.entries) - 1)
        self.index = self.ends[-1]
        return dropped

    def go(self, index: int) -> Entry[S]:
        """Show the entry at ``index``. Raises ValueError if there is none."""
        if not 0 <= index < len(self.entries):
            raise ValueError(f"there is no step {index}: steps go from 0 to {len(self.entries) - 1}")
        self.index = index
        return self.current

    def first(self) -> Entry[S]:
        """Show the start."""
        return self.go(0)

    def last(self) -> Entry[S]:
        """Show the newest entry."""
        return self.go(len(self.entries) - 1)

    def forward(self) -> Entry[S]:
        """Show the next entry, if there is one."""
        return self.go(min(self.index + 1, len(self.entries) - 1))

    def back(self) -> Entry[S]:
        """Show the entry before, if there is one."""
        return self.go(max(self.index - 1, 0))

    def undo(self) -> Entry[S]:
        """Show the state before the operation shown."""
        return self.go(self.ends[max(self.current.operation - 1, 0)])

    def redo(self) -> Entry[S]:
        """Show the end of the operation shown, or of the next one if it is shown already."""
        operation = self.current.operation
        if self.index == self.ends[operation]:
            operation = min(operation + 1, len(self.ends) - 1)
        return self.go(self.ends[operation])


def share(old: Any, new: Any) -> Any:
    """Return ``new`` with every equal part taken from ``old``, so that a thousand snapshots of a large zone fit."""
    if new is old or (type(new) is type(old) and isinstance(new, (bytes, int, str)) and new == old):
        return old
    if type(new) is tuple and type(old) is tuple:
        if len(new) == len(old) and new and (isinstance(new[0], (tuple, Record))):
            return tuple(map(share, old, new))
        return old if new == old else new
    if isinstance(new, Record) and type(new) is type(old):
        names = type(new).record_fields
        return replace(new, **{name: share(getattr(old, name), getattr(new, name)) for name in names})
    return new
