"""Problems of chapter 06: how objects fit into slabs, which one comes next, what a size costs, who finds the crime."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.course.problem import Problem, read_choice
from mmkit.model.memory import PhysicalMemory
from mmkit.model.slab import KmemCache
from mmkit.model.slabgeometry import geometry
from mmkit.model.slabstate import SlabFlags, SlabGeometry

PAGE = 4096
SIZES = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
"""The sizes of ``kmalloc``'s caches."""


class Fit(NamedTuple):
    """Objects of a size, in a slab of 2**order pages."""

    size: int
    order: int


class WasteInSlab(Problem[Fit]):
    """What is left at the end of a slab?"""

    title = "The end of a slab"
    form = "a number of bytes"

    def pose(self, rng: random.Random) -> Fit:
        """A size that leaves something over."""
        order = rng.randrange(3)
        size = rng.randrange(9, 150) * 8
        return Fit(size if (PAGE << order) % size else size + 8, order)

    def ask(self, state: Fit) -> str:
        """Size and order."""
        pages = f"{1 << state.order} page{'s' * (state.order > 0)}"
        return (
            f"A cache has objects of {state.size} bytes, one right after the other, in slabs of {pages}. "
            "How many bytes at the end of each slab are in no object?"
        )

    def answer(self, state: Fit) -> int:
        """The remainder."""
        return (PAGE << state.order) % state.size

    def hints(self, state: Fit) -> list[str]:
        """Divide."""
        return [f"The slab has {PAGE << state.order:,} bytes.", "How many objects fit? The rest is the answer."]

    def solve(self, state: Fit) -> str:
        """Divide with remainder."""
        count = (PAGE << state.order) // state.size
        return f"{PAGE << state.order:,} = {count} x {state.size} + {self.answer(state)}."


class Wanted(NamedTuple):
    """Objects of a size, on a machine with so many CPUs."""

    size: int
    nr_cpus: int


class ChooseOrder(Problem[Wanted]):
    """Which order does SLUB choose for a size?"""

    title = "How large a slab?"
    form = "an order from 0 to 3"

    def pose(self, rng: random.Random) -> Wanted:
        """Sizes for which there is something to reckon."""
        return Wanted(rng.randrange(3, 120) * 16, rng.choice((2, 4, 8, 16)))

    def _geometry(self, state: Wanted) -> SlabGeometry:
        return geometry("problem", state.size, nr_cpus=state.nr_cpus)

    def ask(self, state: Wanted) -> str:
        """The rule, with the numbers of one machine."""
        return (
            f"Objects of {state.size} bytes, on a machine with {state.nr_cpus} CPUs. SLUB wants at least "
            f"4 x (fls({state.nr_cpus}) + 1) objects in a slab (fls: how many binary digits the number has), but no "
            "more than fit into order 3. Of the orders from the smallest that holds so many up to 3 it takes the first "
            "that wastes at most a sixteenth of the slab (else an eighth, a quarter, half). Which order is it?"
        )

    def answer(self, state: Wanted) -> int:
        """As the model has it."""
        return self._geometry(state).order

    def _least(self, state: Wanted) -> int:
        return min(4 * (state.nr_cpus.bit_length() + 1), (PAGE << 3) // state.size)

    def hints(self, state: Wanted) -> list[str]:
        """The least number, then the smallest order."""
        least = self._least(state)
        return [
            f"fls({state.nr_cpus}) is {state.nr_cpus.bit_length()}: SLUB wants at least {least} objects.",
            f"They take {least * state.size:,} bytes. Which is the smallest order with so many? Then look at the rest.",
        ]

    def solve(self, state: Wanted) -> str:
        """Order by order."""
        found = self._geometry(state)
        lines = []
        for order in range(4):
            size = PAGE << order
            lines.append(f"order {order}: {size // state.size} objects, {size % state.size} of {size:,} bytes wasted")
        return f"At least {self._least(state)} objects. " + "; ".join(lines) + f". SLUB takes order {found.order}."


class Script(NamedTuple):
    """Objects taken, then some of them given back, by their numbers from 1."""

    taken: int
    freed: tuple[int, ...]


class WhichNext(Problem[Script]):
    """Which object does the next request get?"""

    title = "Which one comes next?"
    form = "the number of an object"

    def pose(self, rng: random.Random) -> Script:
        """A few taken, two to four of them given back."""
        taken = rng.randrange(5, 10)
        return Script(taken, tuple(rng.sample(range(1, taken + 1), rng.randrange(2, 5))))

    def ask(self, state: Script) -> str:
        """Tell what happened."""
        freed = ", then ".join(map(str, state.freed))
        return (
            f"A CPU takes {state.taken} objects from a new cache, one after the other: call them 1 to {state.taken}. "
            f"It gives back {freed}. Now it takes two objects. Which number has the **second** of them?"
        )

    def answer(self, state: Script) -> int:
        """Played on a cache."""
        cache = KmemCache("problem", 64, memory=PhysicalMemory("X86_64", "64MiB"))
        addresses = [cache.alloc() for _ in range(state.taken)]
        for number in state.freed:
            cache.free(addresses[number - 1])
        cache.alloc()
        return addresses.index(cache.alloc()) + 1

    def hints(self, state: Script) -> list[str]:
        """A stack."""
        return [
            "A CPU's list is a stack.",
            "What was given back last is still in the processor's cache: it is taken first.",
        ]

    def solve(self, state: Script) -> str:
        """From the top of the stack."""
        stack = ", ".join(map(str, reversed(state.freed)))
        return f"The CPU's list has, head first: {stack}, and then those never taken. The second one is asked for."

    def explain(self, state: Script, given: int) -> str:
        """The first one?"""
        if given == state.freed[-1]:
            return "That is the first of the two."
        return f"{given} is not it; hint(1) helps."


class Asked(NamedTuple):
    """Bytes asked of ``kmalloc``."""

    size: int


class KmallocGives(Problem[Asked]):
    """How many bytes does kmalloc really give?"""

    title = "Asked for, and given"
    form = "a number of bytes"

    def pose(self, rng: random.Random) -> Asked:
        """Between two classes, near their borders more often than not."""
        size = rng.choice(SIZES)
        return Asked(max(1, size + rng.choice((-5, -1, 0, 1, 3, 7))) if size < 8192 else size - 1)

    def ask(self, state: Asked) -> str:
        """The classes, and the request."""
        classes = ", ".join(map(str, SIZES))
        return f"`kmalloc` has caches for {classes} bytes. How large is the object that `kmalloc({state.size})` gives?"

    def answer(self, state: Asked) -> int:
        """The smallest class that is large enough."""
        return next(size for size in SIZES if size >= state.size)

    def hints(self, state: Asked) -> list[str]:
        """Not only powers of two."""
        return ["The smallest class that is large enough.", "Two of the classes are no powers of two."]

    def solve(self, state: Asked) -> str:
        """Between which two?"""
        found = self.answer(state)
        return f"{found} is the smallest class that holds {state.size} bytes; {found - state.size} of them are waste."


class Crime(NamedTuple):
    """What somebody does with an object of 64 bytes."""

    what: str
    flag: SlabFlags


_CRIMES = (
    Crime("writes 70 bytes into it, while it is his", SlabFlags.RED_ZONE),
    Crime("writes one byte before its start, while it is his", SlabFlags.RED_ZONE),
    Crime("gives it back, and then writes to its twentieth byte", SlabFlags.POISON),
    Crime("gives it back, and a minute later gives it back again", SlabFlags.CONSISTENCY_CHECKS),
    Crime("gives back the address of its second half", SlabFlags.CONSISTENCY_CHECKS),
)
_FLAGS = {
    "Z": "red zones: bytes with a known value around each object",
    "P": "poison: a known value in every byte of a free object",
    "F": "consistency checks: is this address an object, and is it taken?",
    "U": "the last user: who took it and who gave it back",
}
_LETTER = {SlabFlags.RED_ZONE: "Z", SlabFlags.POISON: "P", SlabFlags.CONSISTENCY_CHECKS: "F"}


class WhoFindsIt(Problem[Crime]):
    """Which kind of debugging finds it?"""

    title = "Who finds it?"
    form = "one of the letters Z, P, F, U"

    def pose(self, rng: random.Random) -> Crime:
        """One of five crimes."""
        return rng.choice(_CRIMES)

    def ask(self, state: Crime) -> str:
        """The crime and the detectives."""
        flags = "\n".join(f"- **{letter}** {text}" for letter, text in _FLAGS.items())
        return f"Somebody takes an object of 64 bytes and {state.what}. Which part of `slub_debug` finds it?\n\n{flags}"

    def answer(self, state: Crime) -> str:
        """By its letter on the kernel's command line."""
        return _LETTER[state.flag]

    def read(self, answer: object) -> str:
        """A letter."""
        return read_choice(answer, _FLAGS)

    def hints(self, state: Crime) -> list[str]:
        """Where are the bytes?"""
        return ["Is the byte that changes inside the object, or beside it? Is it a byte at all?", "U only says who."]

    def solve(self, state: Crime) -> str:
        """Why."""
        return {
            "Z": "The bytes before and after an object are a red zone: its value is wrong when the object is freed.",
            "P": "A free object is full of 0x6b: the byte that is not is found when it is next handed out.",
            "F": "Whether an address is that of an allocated object is checked whenever one is freed.",
        }[self.answer(state)]
