"""Record: frozen data classes that cost next to nothing to define.

``dataclass`` writes and compiles the source of every method of every class when a module is imported; with a hundred
small classes that is what importing the models mostly costs. A record inherits what can be inherited, and has its
``__init__`` compiled when the first instance is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, dataclass_transform

R = TypeVar("R", bound="Record")


class Default(NamedTuple):
    """What :func:`field` says of a field."""

    value: Any
    repr: bool
    compare: bool


_NONE: Any = object()


def field(*, default: Any = _NONE, repr: bool = True, compare: bool = True) -> Any:
    """Declare a field with a default value, or one that is left out of the text or of comparisons."""
    return Default(default, repr, compare)


def _first_init(self: Record, *args: Any, **kwargs: Any) -> None:
    """Compile the ``__init__`` of the class of this first instance, and run it."""
    kind = type(self)
    kind.__init__ = _compile_init(kind)  # type: ignore[method-assign]
    kind.__init__(self, *args, **kwargs)


def _compile_init(kind: type[Record]) -> Callable[..., None]:
    known = {f"_set_{name}": getattr(kind, name).__set__ for name in kind.record_fields}
    known |= {f"_default_{name}": value for name, value in kind.record_defaults.items()}
    arguments = [f"{name}=_default_{name}" if f"_default_{name}" in known else name for name in kind.record_fields]
    body = [f"    _set_{name}(self, {name})" for name in kind.record_fields] or ["    pass"]
    exec("\n".join([f"def __init__({', '.join(['self', *arguments])}):", *body]), known)
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{kind.__qualname__}.__init__"
    return made


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class RecordType(type):
    """Makes the annotated names of a class its fields, kept in slots, those of its bases first."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> RecordType:
        """Make the class; ``ClassVar`` annotations are no fields, as in a dataclass."""
        own = [one for one, kind in body.get("__annotations__", {}).items() if not str(kind).startswith("ClassVar")]
        given = {one: body.pop(one) for one in own if one in body}
        described = {one: value if isinstance(value, Default) else Default(value, True, True)
                     for one, value in given.items()}  # fmt: skip
        inherited = [base for base in bases if isinstance(base, RecordType)]

        def gathered(attribute: str) -> list[Any]:
            return [each for base in inherited for each in getattr(base, attribute)]

        hidden = {one for one, each in described.items() if not each.repr}
        ignored = {one for one, each in described.items() if not each.compare}
        defaults = {one: each.value for one, each in described.items() if each.value is not _NONE}
        fields = tuple(dict.fromkeys([*gathered("record_fields"), *own]))
        body |= {
            "__slots__": tuple(own),
            "__match_args__": fields,
            "__init__": _first_init,
            "record_fields": fields,
            "record_hidden": frozenset({*gathered("record_hidden"), *hidden}),
            "record_compared": tuple(one for one in fields if one not in {*gathered("record_ignored"), *ignored}),
            "record_ignored": frozenset({*gathered("record_ignored"), *ignored}),
            "record_defaults": {k: v for base in inherited for k, v in base.record_defaults.items()} | defaults,
        }
        return super().__new__(cls, name, bases, body)

    record_fields: tuple[str, ...]
    """Names of the fields, in the order in which they are given."""
    record_hidden: frozenset[str]
    """Those that the text leaves out."""
    record_ignored: frozenset[str]
    """Those that do not matter to equality."""
    record_compared: tuple[str, ...]
    record_defaults: dict[str, Any]


class Record(metaclass=RecordType):
    """Base of frozen data classes with slots: two of one class are equal if they are so field by field.

    >>> class Block(Record):
    ...     __annotations__ = {"pfn": "int", "order": "int"}
    ...     order = 0
    >>> Block(8, 3), Block(8) == Block(8, 0), Block(8, 3) == Block(8, 2), len({Block(8, 3), Block(pfn=8, order=3)})
    (Block(pfn=8, order=3), True, False, 1)
    >>> replace(Block(8, 3), order=4)
    Block(pfn=8, order=4)
    """

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} is frozen: replace() makes one with another {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} is frozen: its {name} stays")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or all(getattr(self, name) == getattr(other, name) for name in type(self).record_compared)

    def __hash__(self) -> int:
        return hash(tuple([getattr(self, name) for name in type(self).record_compared]))

    def __repr__(self) -> str:
        kind = type(self)
        shown = (f"{name}={getattr(self, name)!r}" for name in kind.record_fields if name not in kind.record_hidden)
        return f"{kind.__qualname__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in type(self).record_fields)

    def __replace__(self: R, **changes: Any) -> R:
        values = {name: getattr(self, name) for name in type(self).record_fields}
        return type(self)(**values | changes)


def replace(record: R, **changes: Any) -> R:
    """Return a record like this one but for ``changes``. Raises TypeError for a field that it has not."""
    return record.__replace__(**changes)
