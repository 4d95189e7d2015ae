"""Tasks: threads share one address space, processes have one each.

Models: kernel/fork.c (Linux 6.18), copy_mm(), mmget(), mmput(); fs/exec.c, de_thread(); struct task_struct as far as it
says whose memory a task uses. Leaves out: everything else that a task is: scheduling, signals, files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmkit.errors import InvariantError
from mmkit.model.snapshot import MODEL, Source
from mmkit.model.vma.load import Program, execute
from mmkit.model.vma.mm import MmStruct
from mmkit.model.vmastate import TasksState, TaskState


class Task:
    """A thread: ``pid`` is its own number, ``tgid`` its process's; ``mm`` is what it shares with its process."""

    def __init__(self, tasks: Tasks, pid: int, tgid: int, parent: int, name: str, mm: MmStruct) -> None:
        self.tasks, self.pid, self.tgid, self.parent, self.name, self.mm = tasks, pid, tgid, parent, name, mm

    def clone_thread(self) -> Task:
        """Start another thread of this process: clone(CLONE_VM | CLONE_THREAD ...). Raises ValueError after exit()."""
        self._must_live()
        return self.tasks.add(self.tgid, self.parent, self.name, self.mm.get())

    def fork(self) -> Task:
        """Start a child process with a copy of the address space. Raises ValueError after exit()."""
        self._must_live()
        return self.tasks.add(None, self.tgid, self.name, self.mm.fork())

    def execute(self, program: Program, interpreter: Program | None = None, *, argv: Sequence[str] = (),
                env: Sequence[str] = (), seed: int | None = None) -> None:  # fmt: skip
        """Run another program: other threads end, and the address space is a new one. Errors as of load.execute()."""
        self._must_live()
        old = self.mm
        new = MmStruct(old.arch, kernel=old.rules.kernel, stack_limit=old.stack_limit, trace=old.trace)
        execute(new, program, interpreter, argv=argv, env=env, seed=seed)
        for other in [task for task in self.tasks if task.tgid == self.tgid and task is not self]:
            other.exit()
        self.mm, self.name, self.pid = new, new.name, self.tgid
        old.put()

    def exit(self) -> None:
        """End this thread; with the last one that uses it, the address space goes. Raises ValueError a second time."""
        self._must_live()
        self.tasks.remove(self)
        self.mm.put()

    def _must_live(self) -> None:
        if self not in self.tasks:
            raise ValueError(f"task {self.pid} has ended")

    def __repr__(self) -> str:
        return f"Task(pid={self.pid}, tgid={self.tgid}, {self.name!r})"


class Tasks:
    """All tasks of a machine, in the order in which they began.

    >>> tasks = Tasks()
    >>> main = tasks.start(MmStruct(), "server")
    >>> thread, child = main.clone_thread(), main.fork()
    >>> thread.mm is main.mm, main.mm.mm_users, child.mm is main.mm, child.mm.mm_users
    (True, 2, False, 1)
    """

    def __init__(self, first_pid: int = 1000) -> None:
        self._tasks: list[Task] = []
        self._next_pid = first_pid

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task: object) -> bool:
        return any(task is each for each in self._tasks)

    def start(self, mm: MmStruct, name: str = "") -> Task:
        """Return the first thread of a new process that uses ``mm``."""
        return self.add(None, 1, name or mm.name, mm)

    def add(self, tgid: int | None, parent: int, name: str, mm: MmStruct) -> Task:
        """Return a new task; without ``tgid`` it is a process of its own."""
        pid = self._next_pid
        self._next_pid += 1
        task = Task(self, pid, tgid or pid, parent, name, mm)
        self._tasks.append(task)
        return task

    def remove(self, task: Task) -> None:
        """Take a task off the list."""
        self._tasks = [each for each in self._tasks if each is not task]

    def snapshot(self, source: Source = MODEL) -> TasksState:
        """Return the frozen state: tasks in order, address spaces in the order of their first tasks."""
        mms: list[MmStruct] = []
        for task in self._tasks:
            if not any(task.mm is mm for mm in mms):
                mms.append(task.mm)
        places = {id(mm): place for place, mm in enumerate(mms)}
        rows = [TaskState(task.pid, task.tgid, task.parent, task.name, places[id(task.mm)]) for task in self._tasks]
        return TasksState(tuple(rows), tuple(mm.snapshot(source) for mm in mms), source)

    def check(self) -> None:
        """Raise InvariantError, with the name of the rule, if users are miscounted or a process has two memories."""
        for task in self._tasks:
            users = sum(each.mm is task.mm for each in self._tasks)
            if users != task.mm.mm_users:
                raise InvariantError(
                    f"mm_users: {users} tasks use the memory of {task}, {task.mm.mm_users} are counted"
                )
            if any(each.tgid == task.tgid and each.mm is not task.mm for each in self._tasks):
                raise InvariantError(f"one memory a process: the threads of process {task.tgid} have several")
            task.mm.check()
