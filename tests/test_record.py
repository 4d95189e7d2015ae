"""Records behave as frozen dataclasses with slots do, however late their ``__init__`` is made."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import pytest

from mmkit.record import Record, field, replace


class Base(Record):
    """A record that others stand on."""

    kind: ClassVar[str] = "base"
    start: int


class Span(Base):
    """More fields, some with defaults, one hidden, one that does not matter to equality."""

    end: int = 10
    secret: bytes = field(default=b"", repr=False)
    note: str = field(default="", compare=False)

    @property
    def size(self) -> int:
        """How long it is."""
        return self.end - self.start


class Empty(Record):
    """No fields."""


def test_fields_come_in_order_those_of_the_base_first():
    assert Span.record_fields == Span.__match_args__ == ("start", "end", "secret", "note")
    assert Empty() == Empty()
    match Span(1, 2):
        case Span(start, end):
            assert (start, end) == (1, 2)


def test_a_base_keeps_its_own_fields_after_its_heir_was_made():
    assert Span(1).size == 9
    assert repr(Base(3)) == "Base(start=3)"
    assert Base.kind == Span(1).kind == "base"
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        Base(3, 4)


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument: 'start'"):
        Span()
    with pytest.raises(TypeError, match="unexpected keyword argument 'stop'"):
        Span(1, stop=2)


def test_nothing_can_be_changed_or_added():
    span = Span(1)
    with pytest.raises(AttributeError, match="a Span is frozen"):
        span.end = 3
    with pytest.raises(AttributeError, match="a Span is frozen"):
        span.other = 3
    with pytest.raises(AttributeError, match="its end stays"):
        del span.end
    assert not hasattr(span, "__dict__")
    assert span == Span(1)


def test_equality_and_hash_look_at_class_and_compared_fields():
    assert Span(1, note="a") == Span(1, note="b")
    assert hash(Span(1, note="a")) == hash(Span(1, note="b"))
    assert Span(1, secret=b"x") != Span(1)
    assert Span(1) != Base(1)
    assert Base(1) != (1,)


def test_the_text_leaves_out_what_is_hidden():
    assert repr(Span(1, 2, b"long", "n")) == "Span(start=1, end=2, note='n')"


def test_replace_copy_and_pickle_keep_all_fields():
    span = Span(1, 2, b"s", "n")
    assert replace(span, end=7) == Span(1, 7, b"s")
    assert replace(span, end=7).note == "n"
    for other in (copy.copy(span), copy.deepcopy(span), pickle.loads(pickle.dumps(span))):
        assert (other.start, other.end, other.secret, other.note) == (1, 2, b"s", "n")
    with pytest.raises(TypeError, match="stop"):
        replace(span, stop=7)
