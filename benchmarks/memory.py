"""PhysicalMemory: how long a large machine takes to build, and what the way through zones costs a request."""

from __future__ import annotations

import numpy as np
from ratio import compare, report

from mmkit.model.buddy import BuddyAllocator
from mmkit.model.gfp import Gfp
from mmkit.model.memory import PhysicalMemory

PAGES = 16 << 20
STRUCT_PAGE_BYTES = 64
PAIRS = 5_000


def write_page_array() -> None:
    """What a real machine of 64 GiB does at the least: its array of struct page, written once."""
    for _ in range(STRUCT_PAGE_BYTES // 8):
        np.zeros(PAGES, np.uint64).fill(1)


def buddy_pairs(buddy: BuddyAllocator) -> None:
    """Take and give single pages, past zones and lists."""
    for _ in range(PAIRS):
        buddy.free(buddy.alloc(0), 0)


def memory_pairs(memory: PhysicalMemory) -> None:
    """Take and give single pages through the zonelist."""
    for _ in range(PAIRS):
        memory.free_pages(memory.alloc_pages(Gfp.GFP_HIGHUSER_MOVABLE))


def main() -> None:
    """Print one line for each claim."""
    built = compare(
        {"machine": lambda: PhysicalMemory("X86_64", "64GiB"), "array": write_page_array}, rounds=3
    )  # fmt: skip
    report("building 64 GiB, in units of writing its struct page array", built.ratio("machine", "array"), 1)
    buddy, memory = BuddyAllocator(1 << 20), PhysicalMemory("X86_64", "4GiB")
    served = compare({"buddy": lambda: buddy_pairs(buddy), "memory": lambda: memory_pairs(memory)})
    report("alloc_pages and free_pages, in units of the bare buddy's", served.ratio("memory", "buddy"), 6)


if __name__ == "__main__":
    main()
