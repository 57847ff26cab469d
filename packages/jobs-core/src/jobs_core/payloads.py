"""Payloads and results: typed values in Python, checked JSON or msgpack on the wire."""

from __future__ import annotations

import logging
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NewType,
    NoReturn,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    is_typeddict,
)

import msgspec
from msgspec import inspect

from jobs_core.errors import PayloadError, PayloadTooLarge

__all__ = ["FORMATS", "MAX_BYTES", "WARN_BYTES", "Format", "JsonValue", "Serializer", "decode_any"]

MAX_BYTES = 1024 * 1024
WARN_BYTES = 100 * 1024

Format: TypeAlias = Literal["json", "msgpack"]
"""How payloads and results are written: `json`, the default, or `msgpack`, which keeps bytes as they are."""
FORMATS: tuple[Format, ...] = ("json", "msgpack")

if TYPE_CHECKING:
    JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
else:
    # One level deep is all that a value of the type needs at run time, and it stays equal to itself when
    # typing.get_type_hints resolves it in a module that does not know the name.
    JsonValue = bool | int | float | str | list[Any] | dict[str, Any] | None

T = TypeVar("T")

_log = logging.getLogger("jobs_core")
_encode = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode
_decode_json = msgspec.json.Decoder(JsonValue).decode
_decode_msgpack = msgspec.msgpack.Decoder().decode
# A double whose exponent is all ones; bytes that only look like one cost a walk, nothing more.
_has_odd_float = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]").search
_MISFIT = re.compile(r"(.*) - at `(key in )?(\$.*?)`", re.DOTALL).fullmatch


class Serializer(Generic[T]):
    """Writes and reads the payloads, or the results, of one job type and checks that they fit its type.

    A msgspec Struct does not check its fields when it is made, so what was encoded is decoded again as the
    declared type: that sees all that a worker would see, and costs about a microsecond.
    """

    __slots__ = (
        "_classes",
        "_decode",
        "_decoders",
        "_encode",
        "_exact",
        "_form",
        "_hides_nan",
        "_warned",
        "job",
        "queue",
        "what",
    )

    def __init__(
        self, declared: type[T] | object, *, queue: str, job: str, what: str, form: Format = "json"
    ) -> None:
        """Prepare for the declared type. Raises `TypeError` where JSON or msgspec cannot carry it."""
        self.queue = queue
        self.job = job
        self.what = what
        self._form: Format = form
        self._exact = cast("type[T]", declared)
        self._decoders: dict[str, Callable[[bytes | bytearray | memoryview], T]] = {}
        self._decode = self._decoder(form)
        self._encode = _encode if form == "json" else _encode_msgpack
        self._classes = _classes(declared)
        # Also for msgpack: what people look at is JSON.
        self._hides_nan = _hides_nan(declared) and form == "json"
        self._warned = False

    def encode(self, value: T, *, capped: bool = True) -> bytes:
        """Return the value as bytes of the format. Raises `PayloadError` or `PayloadTooLarge`.

        `capped` False leaves the size to who makes other bytes of them (`check_size`).
        """
        if type(value) is not self._exact and self._classes and not isinstance(value, self._classes):
            self._refuse("$", f"expected {_name(self._exact)}, got {_name(type(value))}")
        try:
            data = self._encode(value)
        # An object's own __str__ or property may raise anything, but these are what msgspec raises itself.
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            written = "JSON" if self._form == "json" else self._form
            self._refuse("$", f"it cannot be written as {written}: {error}", error)
        if capped and len(data) > WARN_BYTES:
            self.check_size(len(data))
        # msgspec writes NaN and infinity as null, which is a value of its own where null is allowed.
        if self._hides_nan and b"null" in data:
            self._check_finite(value)
        try:
            self._decode(data)
        except msgspec.MsgspecError as error:
            if self._form == "json":
                self._check_finite(value)
            self._refuse(*_misfit(error), error)
        return data

    def decode(self, data: bytes | bytearray | memoryview, form: str | None = None) -> T:
        """Return the value that the bytes hold; `form` is the format they are in, by default the declared one.

        Raises `PayloadError`.
        """
        decode = self._decode if form is None or form == self._form else self._decoder(form)
        try:
            return decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(*_misfit(error), error)

    def _decoder(self, form: str) -> Callable[[bytes | bytearray | memoryview], T]:
        known = self._decoders.get(form)
        if known is None:
            if form not in FORMATS:
                self._refuse("$", f"it is written as {form!r}, which this version does not read")
            of = msgspec.json.Decoder if form == "json" else msgspec.msgpack.Decoder
            known = self._decoders[form] = of(self._exact).decode
        return known

    def _refuse(self, path: str, reason: str, cause: BaseException | None = None) -> NoReturn:
        raise PayloadError(self.queue, self.job, path, reason, what=self.what) from cause

    def check_size(self, size: int) -> None:
        """Refuse what is over the cap, and warn once of what is large. Raises `PayloadTooLarge`."""
        if size <= WARN_BYTES:
            return
        if size > MAX_BYTES:
            raise PayloadTooLarge(self.queue, self.job, size, MAX_BYTES, what=self.what)
        if not self._warned:
            self._warned = True
            _log.warning(
                "The %s of job %r in queue %r has %d bytes. The server keeps it in memory and stands still "
                "while it copies it: pass a reference, or offload the data to a file store.",
                self.what,
                self.job,
                self.queue,
                size,
            )

    def _check_finite(self, value: object) -> None:
        try:
            # msgpack keeps what JSON loses, and a search in bytes is far cheaper than a walk over objects.
            if not _has_odd_float(_encode_msgpack(value)):
                return
        except OverflowError:
            pass
        for path, number in _not_finite(msgspec.to_builtins(value), "$"):
            self._refuse(path, f"{number} is not a JSON number")


def decode_any(data: bytes, form: str) -> JsonValue:
    """Return what the bytes hold, whatever its type; msgpack may hold bytes and times besides what JSON does.

    Raises `msgspec.MsgspecError`, `UnicodeDecodeError` or `RecursionError`; ValueError for an unknown format.
    """
    if form == "json":
        return _decode_json(data)
    if form == "msgpack":
        return cast("JsonValue", _decode_msgpack(data))
    raise ValueError(f"it is written as {form!r}, which this version does not read")


def _misfit(error: Exception) -> tuple[str, str]:
    """Split a message of msgspec, such as "Expected `str`, got `int` - at `$.to`", into path and reason."""
    found = _MISFIT(str(error))
    if found is None:
        return "$", _sentence(str(error))
    reason, key, path = found.groups()
    return path, _sentence(f"{reason} (a key)" if key else reason)


def _sentence(text: str) -> str:
    # "JSON is malformed" stays as it is.
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _not_finite(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path, value
    elif isinstance(value, dict):
        for key, entry in cast("dict[object, object]", value).items():
            yield from _not_finite(entry, f"{path}.{key}")
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, entry in enumerate(cast("Sequence[object]", value)):
            yield from _not_finite(entry, f"{path}[{index}]")


def _name(declared: object) -> str:
    return (
        declared.__qualname__
        if isinstance(declared, type) and get_origin(declared) is None
        else str(declared)
    )


def _classes(declared: object) -> tuple[type, ...]:
    """Return the classes that an instance of the declared type may have; nothing means any."""
    origin = get_origin(declared)
    if origin is Literal:
        return tuple({type(value) for value in cast("tuple[object, ...]", get_args(declared))})
    if origin is Union or origin is types.UnionType:
        members = [_classes(member) for member in get_args(declared)]
        return tuple({one for member in members for one in member}) if all(members) else ()
    if origin is Annotated:
        plain: object = get_args(declared)[0]
    else:
        plain = declared.__supertype__ if isinstance(declared, NewType) else declared
    if plain is not declared:
        return _classes(plain)
    return _OF_PLAIN.get(plain) or _of_class(origin or plain)


_OF_PLAIN: dict[object, tuple[type, ...]] = {None: (types.NoneType,), float: (float, int)}


def _of_class(plain: object) -> tuple[type, ...]:
    if is_typeddict(plain):
        return (dict,)
    return (plain,) if isinstance(plain, type) and plain not in {object, Any} else ()


def _hides_nan(declared: object) -> bool:
    """Tell whether some part of the type can hold both a float and null.

    Raises `TypeError` for a part that JSON cannot carry: msgspec itself notices that only at the first value.
    """
    hides = False
    for part in _parts(inspect.type_info(declared), set()):
        if isinstance(part, inspect.AnyType):
            hides = True
        elif isinstance(part, inspect.UnionType):
            kinds = {type(member) for member in part.types}
            hides = hides or kinds >= {inspect.FloatType, inspect.NoneType}
        elif isinstance(part, inspect.CustomType):
            if not any(isinstance(value, part.cls) for value in _PLAIN):
                raise TypeError(f"{_name(part.cls)} has no JSON form")
            hides = True
        elif isinstance(part, inspect.DictType) and isinstance(part.key_type, _NO_KEYS):
            raise TypeError("a key of a JSON object must be a string, a number or an enum")
    return hides


_PLAIN: tuple[object, ...] = (None, True, 1, 1.0, "", [], {})
_NO_KEYS = (
    inspect.DataclassType,
    inspect.FrozenSetType,
    inspect.NamedTupleType,
    inspect.StructType,
    inspect.TupleType,
    inspect.VarTupleType,
)


def _parts(node: object, seen: set[int]) -> Iterator[object]:
    """Yield a described type and all that it is made of; a type may contain itself."""
    if isinstance(node, tuple):
        for entry in cast("tuple[object, ...]", node):
            yield from _parts(entry, seen)
    elif isinstance(node, (inspect.Type, inspect.Field)) and id(node) not in seen:
        seen.add(id(node))
        yield node
        for field in node.__struct_fields__:
            if field not in {"default", "default_factory"}:
                yield from _parts(getattr(node, field), seen)
