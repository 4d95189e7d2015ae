"""maps, smaps, status and statm: every recording and this very process come back byte for byte; damage is named."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from formats import DATA

from mmkit.data import recording, recordings
from mmkit.errors import FormatError, LiveError
from mmkit.proc import addrspace, maps, smaps, status
from mmkit.proc import live as kernel

SMAPS = sorted(path for path in DATA.rglob("*.smaps*") if path.is_file())
MAPS = sorted(DATA.rglob("*.maps")) + sorted(DATA.rglob("aslr/maps.*")) + sorted(DATA.rglob("vmas.maps.txt"))
STATUS = sorted(DATA.rglob("*.status")) + sorted(DATA.rglob("*.status.txt"))
FORMATS = {"smaps": (smaps, SMAPS), "maps": (maps, MAPS), "status": (status, STATUS)}
RECORDED = [(name, process) for name in recordings() for process in recording(name).processes]

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_recording_comes_back_byte_for_byte(kind: str) -> None:
    module, paths = FORMATS[kind]
    for path in paths:
        text = path.read_text()
        assert module.format(module.parse(text)) == text, path
    assert len(paths) >= 19
    assert len({path.parent for path in paths}) >= 7


@on_linux
@pytest.mark.parametrize("kind", FORMATS)
def test_this_very_process_comes_back_byte_for_byte(kind: str) -> None:
    module, _ = FORMATS[kind]
    text = Path("/proc/self", kind).read_text()
    assert module.format(module.parse(text)) == text


def accepts(kind: str, text: str) -> bool:
    """Whether ``text`` parses; if so, nothing may get lost, else the error names kind, line and reason."""
    module, _ = FORMATS[kind]
    error = None
    try:
        found = module.parse(text)
    except FormatError as caught:
        error = caught
    if error is None:
        assert module.format(found) == text
        return True
    lines = [*text.split("\n"), "(end of text)"]
    assert error.what == kind
    assert error.line in (lines[error.line_no - 1], "(end of text)")
    assert error.expected != repr(error.line)
    return False


@pytest.mark.parametrize("kind", FORMATS)
def test_no_damage_passes_unnoticed(kind: str) -> None:
    rng, paths = random.Random(kind), FORMATS[kind][1]
    refused = 0
    for _ in range(300):
        text = "".join(rng.choice(paths).read_text().splitlines(keepends=True)[:60])
        for _ in range(rng.randint(1, 3)):
            spot = rng.randrange(len(text))
            piece = rng.choice([rng.choice("0123456789 \n,:>-(abcN\t\r\x00\x0b\x85\u2028²١é"), text[spot] * 2, ""])
            text = text[:spot] + piece + text[spot + 1 :]
        refused += not accepts(kind, text)
    assert refused > 100
    for text in ("\n", "hello\n", "9" * 10_000 + "\n", "1000-2000 r--p 00000000 00:00 " + "9" * 5000 + " \n"):
        assert not accepts(kind, text)
    module, _ = FORMATS[kind]
    with pytest.raises(TypeError, match=f"{kind} is text, not bytes"):
        module.parse(b"1000")


@on_linux
def test_the_rollup_is_the_sum_of_the_areas() -> None:
    text = Path("/proc/self/smaps_rollup").read_text()
    (whole,) = smaps.parse(text)
    assert smaps.format((whole,)) == text
    assert (whole.mapping.name, whole.letters) == ("[rollup]", "")
    areas = smaps.parse(Path("/proc/self/smaps").read_text())
    assert whole.mapping.start == areas[0].mapping.start
    assert whole.kb("Locked") == sum(area.kb("Locked") for area in areas)


@on_linux
def test_statm_of_this_process_is_what_status_says() -> None:
    text = Path("/proc/self/statm").read_text()
    statm, known = status.parse_statm(text), status.parse(Path("/proc/self/status").read_text())
    assert status.format_statm(statm) == text
    assert statm.size * 4 == known.kb("VmSize")
    assert statm.data * 4 == known.kb("VmData") + known.kb("VmStk")


@pytest.mark.parametrize(("name", "process"), RECORDED)
def test_the_areas_add_up_to_what_the_kernel_counted(name: str, process: str) -> None:
    state, machine = recording(name).process(process), recording(name)
    more = ".txt" if process == "vmas" else ""
    known = status.parse(machine.text(f"{process}.status{more}"))
    sizes = status.sizes_of(state.counters, state.layout)
    for counter in ("VmSize", "VmLck", "VmPin", "VmData", "VmStk", "RssAnon"):
        assert (counter, sizes[counter]) == (counter, known.kb(counter))
    assert sizes["VmExe"] + sizes["VmLib"] == known.kb("VmExe") + known.kb("VmLib")
    assert state.source.kind == "recording"


def test_an_area_says_what_the_kernel_said() -> None:
    state = recording("amd64-4g").process("vmas")
    text = recording("amd64-4g").text("vmas.smaps.txt")
    area = next(area for area in smaps.parse(text) if area.mapping.name.startswith("/memfd"))
    vma = next(vma for vma in state.vmas if vma.start == area.mapping.start)
    assert (vma.perms, vma.rss << 2, vma.letters) == ("rw-s", area.kb("Rss"), area.letters)
    assert (area.kb("Size"), area.flags) == (16, vma.flags)
    with pytest.raises(KeyError):
        area.kb("Nonsense")


DAMAGE = {
    "a size without its unit": ("Rss:                  24 kB", "Rss:                  24"),
    "a number too narrow": ("Size:                 24 kB", "Size: 24 kB"),
    "an address that is none": ("01000000-01006000", "01000000-0100600g"),
    "rights that are none": (" r--p ", " r--q "),
    "a flag of three letters": ("VmFlags: rd mr", "VmFlags: rdd mr"),
    "no flags": ("VmFlags: rd mr mw me sd \n", ""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_smaps_is_named_with_its_line(damage: str) -> None:
    text = recording("amd64-4g").text("vmas.smaps.txt")
    before, after = DAMAGE[damage]
    assert before in text
    with pytest.raises(FormatError, match=r"smaps, line \d+: expected .+, found"):
        smaps.parse(text.replace(before, after, 1))


@pytest.mark.parametrize(("module", "text"), [
    (status, "VmSize:\t 12 kB\n"), (status, "VmSize 12\n"), (status, "Name:\tx"), (maps, "1000-2000 r--p 0 00:00 0\n"),
])  # fmt: skip
def test_damage_to_the_others_is_named_too(module, text: str) -> None:
    with pytest.raises(FormatError, match="line 1"):
        module.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3\n",
        "1 2 3 4 5 6 x\n",
        "1 2 3 4 5 6  7\n",
        "1 2 3 4 5 6 7",
        "1 2 3 4 5 6 ²\n",
        "9" * 5000 + " 2 3 4 5 6 7\n",
    ],
)
def test_damage_to_statm_is_named(text: str) -> None:
    with pytest.raises(FormatError, match="statm, line 1"):
        status.parse_statm(text)


@on_linux
def test_the_running_process_is_an_address_space_as_well() -> None:
    state = addrspace.live()
    assert state.source.kind == "live"
    assert state.layout.start_stack in next(vma for vma in state.vmas if vma.name == "[stack]")
    assert state.find_vma(id(state)) is not None
    assert state.counters.map_count == len(state.vmas) > 20


def test_a_process_that_is_not_there_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "PROC", tmp_path)
    with pytest.raises(LiveError, match="cannot be read here"):
        addrspace.live(1)


def test_a_process_that_was_not_recorded_is_said_in_words() -> None:
    with pytest.raises(ValueError, match=r"no process 'sh' was recorded in amd64-4g: choose one of \('busybox_cat'"):
        recording("amd64-4g").process("sh")
