"""The bench of the slab lab: a cache, the objects that were taken from it, and what was done with them."""

from __future__ import annotations

from random import Random

from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabstate import CacheSnapshot, ObjectSnapshot, SlabFlags
from mmkit.model.trace import Trace
from mmkit.record import Record, field

RAM = "256MiB"
MOST_OBJECTS = 20_000
"""How many objects one request of the lab takes at most."""
STEPS = 8
"""Up to so many objects at a time, each step is told; more are one step."""
DEBUG = {
    "F": SlabFlags.CONSISTENCY_CHECKS, "Z": SlabFlags.RED_ZONE, "P": SlabFlags.POISON, "U": SlabFlags.STORE_USER,
}  # fmt: skip
"""What can be switched on, by its letter on the kernel's command line (``slub_debug=FZPU``)."""
NR_CPUS = 8192
"""The largest CONFIG_NR_CPUS of x86-64."""
CRIMES = ("overrun", "underrun", "use after free", "double free", "wrong pointer")


class Plan(Record):
    """What a cache is made from."""

    object_size: int = 192
    align: int = 0
    nr_cpus: int = 1
    debug: str = ""
    """Letters of DEBUG, in this order."""
    random_order: bool = False

    @property
    def flags(self) -> SlabFlags:
        """Its flags."""
        flags = SlabFlags(0)
        for letter in self.debug:
            flags |= DEBUG[letter]
        return flags

    def __str__(self) -> str:
        cpus = f"{self.nr_cpus} CPU{'s' * (self.nr_cpus > 1)}"
        debugging = f", debugging {self.debug}" if self.debug else ""
        align = f", aligned to {self.align}" if self.align else ""
        return f"objects of {self.object_size:,} bytes{align}, {cpus}{debugging}"


class SlabState(Record):
    """A cache, frozen, and from what it came."""

    plan: Plan
    cache: CacheSnapshot
    live: tuple[int, ...] = field(repr=False)
    """Addresses of the objects in use, in the order in which they were taken."""
    freed: int | None
    """The object given back last."""
    looked_at: ObjectSnapshot | None
    """Of a cache that is debugged: the object that something was done to last."""
    done: tuple[tuple[str, tuple[int | str, ...]], ...] = field(repr=False)
    """What was done since the beginning, from which it can be done again."""


class SlabBench:
    """A cache on a machine of 256 MiB, and its user; with a state, goes on from there.

    Raises ValueError for a plan of a cache that cannot be.
    """

    def __init__(self, plan: Plan | None = None, state: SlabState | None = None, trace: Trace | None = None) -> None:
        self.trace: Trace | None = None
        self._begin(state.plan if state else plan or Plan())
        for name, arguments in state.done if state else ():
            getattr(self, name)(*arguments)
        self.trace = self.cache.trace = trace

    def _begin(self, plan: Plan) -> None:
        _check(plan)
        cache = KmemCache(
            "lab", plan.object_size, memory=PhysicalMemory("X86_64", RAM), align=plan.align, flags=plan.flags,
            nr_cpus=plan.nr_cpus, seed=1 if plan.random_order else None, trace=self.trace,
        )  # fmt: skip
        self.plan, self.cache = plan, cache
        self.live: list[int] = []
        self.freed: int | None = None
        self.touched: int | None = None
        self.done: list[tuple[str, tuple[int | str, ...]]] = []

    def build(self, plan: Plan) -> Plan:
        """Begin anew with another cache. Raises ValueError, and keeps this one, if it cannot be."""
        self._begin(plan)
        return plan

    def _bulk(self, count: int) -> None:
        # Thousands of steps would help nobody: then only the end is told.
        self.cache.trace = self.trace if count <= STEPS else None

    def alloc(self, count: int = 1, cpu: int = 0) -> tuple[int, int]:
        """Take objects; returns how many, and the last one.

        Raises ValueError for too few or too many, OutOfMemory as the cache does.
        """
        if not is_whole(count) or not 1 <= count <= MOST_OBJECTS:
            raise ValueError(f"take 1 to {MOST_OBJECTS:,} objects at a time, not {count!r}")
        self.done.append(("alloc", (count, cpu)))
        self._bulk(count)
        for _ in range(count):
            self.live.append(self.cache.alloc(cpu))
        self.touched = self.live[-1]
        return count, self.touched

    def free(self, address: int, cpu: int = 0) -> str:
        """Give back one object; returns what came of it, in words. Raises ValueError if nobody has it."""
        if address not in self.live:
            shown = f"{address:#x}" if is_whole(address) else repr(address)
            raise ValueError(f"{shown} is not in use: choose an object that was taken")
        self._bulk(1)
        self.done.append(("free", (address, cpu)))
        return self._given_back(self._free(address, cpu), 1)

    def free_random(self, count: int = 1, cpu: int = 0) -> str:
        """Give back ``count`` objects, any; returns what came of it, in words. Raises ValueError if there are fewer."""
        if not is_whole(count) or not 1 <= count <= len(self.live):
            raise ValueError(f"{len(self.live):,} objects are in use: give back 1 to that many, not {count!r}")
        self.done.append(("free_random", (count, cpu)))
        self._bulk(count)
        rng = Random(f"{len(self.done)} {len(self.live)}")
        taken = sum(self._free(rng.choice(self.live), cpu) for _ in range(count))
        return self._given_back(taken, count)

    def _given_back(self, taken: int, count: int) -> str:
        found = f" (debugging has found something, and taken {taken:,} of {count:,})" if taken < count else ""
        return f"{taken:,} object{'s' * (taken != 1)} given back, {len(self.live):,} in use{found}"

    def _free(self, address: int, cpu: int) -> bool:
        """Give back one object; returns False if debugging has not taken it."""
        self.cache.free(address, cpu)
        self.touched = address
        if address in self.cache.live:
            return False
        self.live.remove(address)
        self.freed = address
        return True

    def shrink(self) -> int:
        """Take away what CPUs hold, and give empty slabs back; returns how many."""
        self.done.append(("shrink", ()))
        self.cache.trace = self.trace
        return self.cache.shrink()

    def commit(self, crime: str) -> str:
        """Do something that no user of a cache may do; returns what, in words.

        Raises ValueError for an unknown crime, or if there is no object to commit it on; BadFree where the model
        refuses what SLUB would not notice.
        """
        if crime not in CRIMES:
            raise ValueError(f"unknown crime {crime!r}: choose one of {', '.join(CRIMES)}")
        if crime in ("use after free", "double free") and (self.freed is None or self.freed in self.cache.live):
            raise ValueError("give an object back first, and take none since")
        if crime not in ("use after free", "double free") and not self.live:
            raise ValueError("take an object first")
        self.cache.trace = self.trace
        words = {
            "overrun": self._overrun, "underrun": self._underrun, "use after free": self._use_after_free,
            "double free": self._double_free, "wrong pointer": self._wrong_pointer,
        }[crime]()  # fmt: skip
        self.done.append(("commit", (crime,)))
        return words

    def _overrun(self) -> str:
        address, size = self.live[-1], self.plan.object_size
        self.cache.write(address, b"A" * (size + 4))
        self.touched = address
        return f"{size + 4} bytes written into the object at {address:#x}, which has {size}"

    def _underrun(self) -> str:
        self.touched = self.live[-1]
        self.cache.write(self.touched - 1, b"U")
        return f"one byte written before the object at {self.touched:#x}"

    def _use_after_free(self) -> str:
        assert self.freed is not None
        self.touched = self.freed
        self.cache.write(self.freed + self.plan.object_size // 3, b"!")
        return f"one byte written into the object at {self.freed:#x}, which was given back"

    def _double_free(self) -> str:
        assert self.freed is not None
        self.touched = self.freed
        self.cache.free(self.freed)
        return f"the object at {self.freed:#x} given back a second time"

    def _wrong_pointer(self) -> str:
        self.touched = self.live[-1]
        self.cache.free(self.touched + 4)
        return f"{self.touched + 4:#x} given back, which lies inside an object"

    def validate(self) -> str:
        """Look at every object for damage; returns what was found, in words. Raises ValueError without debugging."""
        found = self.cache.validate()
        self.done.append(("validate", ()))
        return f"{len(found)} damaged object{'s' * (len(found) != 1)} found"

    def snapshot(self) -> SlabState:
        """Return the state."""
        return SlabState(
            self.plan, self.cache.snapshot(), tuple(self.live), self.freed, self._looked_at(), tuple(self.done)
        )  # fmt: skip

    def _looked_at(self) -> ObjectSnapshot | None:
        if self.cache.debug is None or self.touched is None:
            return None
        try:
            return self.cache.debug.object_snapshot(self.touched)
        except ValueError:  # Its slab was given back.
            return None


def _check(plan: Plan) -> None:
    """Refuse what the model, which would make a list for each CPU, does not look at."""
    if not isinstance(plan.random_order, bool):
        raise TypeError(f"random_order is True or False, not {plan.random_order!r}")
    if is_whole(plan.nr_cpus) and plan.nr_cpus > NR_CPUS:
        raise ValueError(f"nr_cpus is {plan.nr_cpus:,}: Linux on x86-64 runs on {NR_CPUS:,} at most")


def is_whole(number: object) -> bool:
    """Whether it is a whole number, and no truth value."""
    return isinstance(number, int) and not isinstance(number, bool)
