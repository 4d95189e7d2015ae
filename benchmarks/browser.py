"""How long a slider takes to reach the screen: a lab, a bare echo through the kernel, and the usual way with pyplot.

Opens benchmarks/browser.ipynb in a real JupyterLab and a real Chromium. Every figure is taken inside the page, from the
key press to the painted picture; the three take turns, so that a busy moment of the machine meets all of them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from ratio import report

from tests.browser.chromium import Chromium
from tests.browser.notebook import Notebook
from tests.browser.server import JupyterLab

HERE = Path(__file__).parent
TURNS, STEPS_A_TURN = 4, 15
DRAG_EVENTS, DRAG_MS, DRAGS = 30, 500, 3


@dataclass
class Slider:
    """One of the page's sliders, and what it makes change."""

    notebook: Notebook
    box: str
    """The class of the widget that holds both."""
    picture: str
    """Where in the box the change shows."""
    number: int = 0
    """Which box of that class on the page, from 0."""
    last: bool = True
    """Of several sliders in the box the last is meant, else the first."""
    times: list[float] = field(default_factory=list)

    def ask(self, script: str, *arguments: Any) -> Any:
        """Run a script of the probe on this slider's handle."""
        page = self.notebook.page
        box = page.locator(f".{self.box}").nth(self.number)
        box.locator(self.picture).first.evaluate("element => mmkitProbe.watch(element)")
        handles = box.locator(".noUi-handle")
        handle = handles.last if self.last else handles.first
        return handle.evaluate(f"(handle, given) => mmkitProbe.{script}", list(arguments))

    def step(self, key: str) -> str:
        """Press a key once, note the time, and return what is then to be seen."""
        answer = self.ask("step(handle, given[0])", key)
        if answer["ms"] is None:
            raise RuntimeError(f"{self.box}: {key} changed nothing")
        self.times.append(answer["ms"])
        return str(answer["seen"])

    @property
    def ms(self) -> float:
        """Median of the key presses noted."""
        return median(self.times)


def take_turns(sliders: list[Slider]) -> None:
    """Press the right arrow on each slider, some steps at a time; the first two of all are not counted."""
    for slider in sliders:
        slider.step("ArrowRight")
        slider.step("ArrowLeft")
        slider.times.clear()
    for _ in range(TURNS):
        for slider in sliders:
            for _ in range(STEPS_A_TURN):
                slider.step("ArrowRight")


@dataclass(frozen=True)
class Drag:
    """What a fast drag led to."""

    ends_right: bool
    """The last picture is that of the last state."""
    in_order: bool
    """No picture was painted after one of a later state."""
    late_ms: float
    """From the last event to the last paint."""


def drag(slider: Slider) -> Drag:
    """Walk back slowly, noting what each state looks like, then forward again in one fast drag."""
    states = [str(slider.ask("state()"))]
    states += [slider.step("ArrowLeft") for _ in range(DRAG_EVENTS)]
    states.reverse()
    answer = slider.ask("drag(handle, given[0], given[1], given[2])", "ArrowRight", DRAG_EVENTS, DRAG_MS)
    return Drag(answer["last"] == states[-1], in_order(answer["seen"], states), answer["late"])


def in_order(seen: list[str], states: list[str]) -> bool:
    """Whether what was painted is a walk forwards over the states, some perhaps left out."""
    at = 0
    for each in seen:
        later = [number for number in range(at, len(states)) if states[number] == each]
        if not later:
            return False
        at = later[0]
    return True


def measure(notebook: Notebook) -> bool:
    """Measure the three sliders of the page and report."""
    notebook.page.evaluate((HERE / "probe.js").read_text())
    echo = Slider(notebook, "bench-echo", ".widget-label:last-child")
    lab = Slider(notebook, "mmkit-lab", ".widget-html:has(img)")
    usual = Slider(notebook, "widget-interact", ".jp-OutputArea")
    take_turns([echo, lab, usual])
    for name, slider in (("echo", echo), ("lab", lab), ("@interact", usual)):
        print(f"     {name}: {slider.ms:.0f} ms, median of {len(slider.times)}")
    fine = report("@interact with plt.show(), to the lab, on the same states", usual.ms / lab.ms, 5, at_most=False)
    fine &= report("the lab, to a bare echo through the kernel", lab.ms / echo.ms, 2)
    drags = [drag(lab) for _ in range(DRAGS)]
    late = median(each.late_ms for each in drags)
    print(f"     drag of {DRAG_EVENTS} events in {DRAG_MS} ms: the last picture {late:.0f} ms after the last event")
    wrong = sum(not each.ends_right for each in drags)
    fine &= report(f"fast drags, of {DRAGS}, that do not end on the last state", wrong, 0)
    fine &= measure_address(notebook, echo)
    fine &= measure_timeline(notebook, echo, "life lab", 2)
    fine &= measure_timeline(notebook, echo, "memory pressure lab", 3)
    disorder = sum(not each.in_order for each in drags)
    return fine & report(f"fast drags, of {DRAGS}, with a picture painted out of order", disorder, 0)


def measure_address(notebook: Notebook, echo: Slider) -> bool:
    """Measure the slider of an address, whose bits and walk follow, beside an echo and the usual way."""
    lab = Slider(notebook, "mmkit-lab", ".widget-html:has(svg)", number=1, last=False)
    usual = Slider(notebook, "widget-interact", ".jp-OutputArea", number=1)
    take_turns([echo, lab, usual])
    for name, slider in (("echo", echo), ("address lab", lab), ("@interact", usual)):
        print(f"     {name}: {slider.ms:.0f} ms, median of {len(slider.times)}")
    fine = report("address: @interact with plt.show(), to the lab", usual.ms / lab.ms, 5, at_most=False)
    return fine & report("address: the lab, to a bare echo through the kernel", lab.ms / echo.ms, 2)


def measure_timeline(notebook: Notebook, echo: Slider, name: str, number: int) -> bool:
    """Measure the timeline of a lab of the whole machine beside an echo."""
    lab = Slider(notebook, "mmkit-lab", ".widget-html:has(svg)", number=number)
    echo.times.clear()
    take_turns([echo, lab])
    for what, slider in (("echo", echo), (name, lab)):
        print(f"     {what}: {slider.ms:.0f} ms, median of {len(slider.times)}")
    return report(f"{name}: its timeline, to a bare echo through the kernel", lab.ms / echo.ms, 2)


def main() -> bool:
    """Open the page, run it, measure."""
    with tempfile.TemporaryDirectory() as root:
        shutil.copy(HERE / "browser.ipynb", root)
        with JupyterLab(Path(root)) as server, Chromium() as chromium:
            notebook = Notebook(*chromium.page(), server, "browser.ipynb")
            notebook.run_all()
            if problems := [each for each in notebook.problems() if "without alt text" not in each]:
                raise RuntimeError("\n".join(problems))  # a picture of plt.show() has no alt text
            return measure(notebook)


if __name__ == "__main__":
    sys.exit(not main())
