"""Threads and processes: which tasks share an address space, and which have one of their own."""

from __future__ import annotations

from mmkit.model.vmastate import MmState, TasksState
from mmkit.view import ink
from mmkit.view.artist import Box, Boxes
from mmkit.view.ink import Ink
from mmkit.view.parts import pages_size, plural, segments
from mmkit.view.picture import MARGIN, Picture, fit
from mmkit.view.vmakinds import kinds_of

MOST_TASKS, MOST_MMS = 12, 6
_TOP, _TASK, _ROOM = 74, 28, 8
_LEFT, _TASK_RIGHT = 24, 272
_MM_LEFT, _MM_RIGHT, _MM, _MM_ROOM = 420, 876, 58, 14


def alt_tasks(state: TasksState) -> str:
    """Say in words which task uses which address space."""
    told = []
    for number, mm in enumerate(state.mms):
        users = [task for task in state.tasks if task.mm == number]
        who = ", ".join(
            f"{task.pid}" + ("" if task.pid == task.tgid else f" (a thread of {task.tgid})") for task in users[:8]
        )
        told.append(
            f"Address space {number + 1} has {plural(mm.mm_users, 'user')}: {who}; {plural(len(mm.vmas), 'area')}, "
            f"{pages_size(mm.counters.total_vm)}"
        )
    counts = f"{plural(len(state.tasks), 'task')}, {plural(len(state.mms), 'address space')}"
    return f"{counts}. {'. '.join(told)}. ({state.source})"


class TasksPicture(Picture):
    """Tasks on the left, each with an arrow to the address space that it uses, drawn as its areas side by side."""

    def __init__(self, state: TasksState) -> None:
        super().__init__(height=_height(state))
        self._title = self.text(MARGIN, MARGIN + 12, "", 14, live=True, bold=True)
        self._badge = self.badge(state.source)
        self.note(_LEFT, _TOP - 14, "tasks (task_struct)")
        self.note(_MM_LEFT, _TOP - 14, "address spaces (mm_struct)")
        self._boxes = self.live(Boxes((0, _TOP - 2, self.width, self.height)))
        self._arrows = self.line([], [], ink.MUTED, 1.4, live=True)
        self._pids = [self.text(_LEFT + 10, 0, "", 11.5, live=True, va="center", bold=True) for _ in range(MOST_TASKS)]
        self._names = [self.text(_LEFT + 76, 0, "", 11, live=True, va="center") for _ in range(MOST_TASKS)]
        self._mms = [self.text(_MM_LEFT, 0, "", 11.5, live=True, bold=True) for _ in range(MOST_MMS)]
        self._notes = [self.note(_MM_RIGHT, 0, "", live=True, ha="right") for _ in range(MOST_MMS)]
        self._more = self.note(_LEFT, 0, "", live=True)
        self.update(state)

    def update(self, state: TasksState) -> None:
        """Show another state."""
        boxes: list[Box] = []
        inks: list[Ink] = []
        self.resize(_height(state))
        self._boxes.box = Box(0, _TOP - 2, self.width, self.height)
        self._badge.set(str(state.source))
        title = f"{plural(len(state.tasks), 'task')}, {plural(len(state.mms), 'address space')}"
        self._title.set(self.heading_fit(title, state.source))
        arrows: list[list[tuple[float, float]]] = []
        for number, (pid, name) in enumerate(zip(self._pids, self._names, strict=True)):
            if number >= len(state.tasks):
                pid.set("")
                name.set("")
                continue
            task = state.tasks[number]
            y = _TOP + number * (_TASK + _ROOM)
            thread = task.pid != task.tgid
            boxes.append(Box(_LEFT + 14 * thread, y, _TASK_RIGHT, y + _TASK))
            inks.append(ink.TAG)
            pid.set(f"{task.pid}", x=_LEFT + 10 + 14 * thread, y=y + _TASK / 2)
            said = f"thread of {task.tgid}" if thread else f"{task.name}, child of {task.parent}"
            name.set(fit(said, 170, 11), x=_LEFT + 62 + 14 * thread, y=y + _TASK / 2)
            if task.mm < MOST_MMS:
                to = _TOP + task.mm * (_MM + _MM_ROOM) + 32
                start, end = (_TASK_RIGHT, y + _TASK / 2), (_MM_LEFT - 8, to)
                arrows += [[start, end], [(end[0] - 7, to - 4), end, (end[0] - 7, to + 4)]]
        for number, (head, note) in enumerate(zip(self._mms, self._notes, strict=True)):
            if number < len(state.mms):
                self._put_mm(number, state.mms[number], boxes, inks)
            else:
                head.set("")
                note.set("")
        left_out = max(len(state.tasks) - MOST_TASKS, 0)
        self._more.set(f"… and {plural(left_out, 'task')} more" if left_out else "", y=self.height - 8)
        self._boxes.put(boxes, inks, [one.edge for one in inks])
        self._arrows.set_data(*segments(arrows))
        self.alt = alt_tasks(state)
        self.touch()

    def _put_mm(self, number: int, mm: MmState, boxes: list[Box], inks: list[Ink]) -> None:
        y = _TOP + number * (_MM + _MM_ROOM)
        self._mms[number].set(f"mm_users = {mm.mm_users}", y=y + 12)
        rss = mm.counters.anon_rss + mm.counters.file_rss + mm.counters.shmem_rss
        sizes = (
            f"{plural(len(mm.vmas), 'area')}, {pages_size(mm.counters.total_vm)} mapped, {pages_size(rss)} in memory"
        )
        self._notes[number].set(sizes, y=y + 12)
        wide = (_MM_RIGHT - _MM_LEFT) / max(len(mm.vmas), 1)
        for place, kind in enumerate(kinds_of(mm.vmas)):
            left = _MM_LEFT + place * wide
            boxes.append(Box(left, y + 20, left + max(wide - 1.5, 1), y + 44))
            inks.append(ink.VMA_INKS[kind])
        if not mm.vmas:
            boxes.append(Box(_MM_LEFT, y + 20, _MM_RIGHT, y + 44))
            inks.append(ink.GHOST)


def _height(state: TasksState) -> float:
    tasks, mms = min(len(state.tasks), MOST_TASKS), min(len(state.mms), MOST_MMS)
    return _TOP + max(3 * (_MM + _MM_ROOM), mms * (_MM + _MM_ROOM), tasks * (_TASK + _ROOM)) + 18
