"""Steps: what happens on a machine under pressure, put together so that each step can be seen.

Models: nothing of its own; which of the events of Linux 6.18's reclaim a reader should see one by one. Leaves out:
events of the allocator and of page tables; accesses at which nothing happens are told by eights, and kswapd, if all it
does is to empty the processor's own list, once for each thing that is done.
"""

from __future__ import annotations

from collections.abc import Callable

from mmkit.model import reclaimtrace as reclaim
from mmkit.model.machine.pressurestate import Sight, Task
from mmkit.model.machinetrace import ClearPage, FaultDone, SchedProcessExit
from mmkit.model.pressuretrace import PagesUsed, Refault, TaskGone
from mmkit.model.reclaimstate import Look, LruPage, ReclaimState
from mmkit.model.trace import Event
from mmkit.record import replace

RUN = 8
"""So many accesses at which nothing happens are one step."""
Access = tuple[Task, str, str, int]
"""Who does what with which file ("": own memory) to which page."""


class Steps:
    """Hears events of a machine, and calls ``told`` with those that are steps, when their state is there."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        self.told: Callable[[Event], None] | None = None
        self._running: list[str] = []
        self._look: Look | None = None
        self._run: PagesUsed | None = None
        self._access: Access | None = None
        self._again = False
        self._pending: Event | None = None
        self._found: dict[int, LruPage] = {}
        """Pages as they were when the last one was looked at, while its step is not told yet."""
        self._woken: tuple[reclaim.KswapdWake, ReclaimState] | None = None
        self._moment: ReclaimState | None = None
        self._idle_told = False
        self._refault: reclaim.WorkingsetRefault | None = None

    def snapshot(self) -> ReclaimState:
        """Return this moment, or the one that is being told of."""
        return self._moment or self.sight.state(tuple(self._running), self._look, self._found)

    # -- what a process does ------------------------------------------------------------------------------------------

    def begin(self, what: str) -> None:
        """Something is about to be done."""
        self._running, self._idle_told = [what], False

    def end(self) -> None:
        """It has been done."""
        self._flush()
        self._running, self._look, self._access, self._again = [], None, None, False

    def before(self, task: Task, does: str, file: str, number: int) -> None:
        """A page is about to be used; what comes back from swap or a second time from the disk is seen alone."""
        self._access = task, does, file, number
        sight = self.sight
        self._again = bool(file) and number in sight.dropped and not sight.file.has(number)
        swapped = not file and task.page(number) in task.process.mm.pages.swapped
        if swapped or self._again:
            self._flush()
        if swapped:
            self._access = None

    def after(self) -> None:
        """It has been used."""
        if self._access is None:  # It has been told already: as a page that came back, or with kswapd's wake-up.
            if self._pending:
                self._flush()
            return
        (task, does, file, number), self._access = self._access, None
        if not file and number == task.written:
            task.written += 1
        if self._again:
            self._flush()
            self.sight.dropped.discard(number)
            self._tell(Refault(file, number, *self._came_back()))
            return
        first, idle = (self._run.first, self._run.idle) if self._run else (number, 0)
        free = self.sight.zone.free_pages
        self._run = PagesUsed(task.process.pid, task.called, does, file, first, number, free, idle)
        if number - first + 1 == RUN:
            self._flush()

    # -- what the machine tells ---------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Take an event of the machine."""
        match event:
            case ClearPage() | FaultDone():
                if isinstance(self._pending, TaskGone):
                    self._flush()
            case reclaim.KswapdWake():
                self._wake(event)
            case reclaim.KswapdSleep():
                self._sleep(event)
            case reclaim.LruFate():
                self._flush()
                self._looked_at(event)
            case reclaim.WorkingsetRefault():
                self._refault = event
            case reclaim.SwapIn() | SchedProcessExit():
                self._flush()
                self._come_or_gone(event)
            case reclaim.ShrinkActive() | reclaim.ShrinkInactive():
                self.sight.scanned += getattr(event, "nr_scanned", 0)
                self._flush()
                self._look = None
                self._tell(event)
            case reclaim.DirectReclaimBegin():
                self._then(event, "direct reclaim")
            case reclaim.MarkVictim():
                if event.pid in self.sight.tasks:
                    self.sight.tasks[event.pid].points = event.points
                self._then(event, "out of memory")
            case reclaim.DirectReclaimEnd():
                self._then(event, "")

    def _then(self, event: Event, runs: str | None = None) -> None:
        """Tell what was before, then this; ``runs`` is what runs now, "" the process again, None what ran before."""
        self._flush()
        if runs is not None:
            self._running = [*self._running[:1], *filter(None, (runs,))]
            self._look = None
        self._tell(event)

    def _wake(self, event: reclaim.KswapdWake) -> None:
        """kswapd runs when a fault has been served; only if it looks at a page, that is a step each time."""
        if self._access:
            self.after()
        if self.told is None:
            return
        if self._pending or not self._run:
            self._flush()
        self._running = [*self._running[:1], "kswapd"]
        self._woken = event, self.snapshot()

    def _sleep(self, event: reclaim.KswapdSleep) -> None:
        if self._woken and self._idle_told and self._run:
            self._woken, self._running = None, self._running[:1]
            self._run = replace(self._run, idle=self._run.idle + 1, free=event.free)
            return
        self._idle_told |= self._woken is not None
        self._then(event, "")

    def _looked_at(self, event: reclaim.LruFate) -> None:
        """Keep what is so before the page goes: its step is told when it has gone, and before the next is looked at."""
        sight = self.sight
        struct = sight.machine.frames.page(event.pfn)
        if event.fate == "drop" and not struct.is_anon:
            sight.dropped.add(struct.index)
        if self.told:
            self._found = sight.pages()
            page = self._found.pop(event.pfn)
            self._look = Look(page, sight.machine.lru.where(event.pfn) or "", event.fate, event.why)
            self._pending = event

    def _come_or_gone(self, event: reclaim.SwapIn | SchedProcessExit) -> None:
        if isinstance(event, reclaim.SwapIn):
            self._pending = event
            sight = self.sight
            page = sight.page(sight.machine.frames.page(event.pfn))
            distance, room, active = self._came_back()
            where = "active at once" if active else "inactive"
            why = f"it went {distance} evictions ago, and the other lists have {room} pages: it is {where}"
            self._look = Look(page, "swap", "swap in", why, event.slot)
        elif event.pid in self.sight.tasks:
            task = self.sight.tasks[event.pid]
            task.end = "killed" if task.process.killed else "exited"
            self._pending = TaskGone(event.pid, task.called, task.end)

    # -- telling ------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Tell what waits to be told: a run, a wake-up, what became of a page."""
        run, woken, pending = self._run, self._woken, self._pending
        self._run = self._woken = self._pending = None
        if run:
            moment = woken and replace(woken[1], running=woken[1].running[:1])
            self._tell(run, moment)
        if woken:
            self._tell(*woken)
        if pending:
            if self._look and isinstance(pending, reclaim.LruFate):
                self._look = self._where_it_went(self._look)
            self._tell(pending)
            if isinstance(pending, reclaim.SwapIn):
                self._look = None
        self._found = {}

    def _came_back(self) -> tuple[int, int, bool]:
        """Return how far away the eviction is of the page that has just come back, and whether that is soon."""
        found, self._refault = self._refault, None
        return (found.distance, found.room, found.active) if found else (0, 0, False)

    def _where_it_went(self, look: Look) -> Look:
        if look.fate not in ("swap out", "drop") or not look.page.owner:
            return look
        task = self.sight.tasks[look.page.owner]
        return replace(look, slot=task.process.mm.pages.swapped.get(task.page(look.page.index)))

    def _tell(self, event: Event, moment: ReclaimState | None = None) -> None:
        if self.told:
            self._moment = moment
            self.told(event)
            self._moment = None
