"""One line of the table of routes, and what its handler's annotations say of requests and answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias, cast, get_args, get_origin, get_type_hints
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from jobs_core.errors import JobsError, OptionError
from jobs_dashboard.call import Answer
from jobs_dashboard.problems import Refused
from jobs_dashboard.roles import Role

__all__ = ["KIB", "Handler", "Method", "Row"]

KIB = 1024
Method: TypeAlias = Literal["GET", "POST", "PUT", "DELETE"]
Handler: TypeAlias = Callable[..., Awaitable[object]]
"""Takes the call, what the path names, then `query` and `body` where it declares them; returns what is answered."""

_NAMED = re.compile(r"\{(\w+)\}")
# The ids of jobs, schedules and workers may hold slashes: whoever writes them as %2F is always understood.
_PATTERNS: Mapping[str, str] = {"queue": "[^/]+", "profile": "[^/]+", "verb": "[^/]+"}


class Row:
    """A route: its method, path, role, and through its handler the types that it takes and answers."""

    def __init__(
        self,
        method: Method,
        path: str,
        handler: Handler,
        role: Role | None,
        *,
        errors: tuple[type[JobsError], ...] = (),
        status: int = 200,
        answers: object = None,
        also: Mapping[int, object] | None = None,
        codes: Mapping[int, str] | None = None,
        body_limit: int = 64 * KIB,
        media: str = "application/json",
        takes_anything: bool = False,
    ) -> None:
        """Describe a route; `role` None lets anybody ask.

        `errors` are those of the packages that are told of besides wrong parameters and a server that is away, `also` other
        statuses and the types of their answers, `answers` that of the status of the route where the handler answers several.
        `codes` are problems that the packages do not know, by status. `body_limit` is in bytes. With `takes_anything`
        the handler reads the query by itself: others may add to it.
        """
        self.method: Method = method
        self.path = path
        self.handler = handler
        self.role = role
        self.errors = errors
        self.status = status
        self._answers = answers
        self.also: Mapping[int, object] = also or {}
        self.codes: Mapping[int, str] = codes or {}
        self.body_limit = body_limit
        self.media = media
        self._takes_anything = takes_anything

    @cached_property
    def name(self) -> str:
        """The name of the operation."""
        return cast("Any", self.handler).__name__

    @cached_property
    def tag(self) -> str:
        """What it is about."""
        return cast("Any", self.handler).__module__.rpartition(".")[2].replace("_", "-")

    @cached_property
    def _hints(self) -> dict[str, object]:
        return get_type_hints(self.handler, include_extras=True)

    @cached_property
    def named(self) -> dict[str, object]:
        """The types of what the path names."""
        return {name: self._hints[name] for name in _NAMED.findall(self.path)}

    @cached_property
    def query(self) -> type[msgspec.Struct] | None:
        """The parameters of the query."""
        return cast("type[msgspec.Struct] | None", self._hints.get("query"))

    @cached_property
    def body(self) -> object | None:
        """The type of the body."""
        return self._hints.get("body")

    @cached_property
    def body_optional(self) -> bool:
        """Whether nothing has to be said in the body."""
        parameter = inspect.signature(self.handler).parameters.get("body")
        return parameter is not None and parameter.default is not inspect.Parameter.empty

    @cached_property
    def answers(self) -> Mapping[int, object]:
        """The types of what is answered, by status; None: without a body."""
        kind = self._answers or self._hints["return"]
        if get_origin(kind) is Answer:
            (kind,) = get_args(kind)
        plain = None if kind is type(None) or _is_response(kind) else kind
        return {self.status: plain, **self.also}

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What the path of a request has to look like, still percent-encoded."""
        parts = re.split(r"(\{\w+\})", self.path)
        return re.compile(
            "".join(
                f"(?P<{part[1:-1]}>{_PATTERNS.get(part[1:-1], '.+')})" if part[:1] == "{" else re.escape(part)
                for part in parts
            )
        )

    def read_path(self, found: Mapping[str, str]) -> dict[str, object]:
        """Return what a path names. Raises OptionError."""
        values: dict[str, object] = {}
        for name, text in found.items():
            try:
                values[name] = msgspec.convert(unquote(text, errors="strict"), self.named[name])
            except (UnicodeDecodeError, msgspec.ValidationError) as error:
                raise OptionError(name, text, _reason(error)) from None
        return values

    def read_query(self, given: Mapping[str, list[str]]) -> msgspec.Struct | None:
        """Return the parameters of a query; one that is empty counts as not given. Raises OptionError."""
        if self.query is None:
            for name in () if self._takes_anything else given:
                raise OptionError(name, given[name][0], "this takes no parameters")
            return None
        kinds = {field.encode_name: field.type for field in msgspec.structs.fields(self.query)}
        values: dict[str, object] = {}
        for name, texts in given.items():
            if name not in kinds:
                # Passed over in silence it would seem to filter.
                reason = f"there is no such parameter; there are {', '.join(sorted(kinds))}"
                raise OptionError(name, texts[0], reason)
            filled = [each for text in texts for each in text.split(",") if each]
            if _plain(kinds[name]) is tuple:
                values[name] = filled
            elif len(texts) > 1:
                raise OptionError(name, texts[1], "it is given twice")
            elif texts[0]:
                values[name] = texts[0]
        try:
            return msgspec.convert(values, self.query, strict=False)
        except msgspec.ValidationError as error:
            name = _where(error).partition("[")[0]
            raise OptionError(name, values.get(name), _reason(error)) from None

    def read_body(self, data: bytes) -> object:
        """Return what a body says. Raises Refused, and msgspec.DecodeError for what is no JSON."""
        try:
            return msgspec.json.decode(data, type=cast("type[object]", self.body))
        except msgspec.ValidationError as error:
            # No value of the body is repeated: it may hold what nobody is to see.
            where, reason = _where(error), _reason(error)
            if named := _FIELD(reason):
                where = f"{where}.{named[1]}".lstrip(".")
            detail = f"{where or 'The body'}: {reason}."
            raise Refused(
                422, OptionError.code, "Wrong parameter", detail, parameter=where or "body"
            ) from None


def _is_response(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(cast("type[object]", kind), Response)


def _plain(kind: object) -> object:
    """Return what a type is made of, without what is annotated to it."""
    return get_origin(get_args(kind)[0] if get_origin(kind) is Annotated else kind)


_FIELD = re.compile(r".*(?:unknown|required) field `(.*)`").fullmatch
_AT = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*?)`", re.DOTALL).fullmatch


def _where(error: msgspec.ValidationError) -> str:
    found = _AT(str(error))
    return found[2] if found else ""


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8"
    found = _AT(str(error))
    text = found[1] if found else str(error)
    return text[:1].lower() + text[1:].rstrip(".")
