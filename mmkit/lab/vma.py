"""The VMA lab: make every call that changes an address space, as any task, and see what becomes of its areas."""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets as widgets

from mmkit.lab.bar import button, menu, row, text
from mmkit.lab.base import Lab, handler
from mmkit.lab.pictures import Pictures
from mmkit.lab.slabbench import is_whole
from mmkit.lab.timeline import Entry, Step
from mmkit.lab.vmabench import VmaBench
from mmkit.lab.vmamenus import (
    ADVICE,
    ANONYMOUS,
    EXTRAS,
    PAGE,
    PLACES,
    PROTS,
    REMAPS,
    SHARING,
    WORD,
    Request,
    first_address,
    parse_length,
    places,
    size_words,
    window,
)
from mmkit.lab.vmastage import STAGES, BenchState, Looked, memories
from mmkit.lab.vmatexts import TEXTS, as_html
from mmkit.model.trace import Event
from mmkit.model.vmastate import MmState, TaskState
from mmkit.units import parse_address
from mmkit.view.picture import Picture
from mmkit.view.vma import AddressSpacePicture
from mmkit.view.vmachange import VmaChangePicture
from mmkit.view.vmatasks import TasksPicture
from mmkit.view.vmatree import LookupPicture

PICTURES = {
    "what the call changed": "change",
    "the whole address space": "layout",
    "the search for an address": "search",
    "tasks and address spaces": "tasks",
}
_KIND_WORDS = {"list": "the list", "rbtree": "the red-black tree", "maple": "the maple tree"}
KINDS = {words: kind for kind, words in _KIND_WORDS.items()}
_CHOOSE, _NOWHERE = "choose an address", -1
_LOOK: dict[str, Any] = {"style": {"description_width": "initial"}}


def _offer(menu: widgets.Dropdown, options: dict[str, Any], value: Any) -> None:
    """Let a menu offer something else; nothing is sent if it does already."""
    if tuple(options.items()) != tuple(menu.options):
        menu.options = tuple(options.items())
    menu.value = value


class VmaLab(Lab):
    """Processes and threads, whose memory is changed call by call; ``stage`` is what they begin with.

    Addresses, lengths and offsets are numbers of bytes, or text: "0x10000000", "4 pages", "64 KiB". What a method is
    not told it takes from its control.
    """

    def __init__(self, stage: str = "python, just loaded", picture: str = "what the call changed") -> None:
        bench = VmaBench(stage)  # An unknown stage is refused before there are controls for it.
        self._following = False
        self._make_task_controls(stage)
        self._make_call_controls()
        self._make_view_controls(picture)
        super().__init__(self._rows(), ())
        self.children = (*self.children, self.text_box)  # type: ignore[has-type]
        self._pictures = Pictures()
        bench.trace = self.trace
        self.address_box.value = f"{first_address(bench.snapshot().mm):#x}"
        self.begin(bench, f"{stage}, {bench.summary}")
        self._connect()

    def _make_task_controls(self, stage: str) -> None:
        self.stage_menu = menu("Begin with", tuple(STAGES), stage, "19em")
        self.task_menu = menu("Task", (("none", 0),), 0, "17em")
        self.fork_button = button("fork", "A child process, with a copy of the address space", self.fork)
        self.thread_button = button("New thread", "A thread, which shares the address space", self.thread)
        self.exec_button = button("execve", "Run python in this process, in a new address space", self.execute)
        self.exit_button = button("exit", "End this task, and no other (the system call exit)", self.exit)

    def _make_call_controls(self) -> None:
        self.place_menu = menu("Place", ((_CHOOSE, _NOWHERE),), _NOWHERE, "23em")
        self.address_box = text("Address", "0x10000000", "17em")
        self.length_box = text("Length", "4 pages", "11em")
        self.read_button = button("Read", "Read one byte at the address", partial(self.touch, write=False))
        self.write_button = button("Write", "Write one byte at the address", partial(self.touch, write=True))
        self.prot_menu = menu("Rights", tuple(PROTS), "rw-", "8em")
        self.sharing_menu = menu("Kind", tuple(SHARING), "private", "9em")
        self.memory_menu = menu("Backed by", tuple(memories(()).items()), ANONYMOUS, "27em")
        self.offset_box = text("Offset", "0", "8em")
        self.where_menu = menu("Where", tuple(PLACES), "anywhere", "18em")
        self.extra_menu = menu("With", tuple(EXTRAS), "nothing", "12em")
        self.mmap_button = button("mmap", "Map Length bytes", self.mmap, style="primary")
        self.munmap_button = button("munmap", "Unmap Length bytes from Address on", self.munmap)
        self.mprotect_button = button("mprotect", "Give them these Rights", self.mprotect)
        self.mlock_button = button("mlock", "Lock them into memory", self.mlock)
        self.munlock_button = button("munlock", "Let them go again", self.munlock)
        self.advice_menu = menu("Advice", tuple(ADVICE), "MADV_DONTNEED", "16em")
        self.madvise_button = button("madvise", "Give this advice about them", self.madvise)
        self.new_length_box = text("New length", "8 pages", "13em")
        self.how_menu = menu("Move", tuple(REMAPS), "may move", "18em")
        self.new_address_box = text("New address", "0x20000000", "17em")
        self.mremap_button = button("mremap", "Resize or move what lies at Address", self.mremap)
        self.heap_box = widgets.BoundedIntText(
            4, min=-65536, max=65536, description="Heap by pages", layout=widgets.Layout(width="11em"), **_LOOK
        )
        self.brk_button = button("brk", "Move the end of the heap", self.brk)

    def _make_view_controls(self, picture: str) -> None:
        if picture not in PICTURES:
            raise ValueError(f"there is no picture {picture!r}: choose one of {', '.join(map(repr, PICTURES))}")
        self.kind_menu = menu("Search in", tuple(KINDS.items()), "maple", "17em")
        self.find_button = button("Find", "Look for the area of Address", self.find)
        self.picture_menu = menu("Picture", tuple(PICTURES.items()), PICTURES[picture], "20em")
        self.text_menu = menu("Text", tuple(TEXTS), "none", "16em")
        self.text_box = widgets.HTML()

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(
                self.stage_menu, self.task_menu, self.fork_button, self.thread_button, self.exec_button,
                self.exit_button,
            ),
            row(
                self.place_menu, self.address_box, self.length_box, self.read_button, self.write_button,
            ),
            row(self.prot_menu, self.sharing_menu, self.memory_menu, self.offset_box),
            row(
                self.where_menu, self.extra_menu, self.mmap_button, self.munmap_button, self.mprotect_button,
                self.mlock_button, self.munlock_button,
            ),
            row(self.advice_menu, self.madvise_button, self.heap_box, self.brk_button),
            row(self.new_length_box, self.how_menu, self.new_address_box, self.mremap_button),
            row(self.kind_menu, self.find_button, self.picture_menu, self.text_menu),
        )  # fmt: skip

    def _connect(self) -> None:
        self.stage_menu.observe(self._told(self.build), "value")
        self.task_menu.observe(self._told(self.switch), "value")
        self.place_menu.observe(self._placed, "value")
        for look in (self.picture_menu, self.text_menu, self.kind_menu):
            look.observe(lambda _: self.redraw(), "value")

    def _told(self, do: Any) -> Any:
        return lambda change: None if self._following else do(change.new)

    def _placed(self, change: Any) -> None:
        if not self._following and change.new != _NOWHERE:
            self.address_box.value = f"{change.new:#x}"

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: BenchState) -> VmaBench:
        """Return a bench in that state: what was done is done again."""
        return VmaBench(state=snapshot, trace=self.trace)

    def step(self, event: Event, model: Any) -> Step[Any]:
        """Return what the timeline keeps of ``event``."""
        if isinstance(event, Looked):
            return event.words, self.snapshot_of(model), event
        return super().step(event, model)

    def draw(self, entry: Entry[BenchState]) -> None:
        """Update picture and text; the menus follow the timeline."""
        state = entry.snapshot
        before = self._before(entry)
        self.pictures = (self._drawn(state, before),)
        self.text_box.value = as_html(self.text_menu.value, state.mm)
        self._follow(state)

    def _before(self, entry: Entry[BenchState]) -> MmState | None:
        """The address space as it was before the operation shown; None if that was another."""
        if not entry.operation:
            return None
        then = self.timeline.entries[self.timeline.ends[entry.operation - 1]].snapshot
        now = entry.snapshot
        call = now.done[-1][0] if now.done else "begin"
        return then.mm if then.pid == now.pid and call not in ("begin", "execute") else None

    def _drawn(self, state: BenchState, before: MmState | None) -> Picture:
        kind, mm = self.picture_menu.value, state.mm
        if kind == "layout" or (kind == "change" and before is None):
            addr = state.search[1] if state.search else None
            return self._pictures.show("layout", AddressSpacePicture, mm, before, addr)
        if kind == "tasks":
            return self._pictures.show(kind, TasksPicture, state.tasks)
        if kind == "search":
            which = self.kind_menu.value
            return self._pictures.show(f"{kind} {which}", LookupPicture, (state.tree(which),))
        return self._pictures.show(kind, VmaChangePicture, mm, before, window(mm, before, state.stretch))

    def _follow(self, state: BenchState) -> None:
        self._following = True
        self.stage_menu.value = state.stage
        tasks = {_task_words(task): task.pid for task in state.tasks.tasks}
        _offer(self.task_menu, tasks, state.pid)
        _offer(self.place_menu, {_CHOOSE: _NOWHERE} | places(state.mm), _NOWHERE)
        offered = memories(state.opened)
        chosen = self.memory_menu.value
        _offer(self.memory_menu, offered, chosen if chosen in offered.values() else ANONYMOUS)
        self._following = False

    # -- what can be done ---------------------------------------------------------------------------------------------

    def _address(self, given: int | str | None, box: widgets.Text | None = None) -> int:
        addr = parse_address((box or self.address_box).value if given is None else given)
        if addr >= WORD:
            raise ValueError(f"{addr:#x} is no address: it has more than 64 bits")
        return addr

    def _length(self, given: int | str | None, box: widgets.Text | None = None) -> int:
        return parse_length((box or self.length_box).value if given is None else given)

    @handler
    def build(self, stage: str) -> None:
        """Begin anew with another stage."""
        self.act("begin anew", lambda bench: bench.begin(stage), told=str, instead_of="begin ")
        self.address_box.value = f"{first_address(self.timeline.current.snapshot.mm):#x}"

    @handler
    def mmap(
        self, length: int | str | None = None, prot: str | None = None, sharing: str | None = None,
        memory: str | None = None, offset: int | str | None = None, addr: int | str | None = None,
        where: str | None = None, extra: str | None = None,
    ) -> None:  # fmt: skip
        """Map memory; with ``addr`` and no ``where``, the address is a hint. The Address box gets what is returned."""
        place = where or (self.where_menu.value if addr is None else "near Address (a hint)")
        request = Request(
            0 if place == "anywhere" else self._address(addr), self._length(length), prot or self.prot_menu.value,
            sharing or self.sharing_menu.value, memory or self.memory_menu.value,
            self._length(offset, self.offset_box), place, extra or self.extra_menu.value,
        )  # fmt: skip
        self.act(request.title, lambda bench: bench.mmap(request), told=str)
        self._show_address()

    def _show_address(self) -> None:
        stretch = self.timeline.current.snapshot.stretch
        if stretch:
            self.address_box.value = f"{stretch[0]:#x}"

    @handler
    def munmap(self, addr: int | str | None = None, length: int | str | None = None) -> None:
        """Unmap ``length`` bytes from ``addr`` on."""
        at, size = self._address(addr), self._length(length)
        self.act(f"munmap {_range(at, size)}", lambda bench: bench.munmap(at, size), told=str)

    @handler
    def mprotect(self, addr: int | str | None = None, length: int | str | None = None, prot: str | None = None) -> None:
        """Give ``length`` bytes from ``addr`` on other rights, such as "r--"."""
        at, size, rights = self._address(addr), self._length(length), prot or self.prot_menu.value
        self.act(f"mprotect {_range(at, size)}, {rights}", lambda bench: bench.mprotect(at, size, rights), told=str)

    @handler
    def mlock(self, addr: int | str | None = None, length: int | str | None = None) -> None:
        """Lock ``length`` bytes from ``addr`` on into memory."""
        at, size = self._address(addr), self._length(length)
        self.act(f"mlock {_range(at, size)}", lambda bench: bench.mlock(at, size), told=str)

    @handler
    def munlock(self, addr: int | str | None = None, length: int | str | None = None) -> None:
        """Unlock ``length`` bytes from ``addr`` on."""
        at, size = self._address(addr), self._length(length)
        self.act(f"munlock {_range(at, size)}", lambda bench: bench.munlock(at, size), told=str)

    @handler
    def madvise(
        self, addr: int | str | None = None, length: int | str | None = None, advice: str | None = None
    ) -> None:
        """Give advice, such as "MADV_DONTNEED", about ``length`` bytes from ``addr`` on."""
        at, size, what = self._address(addr), self._length(length), advice or self.advice_menu.value
        self.act(f"madvise {_range(at, size)}, {what}", lambda bench: bench.madvise(at, size, what), told=str)

    @handler
    def mremap(
        self, addr: int | str | None = None, length: int | str | None = None, new_length: int | str | None = None,
        how: str | None = None, new_addr: int | str | None = None,
    ) -> None:  # fmt: skip
        """Resize or move what lies at ``addr``. The Address box gets what is returned."""
        at, size, way = self._address(addr), self._length(length), how or self.how_menu.value
        new_size = self._length(new_length, self.new_length_box)
        new = self._address(new_addr, self.new_address_box) if way.startswith("to ") else 0
        title = f"mremap {_range(at, size)} to {size_words(new_size)}, {way.replace('New address', f'{new:#x}')}"
        self.act(title, lambda bench: bench.mremap(at, size, new_size, way, new), told=str)
        self._show_address()

    @handler
    def brk(self, pages: int | None = None) -> None:
        """Move the end of the heap by so many pages."""
        change = self.heap_box.value if pages is None else pages
        if not is_whole(change):
            raise TypeError(f"the heap grows and shrinks by whole pages, not by {change!r}")
        self.act(f"brk by {change:+} pages", lambda bench: bench.brk(change * PAGE), told=str)

    @handler
    def touch(self, addr: int | str | None = None, write: bool = False) -> None:
        """Read or write one byte."""
        at = self._address(addr)
        self.act(f"{'write' if write else 'read'} at {at:#x}", lambda bench: bench.touch(at, write), told=str)

    @handler
    def fork(self) -> None:
        """Start a child process."""
        self.act("fork", lambda bench: bench.fork(), told=str)
        self._look_at("tasks")

    @handler
    def thread(self) -> None:
        """Start a thread."""
        self.act("start a thread", lambda bench: bench.thread(), told=str)
        self._look_at("tasks")

    @handler
    def switch(self, pid: int) -> None:
        """Let another task make the calls."""
        self.act(f"switch to task {pid}", lambda bench: bench.switch(pid), told=str)

    @handler
    def execute(self) -> None:
        """Run python in this process."""
        self.act("execve python", lambda bench: bench.execute(), told=str)

    @handler
    def exit(self) -> None:
        """End this task."""
        self.act("exit", lambda bench: bench.exit(), told=str)
        self._look_at("tasks")

    @handler
    def find(self, addr: int | str | None = None, kind: str | None = None) -> None:
        """Look for an address in the list, the red-black tree or the maple tree ("list", "rbtree", "maple")."""
        at, where = self._address(addr), kind or self.kind_menu.value
        self.act(
            f"find {at:#x} in {_KIND_WORDS.get(where, repr(where))}", lambda bench: bench.find(at, where), told=str
        )
        self.kind_menu.value = where
        self._look_at("search")

    def _look_at(self, picture: str) -> None:
        self.picture_menu.value = picture


def _range(addr: int, length: int) -> str:
    return f"{size_words(length)} at {addr:#x}"


def _task_words(task: TaskState) -> str:
    what = "process" if task.pid == task.tgid else f"thread of {task.tgid}"
    return f"{task.pid} {task.name}, {what}"
