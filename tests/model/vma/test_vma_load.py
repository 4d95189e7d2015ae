"""Programs laid out: this Python and what gcc makes, as the kernel lays them out; randomness within its bounds."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from errno import E2BIG, EFAULT, EINVAL
from pathlib import Path

import pytest
from execpeer import ENV, STACK, errno_of_exec, interpreter_of, read_program, texts_after_exec
from vmapeers import needs_linux, plain

from mmkit.data import recording, recordings
from mmkit.errors import MmError
from mmkit.model.snapshot import Source
from mmkit.model.vma import File, MmStruct
from mmkit.model.vma.elf import ET_DYN, Elf, Segment, parse_elf
from mmkit.model.vma.load import Program, execute
from mmkit.proc import addrspace, maps, status

PYTHON = os.path.realpath(sys.executable)
KINDS = {
    "position independent": (), "at a fixed address": ("-no-pie",), "static": ("-static",),
    "static, position independent": ("-static-pie",), "executable stack": ("-z", "execstack"),
    "aligned to 2 MiB": ("-Wl,-z,max-page-size=2097152",),
}  # fmt: skip
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, to make programs of every kind")


def laid_out(path: str, *arguments: str, stack: int = STACK, seed: int | None = None) -> MmStruct:
    """The model's layout of what :func:`texts_after_exec` starts."""
    program = read_program(path)
    mm = MmStruct(stack_limit=stack)
    return execute(mm, program, interpreter_of(program), argv=(path, *arguments), env=ENV, path=path, seed=seed)


def assert_like_the_kernel(path: str, *arguments: str, stack: int = STACK) -> None:
    texts = texts_after_exec(path, *arguments, stack=stack)
    mm = laid_out(path, *arguments, stack=stack)
    assert plain(mm.maps()) == plain(texts["maps"])
    mm.check()
    ours = mm.snapshot()
    theirs = addrspace.address_space(
        "", smaps_text=texts["smaps"], status_text=texts["status"], stat_text=texts["stat"], source=Source("live")
    )
    for name in ("start_code", "end_code", "start_data", "end_data", "start_brk", "start_stack", "arg_start", "arg_end",
                 "env_start", "env_end"):  # fmt: skip
        assert (name, getattr(ours.layout, name)) == (name, getattr(theirs.layout, name))
    assert [(vma.start, vma.letters, vma.anon_pages) for vma in ours.vmas] == [
        (vma.start, vma.letters, vma.anon_pages) for vma in theirs.vmas
    ]
    known = status.parse(texts["status"])
    sizes = status.sizes_of(ours.counters, ours.layout)
    assert sizes == {name: known.kb(name) for name in sizes}
    assert status.format_statm(status.statm_of(ours.counters, ours.layout)) == texts["statm"]


@needs_linux
def test_this_python_is_laid_out_as_the_kernel_lays_it_out() -> None:
    assert_like_the_kernel(PYTHON, "-c", "pass")


@needs_linux
@pytest.mark.parametrize("stack", [64 << 10, 1 << 20, 200 << 20])
def test_the_stack_limit_moves_what_lies_below(stack: int) -> None:
    assert_like_the_kernel(PYTHON, stack=stack)


@needs_linux
@needs_gcc
@pytest.mark.parametrize("kind", KINDS)
def test_programs_of_every_kind(kind: str, tmp_path: Path) -> None:
    source, made = tmp_path / "x.c", str(tmp_path / "x")
    source.write_text("int zeros[5000]; int data = 3; int main(void) { return 0; }\n")
    subprocess.run(["gcc", *KINDS[kind], str(source), "-o", made], check=True, capture_output=True)
    assert_like_the_kernel(os.path.realpath(made), "one", "argument")


@needs_linux
@pytest.mark.parametrize("stack", [256 << 10, 1 << 20, 8 << 20, 64 << 20])
def test_too_long_arguments_are_refused_from_the_same_byte_on(stack: int) -> None:
    limit = max(min(6 << 20, stack // 4), 128 << 10)
    path, word = PYTHON, "x" * 65535
    words = [word] * ((limit - 4096) // 65544)
    room = limit - len(path) - 1 - 8 - len(words) * 65544 - 8 * len(ENV) - sum(len(each) + 1 for each in ENV)
    for more, fits in ((room - 1, True), (room, False)):
        argv = [*words, "x" * more]
        assert errno_of_exec(path, argv, stack) == (0 if fits else E2BIG)
        mm, program = MmStruct(stack_limit=stack), read_program(path)
        if fits:
            execute(mm, program, interpreter_of(program), argv=argv, env=ENV, path=path).check()
        else:
            with pytest.raises(MmError, match="arguments and environment take"):
                execute(mm, program, interpreter_of(program), argv=argv, env=ENV, path=path)
            assert (mm.map_count, mm.name) == (0, "a.out")


@needs_linux
def test_one_argument_has_128_kib_at_most() -> None:
    for length, found in ((131071, 0), (131072, E2BIG)):
        assert errno_of_exec(PYTHON, ["x" * length], STACK) == found
    with pytest.raises(MmError, match="a string of 131073 bytes: 131072 are allowed"):
        execute(MmStruct(), small(), argv=["x" * 131072])


@needs_linux
def test_a_randomised_process_lies_where_some_seed_could_put_it() -> None:
    texts = [texts_after_exec(PYTHON, randomised=True)["maps"] for _ in range(3)]
    ours = [laid_out(PYTHON, seed=seed).maps() for seed in range(40)]
    assert len(set(ours)) == 40
    for text in texts:
        assert shape(text) == shape(ours[0])
        for place, (low, high) in bounds().items():
            assert low <= places(text)[place] < high, place
    assert laid_out(PYTHON, seed=7).maps() == ours[7]


def shape(text: str) -> list[tuple[int, str, str]]:
    """Sizes, rights and names of the areas, but not where they lie."""
    mapped = [mapping for mapping in maps.parse(text) if mapping.name != "[vsyscall]"]
    return [(mapping.end - mapping.start, mapping.perms, mapping.name) for mapping in mapped]


def places(text: str) -> dict[str, int]:
    """Where a randomised process has its program, its mappings, its stack."""
    mapped = [mapping for mapping in maps.parse(text) if mapping.name != "[vsyscall]"]
    stack = next(mapping for mapping in mapped if mapping.name == "[stack]")
    return {"program": mapped[0].start, "mappings": mapped[mapped.index(stack) - 1].end, "stack": stack.end}


def bounds() -> dict[str, tuple[int, int]]:
    """The ranges that 28 bits of pages, and 22 for the stack, allow on x86-64 with an 8 MiB stack limit."""
    top, program = (1 << 47) - 4096, ((1 << 47) - 4096) // 3 * 2
    spread = ((1 << 22) - 1) << 12
    base = top - STACK - spread - (1 << 20)
    return {
        "program": (program - (2 << 20), program + (1 << 40)),
        "mappings": (base - (1 << 40), base + 1),
        "stack": (top - spread - 8192, top + 1),
    }


@pytest.mark.parametrize("folder", ["host-6.18", "amd64-4g"])
def test_recorded_randomised_processes_lie_within_the_bounds(folder: str) -> None:
    files = [file for file in recording(folder).files if file.startswith("aslr/")]
    assert len(files) == 6
    seen = [places(recording(folder).text(file)) for file in files]
    dynamic = folder == "host-6.18"
    for place in ("program", "mappings", "stack") if dynamic else ("mappings", "stack"):
        low, high = bounds()[place]
        assert all(low <= each[place] < high for each in seen), place
        assert len({each[place] for each in seen}) == 6, place


def small(**changes: int) -> Program:
    segment = Segment(1, 5, 0, 0x1000, 0x2345, 0x2345, 0x1000)
    return Program(File("/bin/small", 20000), Elf(64, ET_DYN, 0x1000, 64, (segment,), ""))


def test_a_program_needs_what_it_asks_for() -> None:
    asks = small()._replace(elf=small().elf.__replace__(interpreter="/lib/ld.so"))
    with pytest.raises(ValueError, match=r"wants the interpreter '/lib/ld\.so', and got None"):
        execute(MmStruct(), asks)
    mm = execute(MmStruct(), small())
    with pytest.raises(ValueError, match="needs an empty address space, and this one has 5 areas"):
        execute(mm, small())


def test_a_program_of_32_bits_is_refused() -> None:
    narrow = small()._replace(elf=small().elf.__replace__(bits=32))
    with pytest.raises(ValueError, match=r"only 64-bit programs .* /bin/small has 32 bits, X86_64 64"):
        execute(MmStruct(), narrow)
    with pytest.raises(ValueError, match="/bin/small has 64 bits, X86 32"):
        execute(MmStruct("X86"), small())


def test_a_program_for_another_machine_is_refused() -> None:
    foreign = small()._replace(elf=small().elf.__replace__(machine=183))
    with pytest.raises(ValueError, match=r"only programs for x86-64 \(machine 62\) .* /bin/small is for 183"):
        execute(MmStruct(), foreign)


DAMAGE = {
    "bytes that the file does not have": ((("offset", 1 << 30),), EFAULT),
    "zeros beyond user space": ((("mem_bytes", 1 << 47),), EINVAL),
    "zeros over the segments above": ((("mem_bytes", 1 << 20),), 0),
    "an alignment that is no power of two": ((("align", 3 << 20),), 0),
}


@needs_linux
@needs_gcc
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_program_is_taken_or_refused_as_by_the_kernel(damage: str, tmp_path: Path) -> None:
    changes, errno = DAMAGE[damage]
    source, path = tmp_path / "x.c", str(tmp_path / "x")
    source.write_text("int zeros[5000]; int data = 3; int main(void) { return 0; }\n")
    subprocess.run(["gcc", str(source), "-o", path], check=True, capture_output=True)
    change_segment(path, 0 if errno == 0 else -1, dict(changes))
    if not errno:
        assert plain(laid_out(path).maps()) == plain(texts_after_exec(path)["maps"])
        return
    # It is too late for an error by then: the old program is gone, and the process is killed.
    assert execute_and_wait(path) == -signal.SIGSEGV
    with pytest.raises(MmError) as caught:
        laid_out(path)
    assert caught.value.errno == errno


def change_segment(path: str, which: int, changes: dict[str, int]) -> None:
    """Change fields of a segment that is loaded, in the file."""
    names = ("kind", "flags", "offset", "addr", "_", "file_bytes", "mem_bytes", "align")
    data = bytearray(Path(path).read_bytes())
    (phoff,), (count,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    rows = [phoff + 56 * number for number in range(count)]
    at = [row for row in rows if struct.unpack_from("<I", data, row)[0] == 1][which]
    fields = dict(zip(names, struct.unpack_from("<IIQQQQQQ", data, at), strict=True))
    if "offset" in changes:
        changes = {"offset": fields["offset"] + changes["offset"]}
    struct.pack_into("<IIQQQQQQ", data, at, *(fields | changes).values())
    Path(path).write_bytes(data)


def execute_and_wait(path: str) -> int:
    return subprocess.run([path], check=False, capture_output=True).returncode


def header(**changes: object) -> bytes:
    """A small ELF file of 64 bits with one segment, with some of it changed."""
    values = {"magic": b"\x7fELF", "class": 2, "data": 1, "kind": 3, "count": 1, "file_bytes": 100, "mem_bytes": 200,
              "offset": 0} | changes  # fmt: skip
    ident = values["magic"] + bytes([values["class"], values["data"], 1]) + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", values["kind"], 62, 1, 0, 64, 0, 0, 64, 56, values["count"], 0, 0, 0)
    row = struct.pack("<IIQQQQQQ", 1, 5, values["offset"], 0, 0, values["file_bytes"], values["mem_bytes"], 4096)
    return ident + head + row


def test_an_elf_file_is_read() -> None:
    elf = parse_elf(header())
    assert (elf.bits, elf.kind, len(elf.loads), elf.span, elf.loads[0].prot) == (64, ET_DYN, 1, 200, 5)


@pytest.mark.parametrize(("data", "words"), [
    (b"#!/bin/sh\n", r"begins with \\x7fELF, not with b'#!/b'"),
    (header(**{"class": 3}), "only little-endian ELF files of 32 or 64 bits"),
    (header(data=2), "only little-endian ELF files of 32 or 64 bits"),
    (header(count=2), "ends within its headers"),
    (header()[:80], "ends within its headers"),
    (header(kind=4), "type ET_EXEC 2 or ET_DYN 3, not 4"),
    (header(count=0), "no segment to load"),
    (header(file_bytes=300), "cannot be mapped"),
    (header(offset=100), "cannot be mapped"),
])  # fmt: skip
def test_a_damaged_elf_file_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_elf(data)


def test_recordings_are_of_known_processes() -> None:
    processes = [recording(each).processes for each in recordings()]
    assert all(len(set(names)) == len(names) for names in processes)
    assert {name for names in processes for name in names} == {
        "busybox_cat", "init", "python", "vmas",
    }  # fmt: skip
