"""The address lab: take a virtual address apart bit by bit, and follow it through real tables to its byte."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mmkit.lab.addressbench import MACHINES, AddressBench, machine
from mmkit.lab.bar import Number, button, row
from mmkit.lab.base import Lab, handler
from mmkit.lab.pictures import Pictures
from mmkit.lab.timeline import Entry
from mmkit.lab.vmamenus import choice
from mmkit.model.pgstate import AddressField, WalkState
from mmkit.units import parse_address
from mmkit.view.address import AddressPicture
from mmkit.view.svg import svg_of
from mmkit.view.walk import WalkPicture, step_words

_LOOK: dict[str, Any] = {"style": {"description_width": "initial"}}
_CHOOSE, _NOWHERE = "choose an address", -1
_START = {"X86": 0xC0123ABC, "X86_PAE": 0xBFFFF123}


class AddressLab(Lab):
    """One address: type it, slide one of its fields, flip single bits; walk from CR3 entry by entry.

    ``arch`` is an architecture's name: of most there is a recorded process whose tables are walked. Addresses are
    numbers, or text such as "0x7fff12345678".
    """

    def __init__(self, arch: str = "X86_64", addr: int | str | None = None) -> None:
        chosen = machine(arch)
        places = chosen.places()
        at = next(iter(places.values())) | 0x123 if addr is None else parse_address(addr)
        bench = AddressBench(arch, at)
        self._following, self._placed = False, ""
        self._make_controls(arch, bench.snapshot())
        super().__init__(self._rows(), ())
        self._pictures = Pictures()
        bench.trace = self.trace
        self.begin(bench, f"0x{at:x} on {chosen.words}")
        self._connect()

    def _make_controls(self, arch: str, state: WalkState) -> None:
        machines = tuple((each.words, name) for name, each in MACHINES.items())
        self.arch_menu = widgets.Dropdown(
            description="Machine", options=machines, value=arch, layout=widgets.Layout(width="29em"), **_LOOK
        )
        self.place_menu = widgets.Dropdown(
            description="Place", options=((_CHOOSE, _NOWHERE),), value=_NOWHERE, layout=widgets.Layout(width="24em"),
            **_LOOK,
        )  # fmt: skip
        self.address_box = widgets.Text(
            "", description="Address", continuous_update=False, layout=widgets.Layout(width="19em"), **_LOOK
        )
        self.look_button = button("Look up", "Take this address", self.look, style="primary")
        self.field_menu = widgets.Dropdown(
            description="Field", options=(("offset", "offset"),), layout=widgets.Layout(width="12em"), **_LOOK
        )
        self.value = Number("Value", 0, 511, 0, "What the field is", linked=False)
        self.bit_box = widgets.BoundedIntText(
            0, min=0, max=63, description="Bit", layout=widgets.Layout(width="7.5em"), **_LOOK
        )
        self.flip_button = button("Flip", "Make the bit 1 if it is 0, 0 if it is 1", self.flip)
        self.walk_button = button("Walk", "From CR3, entry by entry", self.walk)

    def _rows(self) -> tuple[widgets.Widget, ...]:
        return (
            row(self.arch_menu, self.place_menu),
            row(self.address_box, self.look_button, self.bit_box, self.flip_button),
            row(self.field_menu, self.value, self.walk_button),
        )

    def _connect(self) -> None:
        self.arch_menu.observe(self._told(lambda arch: self.look(arch=arch)), "value")
        self.place_menu.observe(self._told(lambda addr: addr != _NOWHERE and self.look(addr)), "value")
        self.field_menu.observe(self._told(lambda _: self._follow(self.timeline.current.snapshot)), "value")
        for part in (self.value.slider, self.value.box):
            part.observe(self._told(self.slide), "value")

    def _told(self, do: Any) -> Any:
        return lambda change: None if self._following else do(change.new)

    # -- what is shown ------------------------------------------------------------------------------------------------

    def restore(self, snapshot: WalkState) -> AddressBench:
        """Return a bench with that address."""
        return AddressBench(snapshot.parts.arch, snapshot.walk.virt_addr, snapshot.shown, self.trace)

    def draw(self, entry: Entry[WalkState]) -> None:
        """Update both pictures."""
        state = entry.snapshot
        before = self.timeline.entries[self.timeline.index - 1].snapshot.parts if self.timeline.index else None
        widths = tuple(field.high for field in state.parts.fields)
        self.pictures = (
            self._pictures.show(f"address {state.parts.arch} {widths}", AddressPicture, state.parts, before),
            self._pictures.show(f"walk {state.parts.arch}", WalkPicture, state),
        )

    def controls_follow(self, entry: Entry[WalkState]) -> None:
        """Let the controls show what the pictures show."""
        self._follow(entry.snapshot)

    def _follow(self, state: WalkState, chosen: str | None = None) -> None:
        """Show a state in the controls; ``chosen`` is the field to choose, None the one that is chosen."""
        self._following = True
        parts = state.parts
        self.address_box.value = f"0x{parts.virt_addr:x}"
        self.arch_menu.value = parts.arch
        if self._placed != parts.arch:
            self._placed = parts.arch
            self.place_menu.options = ((_CHOOSE, _NOWHERE), *machine(parts.arch).places().items())
            self.bit_box.max = parts.word_bits - 1
        self.place_menu.value = _NOWHERE
        names = tuple((_field_words(field), field.name) for field in parts.fields)
        if names != self.field_menu.options:
            was = self.field_menu.value
            self.field_menu.options = names
            known = {field.name for field in parts.fields}
            self.field_menu.value = was if was in known and was != "offset" else parts.fields[-2].name
        self.field_menu.value = chosen or self.field_menu.value
        field = _field(state, self.field_menu.value)
        self._set_number((1 << field.high - field.low + 1) - 1, field.value)
        self._following = False

    def _set_number(self, most: int, value: int) -> None:
        if self.value.box.max != most:
            self.value.value = min(self.value.value, most)
            self.value.box.max = self.value.slider.max = most
        self.value.value = value

    def live_html(self) -> str:
        """Return both pictures as SVG: they are text for the most part, and follow a slider."""
        return "".join(map(svg_of, self.pictures))

    # -- what can be done ---------------------------------------------------------------------------------------------

    @handler
    def look(self, addr: int | str | None = None, arch: str | None = None) -> None:
        """Take another address (None: what is typed), or the tables of another machine."""
        now = self.timeline.current.snapshot
        where = now.parts.arch if arch is None else machine(arch).arch
        if arch is not None and addr is None and arch != now.parts.arch:
            at = next(iter(machine(arch).places().values())) | 0x123
        else:
            at = parse_address(self.address_box.value if addr is None else addr)
        self._take(where, at, f"look up 0x{at:x}")

    def _take(self, arch: str, addr: int, title: str, instead_of: str = "\0", chosen: str | None = None) -> None:
        try:
            self.act(title, lambda bench: bench.look(arch, addr), told=lambda state: step_words(state),
                     instead_of=instead_of)  # fmt: skip
            if chosen:
                self._follow(self.timeline.current.snapshot, chosen)
        except ValueError:
            self._follow(self.timeline.current.snapshot)
            raise

    @handler
    def slide(self, value: int | None = None, field: str | None = None) -> None:
        """Give one field of the address, such as "pmd", another value."""
        state = self.timeline.current.snapshot
        name = self.field_menu.value if field is None else field
        part = _field(state, name)
        number, most = self.value.box.value if value is None else value, (1 << part.high - part.low + 1) - 1
        if type(number) is not int or not 0 <= number <= most:
            raise ValueError(f"the {part.name} field has {part.high - part.low + 1} bits: 0 to {most}, not {number!r}")
        addr = state.walk.virt_addr & ~(most << part.low) | number << part.low
        self._take(
            state.parts.arch, _with_copies(state, addr), f"slide {name} to {number}", f"slide {name} ", chosen=field
        )

    @handler
    def flip(self, bit: int | None = None) -> None:
        """Flip one bit; those above the translated ones too, which may make an address that none can be."""
        state = self.timeline.current.snapshot
        number = self.bit_box.value if bit is None else bit
        if type(number) is not int or not 0 <= number < state.parts.word_bits:
            raise ValueError(f"a pointer has bits 0 to {state.parts.word_bits - 1}, not {number!r}")
        self._take(state.parts.arch, state.walk.virt_addr ^ 1 << number, f"flip bit {number}")

    @handler
    def walk(self) -> None:
        """Walk from CR3 on; the timeline then stands at the first entry, and goes on entry by entry."""
        self.act("walk from CR3", lambda bench: bench.walk(), told=step_words, instead_of="walk ")
        start = self.timeline.ends[-2] + 1
        self.timeline.go(start)
        self.show(" Forward reads the next entry.")


def _field(state: WalkState, name: str) -> AddressField:
    known = {field.name: field for field in state.parts.fields}
    choice(known, name, "field")
    return known[name]


def _field_words(field: AddressField) -> str:
    return "offset" if field.name == "offset" else f"{field.name} index"


def _with_copies(state: WalkState, addr: int) -> int:
    """Return the address with the bits above the translated ones as copies of the highest of those.

    Arm's are left as they are: they choose the root, and the highest translated bit belongs to the index.
    """
    parts = state.parts
    if parts.word_bits == parts.virt_bits or not parts.canonical or parts.arch == "ARM64":
        return addr
    low = addr & (1 << parts.virt_bits) - 1
    ones = (1 << parts.word_bits) - (1 << parts.virt_bits)
    return low | (ones if low >> parts.virt_bits - 1 else 0)
