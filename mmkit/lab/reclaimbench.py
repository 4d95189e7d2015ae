"""The bench of the memory pressure lab: a small machine, what its processes do, and what came of it, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmkit.errors import OutOfMemory
from mmkit.lab.vmamenus import choice
from mmkit.model.machine.pressure import FILE, Pressure
from mmkit.model.reclaimstate import ReclaimState
from mmkit.model.trace import Trace
from mmkit.record import Record, field
from mmkit.view.parts import listed, plural

MOST_PAGES, MOST_PROCESSES = 64, 4
"""Pages that are used at once, so that the timeline stays short enough to walk; processes that there is room for."""
WAYS = {"read()": "read", "a mapping, reading": "load", "a mapping, writing": "store"}
_CAME_OF_IT = (
    ("pageoutrun", "kswapd woke {}", "time"), ("allocstall", "direct reclaim ran {}", "time"),
    ("pgscan", "{} looked at", "page"), ("pswpout", "{} swapped out", "page"),
    ("pgdrop", "{} dropped", "page"), ("pswpin", "{} read back from swap", "page"), ("pgmajfault", "{}", "major fault"),
    ("workingset_refault_file", "{} of the file", "refault"),
)  # fmt: skip


class ReclaimBenchState(Record):
    """What the timeline keeps: the moment, and what was done, from which it can be done again."""

    pressure: ReclaimState
    done: tuple[tuple[str, tuple[Any, ...]], ...] = field(repr=False)


class ReclaimBench:
    """Processes that use memory; each method returns what came of it, in words, or raises ValueError."""

    def __init__(self, state: ReclaimBenchState | None = None, trace: Trace | None = None) -> None:
        self.pressure = Pressure()
        self.done: list[tuple[str, tuple[Any, ...]]] = []
        for name, arguments in state.done if state else ():
            getattr(self, name)(*arguments)
        self.listen(trace)

    def listen(self, trace: Trace | None) -> None:
        """Tell this trace what happens from now on."""
        self.pressure.told = trace.emit if trace is not None else None

    def snapshot(self) -> ReclaimBenchState:
        """Return the frozen state."""
        return ReclaimBenchState(self.pressure.snapshot(), tuple(self.done))

    # -- what can be done ---------------------------------------------------------------------------------------------

    def write(self, pid: int, pages: int) -> str:
        """Let a process write new pages."""
        who = self.pressure.alive(pid).called
        _pages(pages)
        return self._do("write", (pid, pages), lambda: f"{who} has written {self._new(pid, pages)}")

    def _new(self, pid: int, pages: int) -> str:
        done = self.pressure.write_new(pid, pages)
        return plural(done, "new page") + (f" of {pages}" if done < pages else "")

    def use(self, pid: int, first: int, pages: int, write: bool) -> str:
        """Let a process read or write pages that it has written before."""
        who = self.pressure.alive(pid).called
        _stretch(first, pages)

        def do() -> str:
            done = self.pressure.use(pid, first, pages, write)
            return f"{who} has {'written' if write else 'read'} {plural(done, 'page')} again"

        return self._do("use", (pid, first, pages, write), do)

    def use_file(self, pid: int, first: int, pages: int, way: str) -> str:
        """Let a process use pages of the file."""
        who = self.pressure.alive(pid).called
        _stretch(first, pages)
        choice(WAYS, way, "way to use the file")

        def do() -> str:
            done = self.pressure.use_file(pid, first, pages, WAYS[way])
            return f"{who} has used {plural(done, 'page')} of {FILE} through {way}"

        return self._do("use_file", (pid, first, pages, way), do)

    def lock(self, pid: int, first: int, pages: int) -> str:
        """Let a process lock pages into memory."""
        who = self.pressure.alive(pid).called
        _stretch(first, pages)

        def do() -> str:
            self.pressure.lock(pid, first, pages)
            return f"{who} has locked {plural(pages, 'page')}, and reclaim does not look at them"

        return self._do("lock", (pid, first, pages), do)

    def start(self, name: str | None) -> str:
        """Start a process."""
        if name is not None and (type(name) is not str or not name.isidentifier() or len(name) > 12):
            raise ValueError(f"a process has a name of at most 12 letters, not {name!r}")
        if sum(not task.end for task in self.pressure.tasks.values()) >= MOST_PROCESSES:
            raise ValueError(f"{MOST_PROCESSES} processes are as many as can be drawn: let one end first")

        def do() -> str:
            pid = self.pressure.start(name)
            return f"{self.pressure.alive(pid).called} is process {pid}"

        return self._do("start", (name,), do)

    def exit(self, pid: int) -> str:
        """End a process."""
        who = self.pressure.alive(pid).called

        def do() -> str:
            self.pressure.exit(pid)
            return f"{who} has ended"

        return self._do("exit", (pid,), do)

    def set_oom_score_adj(self, pid: int, adj: int) -> str:
        """Let a process have more or fewer points."""
        who, total = self.pressure.alive(pid).called, self.pressure.total_pages

        def do() -> str:
            self.pressure.set_oom_score_adj(pid, adj)
            if adj == -1000:
                return f"{who} is never killed now"
            sum_words = f"{adj} * ({total} // 1000) = {adj * (total // 1000)} points"
            few = "; on so small a machine only -1000 counts" if total < 1000 else ""
            return f"oom_score_adj of {who} adds {sum_words}{few}"

        return self._do("set_oom_score_adj", (pid, adj), do)

    def set_swappiness(self, value: int) -> str:
        """Say how much rather anonymous pages go than files'."""

        def do() -> str:
            self.pressure.set_swappiness(value)
            return f"swappiness is {value}: anonymous pages and files' are looked at as {value} to {200 - value}"

        return self._do("set_swappiness", (value,), do)

    # -- what came of it ----------------------------------------------------------------------------------------------

    def _do(self, name: str, arguments: tuple[Any, ...], do: Callable[[], str]) -> str:
        before = self.pressure.snapshot()
        try:
            what = do()
        except OutOfMemory:
            raise ValueError("memory is short and nobody may be killed: here a kernel panics") from None
        self.done.append((name, arguments))
        return f"{what}: {self._difference(before)}."

    def _difference(self, before: ReclaimState) -> str:
        after = self.pressure.snapshot()
        old, new = _counters(before), _counters(after)
        found = []
        if after.free != before.free:
            found.append(f"{after.free} pages free, {before.free} before")
        for name, words, thing in _CAME_OF_IT:
            if new[name] > old[name]:
                found.append(words.format(plural(new[name] - old[name], thing)))
        found += _moved(before, after)
        killed = {line.pid for line in before.processes if not line.end}
        for line in after.processes:
            if line.end == "killed" and line.pid in killed:
                found.append(f"{line.name} was killed, with {line.points} points")
        return listed(found) or "nothing else changes"


def _moved(before: ReclaimState, after: ReclaimState) -> list[str]:
    """Say how long the active lists are if that has changed, else how many more pages are marked as used."""
    old, new = dict(before.lists), dict(after.lists)
    active = ("active_anon", "active_file")
    found = [f"{name} has {plural(len(new[name]), 'page')}" for name in active if len(new[name]) != len(old[name])]
    more = sum(page.young for _, pages in after.lists for page in pages) - sum(
        page.young for _, pages in before.lists for page in pages
    )
    if not found and more > 0 and before.free == after.free:
        found.append(f"{plural(more, 'page')} more marked as used")
    return found


def _counters(state: ReclaimState) -> dict[str, int]:
    counters = dict(state.counters)
    return counters | {"pgdrop": counters["pgsteal"] - counters["pswpout"]}


def _pages(pages: object) -> None:
    if type(pages) is not int or not 1 <= pages <= MOST_PAGES:
        raise ValueError(f"1 to {MOST_PAGES} pages are used at once, not {pages!r}")


def _stretch(first: object, pages: object) -> None:
    _pages(pages)
    if type(first) is not int or first < 0:
        raise ValueError(f"pages are numbered from 0 on: there is none {first!r}")
