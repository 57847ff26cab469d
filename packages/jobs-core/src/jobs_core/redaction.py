"""Fields of payloads and results that are never shown: `password: Annotated[str, redact]`.

Handlers get them as they are. Who looks at jobs over the dashboard gets a mask in their place, and no text in which
they are repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec
from msgspec import inspect

from jobs_core.payloads import JsonValue

__all__ = ["MASK", "Mask", "redact"]

redact: Final = msgspec.Meta(extra={"redact": True})
"""Marks a type as one whose values are never shown."""

MASK: Final = "***"
# Shorter ones stand in any text by chance.
_SHORTEST = 4


class Mask:
    """Where in the JSON of a type something lies that is not to be shown.

    `fields` is by key and `places` by number, `rest` is for all other keys and numbers. What may be of several types has
    a mask of each in `any_of`: all of them apply, since which it is cannot be told.
    """

    def __init__(self) -> None:
        """Hide nothing yet."""
        self.hidden = False
        self.fields: dict[str, Mask] = {}
        self.places: list[Mask] = []
        self.rest: Mask | None = None
        self.any_of: list[Mask] = []
        self._hides: bool | None = None

    @classmethod
    def of(cls, *kinds: object) -> Mask:
        """Return what is hidden of values that may be of any of these types."""
        made: dict[object, Mask] = {}
        mask = cls()
        mask.any_of = [_made(inspect.type_info(kind), made) for kind in kinds]
        return mask

    @property
    def hides(self) -> bool:
        """Whether anything is hidden at all."""
        if self._hides is None:
            self._hides = any(each.hidden for each in self._all(set()))
        return self._hides

    def apply(self, value: JsonValue) -> JsonValue:
        """Return the value with a mask in place of what is hidden; null stays."""
        for each in self.any_of:
            value = each.apply(value)
        if self.hidden:
            return None if value is None else MASK
        if self._empty:
            return value
        return _mapped(value, lambda mask, below, _: mask.apply(below), self, None)

    def secrets(self, value: JsonValue) -> set[str]:
        """Return the texts of what is hidden, as far as they are long enough to be looked for."""
        return {text for text in self._secrets(value) if len(text) >= _SHORTEST}

    def restore(self, value: JsonValue, original: JsonValue) -> JsonValue:
        """Return a value that somebody edited while masks stood in it, with what they stood for."""
        for each in self.any_of:
            value = each.restore(value, original)
        if self.hidden:
            return original if value == MASK else value
        if self._empty:
            return value
        return _mapped(value, lambda mask, below, before: mask.restore(below, before), self, original)

    def has_mask(self, value: JsonValue) -> bool:
        """Tell whether a mask stands where something is hidden."""
        return MASK in self._secrets(value)

    def at(self, key: str | int) -> Mask | None:
        """Return the mask of what lies below a key or a number."""
        if isinstance(key, int):
            return self.places[key] if key < len(self.places) else self.rest
        return self.fields.get(key, self.rest)

    @property
    def _empty(self) -> bool:
        return not (self.fields or self.places or self.rest)

    def _secrets(self, value: JsonValue) -> Iterator[str]:
        for each in self.any_of:
            yield from each._secrets(value)  # noqa: SLF001 - of the same class
        if self.hidden:
            yield from _texts(value)
        else:
            for key, below in _entries(value):
                if (mask := self.at(key)) is not None:
                    yield from mask._secrets(below)  # noqa: SLF001

    def _all(self, seen: set[int]) -> Iterator[Mask]:
        """Yield this one and all below; a type may contain itself."""
        if id(self) in seen:
            return
        seen.add(id(self))
        yield self
        rest = [] if self.rest is None else [self.rest]
        for each in (*self.any_of, *self.fields.values(), *self.places, *rest):
            yield from each._all(seen)  # noqa: SLF001


def _mapped(
    value: JsonValue,
    change: Callable[[Mask, JsonValue, JsonValue], JsonValue],
    mask: Mask,
    other: JsonValue,
) -> JsonValue:
    """Return a value in which each part with a mask is changed, beside the same part of another value (the mask where it has none)."""
    parts = dict(_entries(other))
    changed = {
        key: each if (below := mask.at(key)) is None else change(below, each, parts.get(key, MASK))
        for key, each in _entries(value)
    }
    if isinstance(value, Mapping):
        return cast("JsonValue", changed)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [*changed.values()]
    return value


def _entries(value: JsonValue) -> Iterator[tuple[str | int, JsonValue]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from enumerate(value)


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, (Mapping, Sequence)) and not isinstance(value, str):
        for _, each in _entries(value):
            yield from _texts(each)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _made(kind: inspect.Type, made: dict[object, Mask]) -> Mask:
    """Return the mask of a described type; that of a class is made once, since a class may contain itself."""
    owner = getattr(kind, "cls", None)
    if owner is not None and owner in made:
        return made[owner]
    mask = Mask()
    if owner is not None:
        made[owner] = mask
    _fill(mask, kind, lambda part: _made(part, made))
    return mask


def _fill(mask: Mask, kind: inspect.Type, made: Callable[[inspect.Type], Mask]) -> None:
    match kind:
        case inspect.Metadata():
            extra = cast("dict[str, object]", kind.extra or {})  # pyright: ignore[reportUnknownMemberType]
            mask.hidden = bool(extra.get("redact"))
            mask.any_of = [made(kind.type)]
        case inspect.StructType(array_like=True):
            tag = [] if kind.tag is None else [Mask()]
            mask.places = [*tag, *(made(field.type) for field in kind.fields)]
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            mask.fields = {field.encode_name: made(field.type) for field in kind.fields}
        case inspect.NamedTupleType():
            mask.places = [made(field.type) for field in kind.fields]
        case inspect.TupleType():
            mask.places = [made(each) for each in kind.item_types]
        case inspect.DictType():
            mask.rest = made(kind.value_type)
            mask.hidden = made(kind.key_type).hidden
        case inspect.UnionType():
            mask.any_of = [made(each) for each in kind.types]
        case _:
            if (item := getattr(kind, "item_type", None)) is not None:
                mask.rest = made(cast("inspect.Type", item))
