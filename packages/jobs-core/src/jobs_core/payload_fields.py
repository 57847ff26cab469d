"""The fields of payload types: what `key`, `unique`, `debounce` and `throttle` take their values from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["payload_fields", "wrong_key_field"]

_WITH_FIELDS = (inspect.StructType, inspect.DataclassType, inspect.TypedDictType, inspect.NamedTupleType)
_WITHOUT = (
    inspect.BoolType,
    inspect.ByteArrayType,
    inspect.BytesType,
    inspect.CollectionType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.DecimalType,
    inspect.EnumType,
    inspect.FloatType,
    inspect.IntType,
    inspect.LiteralType,
    inspect.MemoryViewType,
    inspect.NoneType,
    inspect.StrType,
    inspect.TimeDeltaType,
    inspect.TimeType,
    inspect.TupleType,
    inspect.UUIDType,
)
# A text of these names no tenant, and of some differs from process to process.
_NO_KEY = (
    *_WITH_FIELDS,
    inspect.CollectionType,
    inspect.DictType,
    inspect.NoneType,
    inspect.TupleType,
)


def payload_fields(payload: object) -> Mapping[str, Sequence[inspect.Type]] | None:
    """Return the fields that payloads of a type may have, and of each what it may be; of a union those of all its members.

    None where the type does not say: a plain mapping, JSON of any kind.
    """
    found: dict[str, list[inspect.Type]] = {}
    for member in _members(inspect.type_info(payload)):
        if isinstance(member, _WITH_FIELDS):
            for field in member.fields:
                found.setdefault(field.name, []).extend(_members(field.type))
        elif not isinstance(member, _WITHOUT):
            return None
    return found


def wrong_key_field(names: Sequence[str], payload: object) -> str | None:
    """Return why payloads of a type have no key by these fields; None where they may, or the type does not say."""
    known = payload_fields(payload)
    if known is None:
        return None
    for name in names:
        if name not in known:
            there = f"only the fields {', '.join(known)}" if known else "no fields"
            return f"its payload has no field {name!r}, it has {there}"
        if all(isinstance(kind, _NO_KEY) for kind in known[name]):
            return f"the field {name!r} of its payload is never a text, a number or the like"
    return None


def _members(kind: inspect.Type) -> Sequence[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return _members(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [member for each in kind.types for member in _members(each)]
    return (kind,)
