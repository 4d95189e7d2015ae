"""The recordings' zoneinfo and sysctl files, read with a few regular expressions and nothing of mmkit's."""

import re
from importlib.resources import files
from pathlib import Path

from mmkit.arch import ARM64, X86, X86_64, X86_PAE

DATA = Path(str(files("mmkit") / "data"))
ARCHES = {"amd64": X86_64, "host": X86_64, "trace": X86_64, "arm64": ARM64, "i386-686": X86, "i386-pae": X86_PAE}
NAMES = sorted(path.parent.name for path in DATA.glob("*/zoneinfo"))
SETTINGS = sorted(path for path in DATA.glob("*/zones/*.zoneinfo") if not path.name.startswith("0"))
NUMBER = re.compile(r"\s+(\w+):?\s+(\d+)$")


def arch_of(name):
    return next(arch for prefix, arch in ARCHES.items() if name.startswith(prefix))


def kernel_of(name):
    release = (DATA / name / "uname").read_text()
    return "6.1" if " 6.1." in release else "6.18"


def read_zones(text):
    """All zones of a zoneinfo text: dicts of their numbers; ``pcp`` is a list of such dicts, one a CPU."""
    zones = []
    for line in text.splitlines():
        if head := re.match(r"Node (\d+), zone\s+(\w+)", line):
            zones.append({"node": int(head[1]), "name": head[2], "start_pfn": 0, "pcp": []})
        elif line.lstrip().startswith("protection:"):
            zones[-1]["protection"] = tuple(map(int, re.findall(r"\d+", line)))
        elif cpu := re.match(r"\s+cpu: (\d+)", line):
            zones[-1]["pcp"].append({"cpu": int(cpu[1])})
        elif number := NUMBER.match(line.replace("pages free", "     free")):
            inside_cpu = zones[-1]["pcp"] and number[1] in ("count", "high", "batch", "high_min", "high_max")
            (zones[-1]["pcp"][-1] if inside_cpu else zones[-1])[number[1]] = int(number[2])
    return zones


def read_sysctl(text):
    return {key: [int(word) for word in rest.split()] for key, rest in (line.split(":") for line in text.splitlines())}


def qemu_machine(name):
    """What the command line gave the guest: RAM, node sizes, movablecore=; or None."""
    path = DATA / name / "qemu.cmd"
    if not path.is_file():
        return None
    command = path.read_text()
    ram = re.search(r" -m (\d+) ", command)[1] + "MiB"
    nodes = [size + "iB" for size in re.findall(r"memory-backend-ram,id=\w+,size=(\d+M)", command)] or 1
    movable = re.search(r"movablecore=(\d+M)", command)
    return {"ram": ram, "nodes": nodes, "movable": movable[1] + "iB" if movable else 0}


def firmware_map(name):
    """RAM in the recording's firmware_memmap, as lay_out() takes it; or None."""
    path = DATA / name / "firmware_memmap"
    if not path.is_file():
        return None
    rows = re.findall(r"^\d+ (\S+) (\S+) System RAM$", path.read_text(), re.MULTILINE)
    ram = [(int(first, 16), int(last, 16) + 1) for first, last in rows]
    machine = qemu_machine(name)
    if not machine or machine["nodes"] == 1:
        return ram
    # The map does not tell nodes (another table does): the guest's first node has the first 2 GiB of addresses.
    border = 2 << 30
    below = [(start, min(end, border), 0) for start, end in ram if start < border]
    return below + [(max(start, border), end, 1) for start, end in ram if end > border]
