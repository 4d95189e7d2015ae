"""Arrays of addresses through any tables: what one translation after the other finds, raises and leaves behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkit.arch import PRESETS, X86_64
from mmkit.errors import MmkitError
from mmkit.model import tableimage, translate
from mmkit.model.memory import PhysicalMemory
from mmkit.model.mmu import Mmu, PageFault
from mmkit.model.pgstate import PteFlags
from mmkit.model.pgtable import PageTable
from mmkit.model.pgtable.words import TableWords
from mmkit.model.tableimage import TableImage
from mmkit.model.translate import Translator

ARCHES = [PRESETS[name] for name in PRESETS if name != "TOY"]
ACCESSES = [(access, user) for access in "rwx" for user in (True, False)]
ROOT, POOL = 0x40, range(0x40, 0x4F)
"""Frames that hold tables."""


def many(mmu, virt_addrs, access, user, translator=None, out=None):
    """All at once."""
    translator = translator or Translator(mmu.words, mmu.format)
    return translator.translate(
        mmu.root_addr, virt_addrs, lambda addr: mmu.translate(addr, access, user),
        allowed=mmu.allows(access, user), write=access == "w", out=out,
    )  # fmt: skip


def copy_of(words):
    made = TableWords(words.entry_bytes, words.page_shift)
    for pfn in POOL:
        if pfn in words:
            made.add(pfn)
            made.words(pfn)[:] = words.words(pfn)
    return made


def contents(words):
    return {pfn: words.words(pfn).tolist() for pfn in POOL if pfn in words}


def any_entry(rng, fmt, depth, strange):
    """An entry as tables have it; some take rights away, or have bits that nobody expects: ``strange`` of all."""
    odd = rng.random() < strange
    if depth < fmt.last and not (depth in fmt.large_depths and rng.random() < 0.3):
        below = [pfn for pfn in POOL if (pfn - POOL[0]) % (fmt.last + 1) == depth + 1]
        raw = fmt.table(int(rng.choice([*POOL, 0x99] if odd else below)) << 12, depth)
    else:
        shift = fmt.shifts[depth]
        flags = PteFlags(int(rng.integers(0, 16)) if odd else 7 | int(rng.choice([0, 8])))
        raw = fmt.page(int(rng.integers(0, (1 << 32 >> shift) or 2)) << shift, flags, depth)
        raw |= fmt.accessed_bit(depth) * int(rng.integers(0, 2)) | fmt.dirty_bit * int(rng.integers(0, 2))
    raw &= ~int(rng.choice([0x20, 0x22, 0x24]) if odd and rng.random() < 0.5 else 0)
    return raw ^ 1 << int(rng.integers(0, 8 * fmt.arch.entry_bytes)) if odd and rng.random() < 0.3 else raw


def any_address(rng, arch, used):
    """An address whose indices are in use, as far as one can see."""
    addr, levels = int(rng.integers(0, 1 << arch.page_shift)), len(arch.levels)
    table, depth = POOL[0], 0
    while depth < levels and table is not None:
        index = int(rng.choice(list(used[table])))
        if index >> arch.levels[depth].bits:  # a table that is not at the level it was made for
            break
        addr |= index << arch.levels[depth].shift
        table, depth = used[table][index], depth + 1
    for level in arch.levels[depth:]:
        addr |= int(rng.integers(0, 1 << level.bits)) << level.shift
    if arch.word_bytes == 8 and addr >> arch.virt_bits - 1:
        addr |= (1 << 64) - (1 << arch.virt_bits)
    return addr


@st.composite
def machines(draw):
    """An MMU of some architecture, tables of a few entries each that may lead anywhere, and addresses to ask for."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    arch = draw(st.sampled_from(ARCHES))
    strange = draw(st.sampled_from([0, 0.02, 0.2]))
    settings = {each: draw(st.booleans()) for each in ("wp", "nxe", "pse", "smep", "smap")}
    words = TableWords(arch.entry_bytes, arch.page_shift)
    for pfn in POOL:
        words.add(pfn)
    mmu = Mmu(arch, words, **settings)
    used = {pfn: {} for pfn in POOL}
    for pfn in POOL:
        depth = (pfn - POOL[0]) % len(arch.levels)
        for index in rng.integers(0, 1 << arch.levels[depth].bits, 4).tolist():
            raw = any_entry(rng, mmu.format, depth, strange)
            words.write((pfn << 12) + index * arch.entry_bytes, raw)
            to = int(mmu.format.address(raw, depth)) >> 12
            used[pfn][index] = (
                to if depth < mmu.format.last and not mmu.format.leaf(raw, depth) and to in POOL else None
            )
    mmu.cr3 = POOL[0] << 12
    addrs = [any_address(rng, arch, used) for _ in range(draw(st.integers(translate.FEW, 150)))]
    if rng.random() < strange:
        addrs[int(rng.integers(0, len(addrs)))] ^= 1 << arch.word_bytes * 8 - 1
    return mmu, np.array(addrs, np.uint64)


@given(machines(), st.sampled_from(ACCESSES))
def test_equal_to_one_after_the_other(made, kind):
    mmu, addrs = made
    before = mmu.words
    mmu.words = copy_of(before)
    expected, raised = [], None
    for addr in addrs.tolist():
        try:
            expected.append(mmu.translate(addr, *kind))
        except (MmkitError, ValueError) as error:
            raised = error
            break
    left = contents(mmu.words)
    mmu.words = before
    if raised is None:
        assert many(mmu, addrs, *kind).tolist() == expected
    else:
        with pytest.raises(type(raised)) as caught:
            many(mmu, addrs, *kind)
        assert str(caught.value) == str(raised)
    assert contents(mmu.words) == left


def joined_image(image, largest):
    """The same with two levels joined wherever the result has at most so many entries."""
    made = TableImage(image.tables, ROOT << 12, image.format, tuple(image._allowed.tolist()), image.write)
    kept, tableimage.LARGEST = tableimage.LARGEST, largest
    try:
        made._join()
    finally:
        tableimage.LARGEST = kept
    return made


@given(machines(), st.sampled_from(ACCESSES), st.sampled_from([0, 1, 1 << 21]))
def test_what_can_be_translated_is(made, kind, largest):
    mmu, addrs = made
    original = mmu.words
    good, expected = [], []
    for addr in addrs.tolist():
        mmu.words = copy_of(original)
        try:
            expected.append(mmu.translate(addr, *kind))
            good.append(addr)
        except (MmkitError, ValueError):
            continue
    mmu.words = original
    image = TableImage(original, mmu.root_addr, mmu.format, mmu.allows(*kind), kind[0] == "w")
    found = image.walk(addrs)
    joined = joined_image(image, largest)
    assert all(np.array_equal(a, b) for a, b in zip(joined.walk(addrs)[1:], found[1:], strict=True))
    assert np.array_equal(
        np.delete(joined.walk(addrs).phys_addrs, found.nowhere), np.delete(found.phys_addrs, found.nowhere)
    )
    assert [addr for index, addr in enumerate(addrs.tolist()) if index not in set(found.nowhere.tolist())] == good
    answered = np.delete(found.phys_addrs, found.nowhere)
    assert answered.tolist() == expected
    # What marks nothing is marked already: marking all leaves nothing to mark.
    image.mark(addrs[found.unmarked])
    again = TableImage(original, mmu.root_addr, mmu.format, mmu.allows(*kind), kind[0] == "w").walk(addrs)
    assert len(again.unmarked) == 0
    strict = TableImage(original, mmu.root_addr, mmu.format, mmu.allows(*kind), kind[0] == "w", marks=False).walk(addrs)
    assert np.array_equal(strict.nowhere, found.nowhere)


def small(pages=64):
    table = PageTable(X86_64, PhysicalMemory(X86_64, "64MiB"))
    for page in range(pages):
        table.map(0x7F0000000000 + (page << 12), 0x1000 + page, PteFlags.WRITE | PteFlags.USER)
    mmu = Mmu(X86_64, table.words)
    mmu.cr3 = table.cr3
    return table, mmu


def test_bits_that_are_not_set_are_and_no_fault():
    _, mmu = small()
    addrs = np.uint64(0x7F0000000000) + np.arange(0, 64 << 12, 1024, dtype=np.uint64)
    image = TableImage(mmu.words, mmu.root_addr, mmu.format, mmu.allows("r", True), False, marks=False)
    assert len(image.walk(addrs).nowhere) == len(addrs)
    version = mmu.words.version
    assert many(mmu, addrs, "r", True).tolist() == [mmu.translate(addr) for addr in addrs.tolist()]
    assert mmu.words.version > version
    assert {step.bits for step in mmu.walk(int(addrs[0])).steps} == {
        ("present", "writable", "user", "accessed", "dirty"), ("present", "writable", "user", "accessed", "no-execute"),
    }  # fmt: skip


def test_tables_are_laid_out_anew_when_they_change():
    table, mmu = small()
    translator = Translator(mmu.words, mmu.format)
    addrs = np.full(100, 0x7F0000000123, np.uint64)
    assert set(many(mmu, addrs, "r", True, translator).tolist()) == {0x1000123}
    many(mmu, addrs, "r", True, translator)
    allowed = mmu.allows("r", True)
    image = translator.image(mmu.root_addr, allowed, False)
    assert translator.image(mmu.root_addr, allowed, False) is image
    assert repr(image) == "<TableImage of X86_64: 4 tables>"
    table.unmap(0x7F0000000000)
    table.map(0x7F0000000000, 0x777, PteFlags.USER)
    assert translator.image(mmu.root_addr, allowed, False) is not image
    assert set(many(mmu, addrs, "r", True, translator).tolist()) == {0x777123}


def test_a_fault_comes_from_the_first_bad_address_and_what_was_before_it_stays():
    _, mmu = small()
    addrs = np.uint64(0x7F0000000000) + (np.arange(80, dtype=np.uint64) << np.uint64(12))
    with pytest.raises(PageFault) as caught:
        many(mmu, addrs, "w", True)
    assert (caught.value.addr, caught.value.error_code) == (0x7F0000040000, 6)
    assert all("dirty" in mmu.walk(addr).steps[-1].bits for addr in addrs[:64].tolist())


def test_chunks_and_few():
    _, mmu = small()
    translator = Translator(mmu.words, mmu.format)
    many(mmu, np.uint64(0x7F0000000000) + (np.arange(64, dtype=np.uint64) << np.uint64(12)), "r", True)
    rng = np.random.default_rng(1)
    addrs = np.uint64(0x7F0000000000) + rng.integers(0, 64 << 12, 2 * tableimage.CHUNK + 5).astype(np.uint64)
    expected = addrs - np.uint64(0x7F0000000000) + np.uint64(0x1000000)
    # Twice so many that levels are joined: the first time for having been many, then for being many at once.
    for _ in range(tableimage.MANY // len(addrs) + 1):
        assert np.array_equal(many(mmu, addrs, "r", True, translator), expected)
    assert [len(image._steps) for image in translator._images.values()] == [2]
    assert np.array_equal(many(mmu, addrs, "r", True), expected)
    assert np.array_equal(many(mmu, addrs, "w", True), expected)
    assert many(mmu, addrs[:3].tolist(), "r", True).tolist() == expected[:3].tolist()
    for count in (3, 100):
        out = np.zeros(count, np.uint64)
        assert many(mmu, addrs[:count], "r", True, out=out) is not addrs
        assert out.tolist() == expected[:count].tolist()
    with pytest.raises(ValueError, match=r"out is an array of 100 uint64, not of \(99,\) uint64"):
        many(mmu, addrs[:100], "r", True, out=np.zeros(99, np.uint64))
    assert many(mmu, [], "r", True).dtype == np.uint64
    with pytest.raises(TypeError, match="addresses are whole numbers, not float64"):
        many(mmu, [1.5], "r", True)


def test_one_page_of_a_gibibyte_costs_two_tables_of_room():
    fmt = Mmu(X86_64, TableWords(8)).format
    words = TableWords(8)
    for pfn in (1, 2):
        words.add(pfn)
    words.write(0x1000, 0x2067)
    for index in range(4):
        words.write(0x2000 + 8 * index, (index + 8 << 30) | 0xE7)
    image = TableImage(words, 0x1000, fmt, (True,) * 8, False)
    assert [len(each) for each in image._next] == [2 * 512, 2 * 512, 5 * 512, 5 * 512]
    addrs = np.arange(0, 4 << 30, 12345 << 8, dtype=np.uint64)
    assert np.array_equal(image.walk(addrs).phys_addrs, addrs + np.uint64(8 << 30))


def test_the_root_of_pae_is_a_quarter_of_nothing_else():
    # Four entries of eight bytes, anywhere in a page: two roots share one here.
    words = TableWords(8)
    for pfn in (1, 2, 3):
        words.add(pfn)
    for offset, table, frame in ((0x20, 2, 0x111), (0xFE0, 3, 0x222)):
        words.write((1 << 12) + offset + 8, (table << 12) | 1)
        words.write((table << 12), 0xE7 | frame << 21)
    mmu = Mmu("X86_PAE", words)
    addrs = np.full(40, (1 << 30) + 0x12345, np.uint64)
    for offset, frame in ((0x20, 0x111), (0xFE0, 0x222)):
        mmu.cr3 = (1 << 12) + offset
        assert set(many(mmu, addrs, "r", True).tolist()) == {(frame << 21) + 0x12345}
