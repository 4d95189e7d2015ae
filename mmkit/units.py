"""Sizes and addresses, as people write them.

>>> parse_size("4GiB")
4294967296
>>> format_size(896 << 20)
'896 MiB'
>>> parse_address("0xffff_8880_0000_0000") == 0xffff888000000000
True
>>> format_address(0xb8000, bits=32)
'0x000b8000'
"""

from __future__ import annotations

import re

_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50}
_SIZE = re.compile(r"\s*(\d[\d_]*(?:\.\d+)?)\s*([KMGTP]?)(i?B|pages)?\s*", re.IGNORECASE)


def parse_size(size: int | str, page_size: int = 4096) -> int:
    """Return ``size`` in bytes.

    ``size`` is a number of bytes, or text such as "512", "64 KiB", "4GiB", "1.5G", "512 pages". Units are powers of
    1024, as in the kernel's own command line: "4G", "4GB" and "4GiB" are the same.

    Raises ValueError if the text is no size or not a whole number of bytes, TypeError if it is neither text nor int.
    """
    if isinstance(size, bool) or not isinstance(size, (int, str)):
        raise TypeError(f"a size is a number of bytes or text such as '4GiB', not {size!r}")
    if isinstance(size, int):
        value: float = size
    else:
        value = _parse_text(size, page_size)
    if value < 0 or value != int(value):
        raise ValueError(f"{size!r} is not a whole, non-negative number of bytes")
    return int(value)


def _parse_text(text: str, page_size: int) -> float:
    match = _SIZE.fullmatch(text)
    if not match or (match[2] and match[3] == "pages"):
        raise ValueError(f"{text!r} is not a size: write a number and a unit, such as '64 KiB', '4GiB' or '512 pages'")
    digits = match[1].replace("_", "")
    unit = page_size if (match[3] or "").lower() == "pages" else 1 << _POWERS[match[2].upper()]
    return float(digits) * unit if "." in digits else int(digits) * unit


def format_size(size_bytes: int) -> str:
    """Return ``size_bytes`` in the largest binary unit in which it is exact, else with one decimal."""
    value, unit = float(size_bytes), "B"
    for name in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        unit = name
        if abs(value) < 1024 or name == "PiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"


def parse_address(address: int | str) -> int:
    """Return an address given as a number or as text: "0x1000", "1000h" is refused, "4096" is decimal.

    Raises ValueError for text that is no address, TypeError for other things.
    """
    if isinstance(address, bool) or not isinstance(address, (int, str)):
        raise TypeError(f"an address is a number or text such as '0xb8000', not {address!r}")
    try:
        value = address if isinstance(address, int) else int(address.strip(), 0)
    except ValueError:
        raise ValueError(f"{address!r} is not an address: write it as '0xb8000' or 753664") from None
    if value < 0:
        raise ValueError(f"{address!r} is not an address: addresses start at 0")
    return value


def format_address(address: int, bits: int = 64) -> str:
    """Return ``address`` in hexadecimal with all the digits that ``bits`` need."""
    return f"0x{address:0{(bits + 3) // 4}x}"
