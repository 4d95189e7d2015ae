"""Problems of chapter 03: which zone, which constant, which watermark."""

from __future__ import annotations

import random
from typing import NamedTuple

from mmkit.arch import PRESETS, X86, X86_64, X86_PAE
from mmkit.course.problem import Problem, read_choice
from mmkit.model.memory import PhysicalMemory
from mmkit.units import format_size


class Frame(NamedTuple):
    """A page frame of a machine: architecture by name, RAM in bytes."""

    arch: str
    ram_bytes: int
    pfn: int


def _memory(arch: str, ram_bytes: int) -> PhysicalMemory:
    return PhysicalMemory(arch, ram=ram_bytes)


class WhichZone(Problem[Frame]):
    """In which zone does a frame lie?"""

    title = "Which zone?"
    form = "the zone's name, such as DMA32"

    def pose(self, rng: random.Random) -> Frame:
        """A machine and one of its frames."""
        arch, gib = rng.choice(((X86, 2), (X86, 3), (X86_PAE, 6), (X86_64, 2), (X86_64, 8)))
        memory = _memory(arch.name, gib << 30)
        zone = rng.choice([zone for zone in memory.zones if zone.present_pages])
        return Frame(arch.name, gib << 30, rng.randrange(zone.start_pfn, zone.start_pfn + zone.spanned_pages))

    def ask(self, state: Frame) -> str:
        """The machine and the frame."""
        arch = PRESETS[state.arch]
        where = f"frame {state.pfn:#x}, physical address {state.pfn * arch.page_size:#x}"
        return f"{arch.title}, {format_size(state.ram_bytes)} of RAM: in which zone is {where}?"

    def answer(self, state: Frame) -> str:
        """Ask the model."""
        zones = _memory(state.arch, state.ram_bytes).zones
        return str(next(z.name for z in zones if z.start_pfn <= state.pfn < z.start_pfn + z.spanned_pages))

    def read(self, answer: object) -> str:
        """A zone's name, whatever the case."""
        names = {name for arch in PRESETS.values() for name in arch.zone_names}
        return read_choice(answer, {name: name for name in names})

    def hints(self, state: Frame) -> list[str]:
        """The limits."""
        arch = PRESETS[state.arch]
        ends = [f"{zone.name} ends below {zone.end_addr:#x}" for zone in arch.zones if zone.end_addr]
        return ["Compare the physical address with the zone limits of this architecture.", "; ".join(ends) + "."]

    def solve(self, state: Frame) -> str:
        """The zones of the machine."""
        zones = [zone for zone in _memory(state.arch, state.ram_bytes).zones if zone.present_pages]
        return "\n".join(f"- {z.name}: {z.start_pfn:#x} to {z.start_pfn + z.spanned_pages - 1:#x}" for z in zones)


class DirectMap(Problem[Frame]):
    """Add the constant: where does the kernel see a frame?"""

    title = "Where does the kernel see it?"
    form = "a virtual address such as 0xc0100000, or none"

    def pose(self, rng: random.Random) -> Frame:
        """A frame of a 32-bit or 64-bit machine; on 32 bits sometimes one of high memory."""
        arch, gib = rng.choice(((X86, 2), (X86_64, 4)))
        zones = [zone for zone in _memory(arch.name, gib << 30).zones if zone.present_pages]
        zone = rng.choice(zones)
        return Frame(arch.name, gib << 30, zone.start_pfn + rng.randrange(zone.spanned_pages))

    def ask(self, state: Frame) -> str:
        """Machine, constant, frame."""
        arch = PRESETS[state.arch]
        return (
            f"{arch.title}, {format_size(state.ram_bytes)} of RAM. The constant is `{arch.page_offset:#x}`. "
            f"At which virtual address does the kernel see frame `{state.pfn:#x}` all the time?"
        )

    def answer(self, state: Frame) -> int | None:
        """None for high memory, which is not mapped all the time."""
        arch = PRESETS[state.arch]
        high = next((zone for zone in _memory(state.arch, state.ram_bytes).zones if zone.name == "HighMem"), None)
        if high is not None and high.present_pages and state.pfn >= high.start_pfn:
            return None
        return arch.page_offset + state.pfn * arch.page_size

    def read(self, answer: object) -> int | None:
        """An address, or "none"."""
        if isinstance(answer, str) and answer.strip().casefold() == "none":
            return None
        number = super().read(answer)
        return int(number)

    def show(self, answer: int | None) -> str:
        """In hexadecimal."""
        return "none" if answer is None else hex(answer)

    def hints(self, state: Frame) -> list[str]:
        """Two steps."""
        return [
            "First the physical address: the frame number times 4096.",
            "Then the constant, if the frame is in low memory.",
        ]

    def solve(self, state: Frame) -> str:
        """Multiply and add."""
        arch = PRESETS[state.arch]
        phys = state.pfn * arch.page_size
        if self.answer(state) is None:
            return (
                f"`{phys:#x}` is in HighMem: there is no constant for it; the kernel maps such a page when it needs it."
            )
        return f"`{state.pfn:#x}` times 4096 is `{phys:#x}`; plus `{arch.page_offset:#x}`."


class Marks(NamedTuple):
    """A zone's figures in pages and a request: free pages, the low mark, what is kept back from this request."""

    free: int
    low: int
    reserve: int
    order: int


class EnoughLeft(Problem[Marks]):
    """Does the zone serve the request, or does the kernel try the next zone?"""

    title = "Does the zone serve it?"
    form = "yes or no"

    def pose(self, rng: random.Random) -> Marks:
        """Figures near the limit."""
        low, reserve, order = rng.randrange(50, 900), rng.choice((0, rng.randrange(100, 3000))), rng.randrange(4)
        return Marks(low + reserve + rng.randrange(-12, 13), low, reserve, order)

    def ask(self, state: Marks) -> str:
        """State the figures."""
        return (
            f"A zone has {state.free} free pages, its low watermark is {state.low}, and {state.reserve} pages are kept "
            f"back from requests of this kind. Large blocks are plenty. Wanted: a block of order "
            f"{state.order}, {1 << state.order} page{'s' * (state.order > 0)}. Is this zone used?"
        )

    def answer(self, state: Marks) -> str:
        """As the kernel: all wanted pages but one count as gone, and more than the mark must remain."""
        left = state.free - ((1 << state.order) - 1)
        return "yes" if left > state.low + state.reserve else "no"

    def read(self, answer: object) -> str:
        """Yes or no."""
        return read_choice(answer, {"yes": "y", "no": "n"})

    def hints(self, state: Marks) -> list[str]:
        """The rule in two parts."""
        return [
            f"The bar is the low watermark plus what is kept back: {state.low + state.reserve}.",
            "Free pages, less the wanted ones but one, must be more than the bar; as many is not enough.",
        ]

    def solve(self, state: Marks) -> str:
        """Compare."""
        left = state.free - ((1 << state.order) - 1)
        bar = f"{state.low} + {state.reserve} = {state.low + state.reserve}"
        return f"{state.free} - ({1 << state.order} - 1) = {left}; the bar is {bar}."


class Reserve(Problem[tuple[int, int]]):
    """How much of a lower zone is kept back from those who could do with a higher one?"""

    title = "What is kept back?"

    def pose(self, rng: random.Random) -> tuple[int, int]:
        """Managed pages of the higher zones, and the ratio."""
        return rng.randrange(100_000, 4_000_000), rng.choice((32, 256))

    def ask(self, state: tuple[int, int]) -> str:
        """State the figures."""
        return (
            f"The zones above DMA32 manage {state[0]} pages; `lowmem_reserve_ratio` of DMA32 is {state[1]}. "
            "How many pages of DMA32 are kept back from a request that could use all those zones?"
        )

    def answer(self, state: tuple[int, int]) -> int:
        """Whole pages."""
        return state[0] // state[1]

    def hints(self, state: tuple[int, int]) -> list[str]:
        """Divide."""
        return ["The ratio is a divisor: the larger it is, the less is kept back. Whole pages count."]

    def solve(self, state: tuple[int, int]) -> str:
        """Divide."""
        return f"{state[0]} // {state[1]}"
