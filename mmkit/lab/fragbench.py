"""The bench of the fragmentation lab: one workload on two memories, one grouped by mobility and one not."""

from __future__ import annotations

from mmkit.model.compaction import Compaction
from mmkit.model.compacttrace import MigrateFailed, MmCompactionBegin, MmCompactionEnd, MmCompactionMigratepages
from mmkit.model.fragmentation import measure
from mmkit.model.fragstate import CompactionSnapshot, Fragmentation, History, Occupancy
from mmkit.model.trace import Event, Trace
from mmkit.model.workload import Run, Workload
from mmkit.record import Record, field

MOMENTS = 60
"""Moments of a whole history."""
GROUPED, NOT_GROUPED = 0, 1
_TOLD = MmCompactionBegin, MigrateFailed, MmCompactionMigratepages, MmCompactionEnd


class Plan(Record):
    """What a workload is made from; shares are percentages of the requests."""

    seed: int = 1
    unmovable: int = 10
    reclaimable: int = 5
    long_lived: int = 10
    nr_pages: int = 8192

    def __str__(self) -> str:
        return (
            f"workload {self.seed}, {self.unmovable} % unmovable, {self.reclaimable} % reclaimable, "
            f"{self.long_lived} % long-lived"
        )


class FragState(Record):
    """Both memories, frozen; pairs are (grouped, not grouped)."""

    plan: Plan
    done: tuple[tuple[str, int], ...] = field(repr=False)
    """What was done since the beginning, from which it can be done again."""
    histories: tuple[History, ...] = field(repr=False)
    measures: tuple[Fragmentation, ...]
    occupancies: tuple[Occupancy, ...] = field(repr=False)
    compactions: tuple[CompactionSnapshot | None, ...] = field(repr=False)


class FragBench:
    """Runs a workload on both memories and compacts them; with a state, goes on from there.

    ``trace`` is told of a compaction what a reader can follow: each cluster of pages, not each page.
    """

    def __init__(self, plan: Plan | None = None, state: FragState | None = None, trace: Trace | None = None) -> None:
        self.trace: Trace | None = None
        self._begin(state.plan if state else plan or Plan())
        for name, value in state.done if state else ():
            {"advance": self.advance, "compact": self.compact, "step": self.step}[name](value)
        self.trace = trace

    def _begin(self, plan: Plan) -> None:
        if plan.unmovable + plan.reclaimable > 100:
            both = f"{plan.unmovable} % unmovable and {plan.reclaimable} % reclaimable"
            raise ValueError(f"{both} are more than all requests: lower one of the two")
        shares = {name: getattr(plan, name) / 100 for name in ("unmovable", "reclaimable", "long_lived")}
        workload = Workload(plan.seed, plan.nr_pages, **shares)
        self.plan, self.moment = plan, 0
        self.runs = tuple(Run(workload, grouping) for grouping in (True, False))
        self.compactions: list[Compaction | None] = [None, None]
        self.done: list[tuple[str, int]] = []
        self._frozen: list[tuple[object, ...] | None] = [None, None]

    def build(self, plan: Plan) -> None:
        """Begin anew with another workload, and run it as far as this one was.

        Raises ValueError, and keeps this one, for shares that together are more than all.
        """
        moment, before = self.moment, dict(vars(self))
        try:
            self._begin(plan)
        except ValueError:
            vars(self).update(before)
            raise
        self.advance(moment)

    @property
    def percent(self) -> int:
        """How much of the workload is done."""
        return 100 * self.moment // MOMENTS

    def advance(self, moments: int) -> int:
        """Go on with the workload for so many moments of MOMENTS, on both memories; return how many there were."""
        count = min(moments, MOMENTS - self.moment)
        for which in (GROUPED, NOT_GROUPED):
            self._stop_compaction(which)
            self._frozen[which] = None
        for _ in range(count):
            self.moment += 1
            for run in self.runs:
                run.advance(len(run.workload.steps) * self.moment // MOMENTS - run.nr_done)
                run.note()
        self.done.append(("advance", moments))
        return count

    def _stop_compaction(self, which: int) -> None:
        compaction = self.compactions[which]
        if compaction is not None:
            compaction.release_room()
        self.compactions[which] = None

    def _compaction(self, which: int) -> Compaction:
        compaction = self.compactions[which]
        if compaction is None or compaction.done:
            compaction = self.compactions[which] = self.runs[which].compaction()
        relay = Trace()
        compaction.trace = relay
        relay.listen(lambda event: self._tell(which, event))
        return compaction

    def _tell(self, which: int, event: Event) -> None:
        self._frozen[which] = None
        if self.trace is not None and (isinstance(event, _TOLD) or self.done[-1:] == [("step", which)]):
            self.trace.emit(event)

    def step(self, which: int) -> Compaction:
        """Do one step of compaction on one of the memories; a new compaction begins where the last one has ended."""
        self.done.append(("step", which))
        compaction = self._compaction(which)
        self._frozen[which] = None
        compaction.step()
        return compaction

    def compact(self, which: int) -> Compaction:
        """Compact one of the memories to the end."""
        self.done.append(("compact", which))
        compaction = self._compaction(which)
        self._frozen[which] = None
        compaction.run()
        return compaction

    def snapshot(self) -> FragState:
        """Return the state of both memories."""
        parts = [self._freeze(which) for which in (GROUPED, NOT_GROUPED)]
        histories, measures, occupancies, compactions = zip(*parts, strict=True)
        return FragState(self.plan, tuple(self.done), histories, measures, occupancies, compactions)

    def _freeze(self, which: int) -> tuple[object, ...]:
        found = self._frozen[which]
        if found is None:
            run, compaction = self.runs[which], self.compactions[which]
            occupancy = run.occupancy()
            found = (
                run.history, measure(occupancy.buddy), occupancy,
                compaction.snapshot() if compaction is not None else None,
            )  # fmt: skip
            self._frozen[which] = found
        return found
