"""What a value of a row looks like as text."""

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal

import msgspec

# A spreadsheet takes a cell that begins so for a formula, the last four, full-width, in some languages.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def is_number(value: object) -> bool:
    """Tell whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def as_text(value: object) -> str:
    """Return a value as text: nothing for NULL, ISO 8601 for times, hexadecimal digits for bytes."""
    match value:
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case Decimal():
            text = format(value, "f")
        case datetime():
            text = value.isoformat(" ")
        case date() | time():
            text = value.isoformat()
        case bytes() | bytearray() | memoryview():
            text = value.hex()
        case list() | tuple() | Mapping():
            text = msgspec.json.encode(value, enc_hook=str).decode()
        case _:
            text = str(value)
    return text


def as_csv(value: object) -> str:
    """Return a value as text; what a spreadsheet would take for a formula gets an apostrophe before it."""
    text = as_text(value)
    return f"'{text}" if text.startswith(_FORMULA) and not is_number(value) else text


def is_exact(value: float | Decimal) -> bool:
    """Tell whether a spreadsheet, which keeps 15 digits, shows the number as it is."""
    if isinstance(value, Decimal):
        return value.is_finite() and len(value.normalize().as_tuple().digits) <= 15
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 10**15
