"""Make the README's pictures from the real labs, in a real JupyterLab, and put what they show into its alt texts.

make pictures
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser.chromium import Chromium
from tests.browser.lab_page import LabPage
from tests.browser.notebook import Notebook, write_notebook
from tests.browser.server import JupyterLab

ROOT = Path(__file__).parents[1]
PICTURES = {
    "buddy": """from mmkit.lab import BuddyLab
lab = BuddyLab(start='notes')
lab.order_number.value = 8
lab.alloc()
lab.back()
lab""",
    "zone": """from mmkit.lab import ZoneLab
lab = ZoneLab(ram="4GiB", picture="watermarks")
lab.order_number.value = 9
lab.alloc_until()
lab""",
    "page": """from mmkit.lab import PageLab
lab = PageLab()
lab.anonymous()
lab.toggle("dirty")
lab""",
    "fragmentation": """from mmkit.lab import FragmentationLab
lab = FragmentationLab(percent=100)
lab.compact("grouped by mobility")
lab.go(26)
lab""",
    "slab": """from mmkit.lab import SlabLab
lab = SlabLab(nr_cpus=2)
lab.alloc(100)
lab.free_random(30)
lab.alloc(9, cpu=1)
lab.free(lab.object_menu.options[30][1])
lab""",
    "vma": """from mmkit.lab import VmaLab
lab = VmaLab("areas side by side")
lab.mprotect(lab.address_box.value, "3 pages", "r--")
lab""",
    "address": """from mmkit.lab import AddressLab
lab = AddressLab("X86_64", 0x7fffffffc123)
lab""",
    "fault": """from mmkit.lab import FaultLab
lab = FaultLab()
lab.touch(0, write=True)
lab.touch(1, write=True)
lab.touch(4)
lab.fork()
lab.touch(0, write=True)
lab.switch(101)
lab.touch(6, write=True)
lab""",
    "life": """from mmkit.lab import LifeLab
lab = LifeLab()
lab.malloc(100_000)
lab.go(15)
lab""",
    "pressure": """from mmkit.lab import ReclaimLab
lab = ReclaimLab()
lab.write(30, pid=100)
lab.use_file(first=0, pages=40, pid=100)
lab.use_file(first=30, pages=10, pid=100)
lab.write(64, pid=101)
lab.write(24, pid=101)
lab.write(32, pid=101)
lab.go(next(n for n, entry in enumerate(lab.timeline.entries) if "E9 " in entry.label and "swapped out" in entry.label))
lab""",
    "tlb": """from mmkit.lab import TlbLab
lab = TlbLab("nine pages in turn", entries=8, ways=2)
lab.make(75)
lab""",
}
SCALE = 1.5
MARGIN = "background: white; padding: 12px; width: max-content"


def take(root: Path, server: JupyterLab, chromium: Chromium, name: str, code: str) -> str:
    """Show a lab, take its picture, and return in words what it shows."""
    write_notebook(root / f"{name}.ipynb", code)
    notebook = Notebook(*chromium.page(SCALE), server, f"{name}.ipynb")
    notebook.run_all()
    if problems := notebook.problems():
        raise RuntimeError(f"{name}: {problems}")
    lab = LabPage(notebook)
    lab.node.evaluate("(node, look) => { node.style.cssText += look; }", MARGIN)
    lab.node.screenshot(path=ROOT / ".readme" / f"{name}.png")
    words = " ".join(lab.alts)
    notebook.close()
    return re.sub(r"[\[\]]", "", words)


def main() -> None:
    """Take all pictures and write their words into the README."""
    (ROOT / ".readme").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as root, JupyterLab(Path(root)) as server, Chromium() as chromium:
        words = {name: take(Path(root), server, chromium, name, code) for name, code in PICTURES.items()}
    readme = ROOT / "README.md"
    picture = r"!\[[^\]]*\]\(\.readme/(\w+)\.png\)"
    readme.write_text(
        re.sub(picture, lambda found: f"![{words[found[1]]}](.readme/{found[1]}.png)", readme.read_text())
    )


if __name__ == "__main__":
    main()
