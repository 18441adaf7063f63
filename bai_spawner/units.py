"""Amounts as integers: bytes, whole cores, GPU quanta and seconds.

Every parser here is strict. It takes what the contract names (finite, ASCII
digits, in range) and raises ``ValueError`` with what is accepted for anything
else: booleans, lists, ``1e3``, ``+1``, ``٣``, ``NaN``.

Sizes are powers of 1,024, whatever their unit's spelling (the REST contract).
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction

KIB = 1024
MIB = 1024**2
GIB = 1024**3
MAX_BYTES = 2**63 - 1
"""What the engine's API can carry (a signed 64-bit integer)."""
MAX_CORES = 65_536
MAX_FGPU = 65_536
MINUTE, HOUR, DAY = 60, 3600, 86_400
MAX_SECONDS = 3650 * DAY

_UNITS = {"": 1, "K": KIB, "KiB": KIB, "M": MIB, "MiB": MIB, "G": GIB, "GiB": GIB}
_SIZE = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,30}))?(KiB|MiB|GiB|K|M|G)?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_EXACT = Context(prec=64)
"""One byte of a GiB has 30 digits."""
_PERIODS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": 1}
_DURATION = re.compile(r"([0-9]{1,9})([dhms])", re.ASCII)


def parse_size(value: object) -> int:
    """Bytes of ``4294967296``, ``"4GiB"``, ``"1.5G"`` or ``"512M"``.

    Raises:
        ValueError: for anything else, and for an amount that is no whole number of bytes.
    """
    accepted = "a whole number of bytes, or a string like '512MiB' or '1.5GiB' (KiB, MiB, GiB)"
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be {accepted}")
    if isinstance(value, int):
        size = Fraction(value)
    else:
        match = _SIZE.fullmatch(value)
        if not match:
            raise ValueError(f"must be {accepted}")
        whole, part, unit = match.groups(default="")
        size = Fraction(f"{whole}.{part or 0}") * _UNITS[unit]
        if unit:  # 0.3GiB is no whole number of bytes: a byte of 322 million is not worth an error
            size = Fraction(int(size))
    if size.denominator != 1:
        raise ValueError(f"must be {accepted}")
    if not 0 <= size <= MAX_BYTES:
        raise ValueError(f"must be between 0 and {MAX_BYTES} bytes")
    return int(size)


def format_size(size: int) -> str:
    """Bytes for people: ``1.5 GiB``, ``512 MiB``; exact where that is short, else rounded down."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size) >= unit:
            amount = (Decimal(size) / unit).quantize(Decimal("0.01"), rounding=ROUND_FLOOR)
            return f"{plain(amount)} {name}"
    return f"{size} B"


def gib(size: int) -> str:
    """Bytes as a number of GiB for a number box, exactly: ``"1.5"``."""
    return plain(_EXACT.divide(Decimal(size), Decimal(GIB)))


def plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_cores(value: object) -> int:
    """CPU cores: a JSON integer of at least 1.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number of cores, such as 2")
    if not 1 <= value <= MAX_CORES:
        raise ValueError(f"must be between 1 and {MAX_CORES} cores")
    return value


def parse_fgpu(value: object) -> Decimal:
    """fGPU as an exact decimal, from a JSON number or a decimal string.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        text = value if isinstance(value, str) else _digits(value)
        if _NUMBER.fullmatch(text) and Decimal(text) <= MAX_FGPU:
            return Decimal(text)
    raise ValueError(f"must be a number between 0 and {MAX_FGPU}, such as 2 or '0.5'")


def _digits(number: float) -> str:
    """A JSON number without an exponent; what is not finite stays no number."""
    if isinstance(number, int) or not math.isfinite(number):
        return str(number) if abs(number) < MAX_BYTES else ""
    return plain(Decimal(repr(number)))


def to_quanta(fgpu: Decimal, quantum: Decimal) -> int:
    """How many quanta ``fgpu`` is, exactly (R12: never rounded).

    Raises:
        ValueError: when it is not a multiple of the quantum.
    """
    count = Fraction(fgpu) / Fraction(quantum)
    if count.denominator != 1:
        raise ValueError(f"must be a multiple of {plain(quantum)}")
    return int(count)


def from_quanta(quanta: int, quantum: Decimal) -> Decimal:
    """The fGPU that so many quanta are."""
    return quanta * quantum


def parse_duration(value: object) -> int:
    """Seconds of ``"90s"``, ``"30m"``, ``"2h"`` or ``"3d"``.

    Raises:
        ValueError: for anything else; a number without its unit could mean any.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("must be a whole number and its unit: '90s', '30m', '2h' or '3d'")
    seconds = int(match[1]) * _PERIODS[match[2]]
    if not 1 <= seconds <= MAX_SECONDS:
        raise ValueError(f"must be between 1s and {plain_duration(MAX_SECONDS)}")
    return seconds


def plain_duration(seconds: int) -> str:
    """What `parse_duration` reads the same seconds from, in the largest unit: ``"90m"``."""
    unit, size = next((u, s) for u, s in _PERIODS.items() if seconds % s == 0)
    return f"{seconds // size}{unit}"


def format_duration(seconds: float) -> str:
    """Seconds for people, in the two largest units, rounded down: ``"1 h 30 min"``."""
    left, parts = max(0, int(seconds)), []
    for size, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")):
        count, left = divmod(left, size)
        parts.append((count, name))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts))
    return " ".join(f"{count} {name}" for count, name in parts[first:][:2] if count) or "0 s"
