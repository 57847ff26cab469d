"""The query language of listings and bulk changes, the same on the command line, in Python and over HTTP.

    state:failed name:send-email tag:vip age>1h error:timeout payload.user_id=7 -metadata.tenant=acme

Terms stand beside each other and all must hold; a minus turns one round; quotes keep words together.
`docs/cli.md` has the table of the qualifiers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

import msgspec

from jobs_core.durations import parse_duration
from jobs_core.errors import OptionError
from jobs_core.names import nearest
from jobs_core.options import as_priority
from jobs_core.states import Priority, State

if TYPE_CHECKING:
    from jobs_core.payloads import JsonValue
    from jobs_core.records import JobRecord

__all__ = ["Query", "parse_query"]

_MAX_TEXT = 2000
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(
    rf'(?P<minus>-?)(?P<field>[A-Za-z_]\w*(?:\.[^\s:=<>!."]+)*)(?P<op>!=|<=|>=|:|=|<|>)(?P<value>{_QUOTED}|\S*)'
    rf"|(?P<bare>{_QUOTED}|\S+)"
)
_COMPARE: Final[dict[str, Callable[[float], bool]]] = {
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}
_ROOTS = ("payload", "metadata")
_QUALIFIERS = ("state", "name", "tag", "id", "priority", "error", "age", "attempts", "stalled", *_ROOTS)


class _Term(msgspec.Struct, frozen=True):
    field: str
    path: tuple[str, ...]
    op: str
    value: str
    negated: bool


class Query(msgspec.Struct, frozen=True):
    """Which jobs are meant.

    `states` (empty: any) and `name` are what a listing can go by without a look at the jobs; ages are in ms of the
    end of a job, or of its making as long as it has not ended.
    """

    text: str = ""
    states: tuple[State, ...] = ()
    name: str = ""
    older_ms: int | None = None
    newer_ms: int | None = None
    terms: tuple[_Term, ...] = ()

    @property
    def picky(self) -> bool:
        """Whether records must be looked at."""
        return bool(self.terms or self.name or self.older_ms is not None or self.newer_ms is not None)

    def matches(self, job: JobRecord, now_ms: float) -> bool:
        """Tell whether a job is meant, at an instant of the server."""
        if self.older_ms is not None or self.newer_ms is not None:
            age = now_ms - (job.finished_at or job.created_at).timestamp() * 1000
            if (self.older_ms is not None and age < self.older_ms) or (
                self.newer_ms is not None and age > self.newer_ms
            ):
                return False
        return all(_holds(term, job) != term.negated for term in self.terms)


def parse_query(text: str) -> Query:
    """Return what a query means. Raises OptionError with what is wrong in it."""
    if len(text) > _MAX_TEXT:
        raise OptionError(
            "query", text[:50], f"it has {len(text):,} characters, at most {_MAX_TEXT:,} are allowed"
        )
    states: tuple[State, ...] = ()
    name = ""
    ages: dict[str, int] = {}
    terms: list[_Term] = []
    for found in _TERM.finditer(text):
        if found["bare"] is not None:
            terms.append(_Term("", (), ":", _unquoted(found["bare"]), negated=False))
            continue
        field, *path = found["field"].split(".")
        term = _Term(field, tuple(path), found["op"], _unquoted(found["value"]), found["minus"] == "-")
        if field not in _QUALIFIERS or (path and field not in _ROOTS):
            term = _of_payload(term)
        _check(term)
        if term.field == "age":
            ages[term.op[0]] = _age(term)
        elif term.field == "state" and not term.negated and not states:
            states = tuple(dict.fromkeys(_states(term)))
        elif term.field == "name" and not (term.negated or name or "," in term.value):
            name = term.value
        else:
            terms.append(term)
    return Query(
        text=text.strip(),
        states=states,
        name=name,
        older_ms=ages.get(">"),
        newer_ms=ages.get("<"),
        terms=tuple(terms),
    )


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _of_payload(term: _Term) -> _Term:
    """Read `user_id=7` as a field of the payload; a qualifier that is none is wrong."""
    if term.op == ":":
        near = nearest(term.field, _QUALIFIERS)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise OptionError(
            "query", term.field, f"there is no such qualifier{hint} There are {', '.join(_QUALIFIERS)}"
        )
    return msgspec.structs.replace(term, field="payload", path=(term.field, *term.path))


def _check(term: _Term) -> None:
    if not term.value and term.field not in _ROOTS:
        raise OptionError("query", term.field, "nothing stands behind it")
    if term.field in _ROOTS and not term.path:
        raise OptionError("query", term.field, f"name a field, as in {term.field}.user_id=7")
    if term.field in {"tag", "id", "name", "error"} and term.op in _COMPARE:
        raise OptionError("query", term.field, "it takes : or =")
    if term.field in {"attempts", "stalled"} and not re.fullmatch(r"\d+", term.value):
        raise OptionError("query", term.value, f"{term.field} is compared with a whole number")
    if check := _CHECKS.get(term.field):
        check(term)


def _states(term: _Term) -> Iterator[State]:
    for each in term.value.split(","):
        try:
            yield State(each)
        except ValueError:
            raise OptionError("state", each, f"it must be one of {', '.join(State)}") from None


def _priority(text: str) -> str:
    return Priority(as_priority(int(text) if text.isdecimal() else text)).name.lower()


def _age(term: _Term) -> int:
    if term.op not in _COMPARE or term.negated:
        raise OptionError("query", "age", "it is compared, as in age>1h or age<10m")
    return round(parse_duration(term.value, name="age") * 1000)


def _holds(term: _Term, job: JobRecord) -> bool:
    return _TESTS[term.field](term, job)


def _word(term: _Term, job: JobRecord) -> bool:
    word = term.value.lower()
    return any(word in text.lower() for text in (job.id, job.name, job.failed_reason or "", *job.tags))


def _error(term: _Term, job: JobRecord) -> bool:
    reason = job.failed_reason or ""
    return reason == term.value if term.op == "=" else term.value.lower() in reason.lower()


def _metadata(term: _Term, job: JobRecord) -> bool:
    return _any(term, _reach(cast("JsonValue", job.metadata), term.path))


_CHECKS: Final[dict[str, Callable[[_Term], object]]] = {
    "state": lambda term: [*_states(term)],
    "priority": lambda term: [_priority(each) for each in term.value.split(",")],
    "age": _age,
}
_TESTS: Final[dict[str, Callable[[_Term, JobRecord], bool]]] = {
    "": _word,
    "state": lambda term, job: job.state in {*_states(term)},
    "name": lambda term, job: job.name in {each.partition("@")[0] for each in term.value.split(",")},
    "tag": lambda term, job: any(each in job.tags for each in term.value.split(",")),
    "id": lambda term, job: job.id in term.value.split(","),
    "priority": lambda term, job: job.priority in {_priority(each) for each in term.value.split(",")},
    "error": _error,
    "attempts": lambda term, job: _compares(term, job.attempts_made),
    "stalled": lambda term, job: _compares(term, job.stalled),
    "metadata": _metadata,
    "payload": lambda term, job: _any(term, _reach(job.payload, term.path)),
}


def _any(term: _Term, found: Iterator[JsonValue]) -> bool:
    if term.op == "!=":
        equal = msgspec.structs.replace(term, op="=")
        return not any(_compares(equal, each) for each in found)
    return any(_compares(term, each) for each in found)


def _reach(value: JsonValue, path: Sequence[str]) -> Iterator[JsonValue]:
    """Yield what lies at a path; through a list all of its entries, unless the path numbers one."""
    if not path:
        yield value
    elif isinstance(value, dict):
        if path[0] in value:
            yield from _reach(value[path[0]], path[1:])
    elif isinstance(value, list):
        if path[0].isdecimal():
            if int(path[0]) < len(value):
                yield from _reach(value[int(path[0])], path[1:])
        else:
            for each in value:
                yield from _reach(each, path)


def _compares(term: _Term, found: JsonValue) -> bool:
    text = term.value
    match term.op:
        case ":" if isinstance(found, str):
            same = text.lower() in found.lower()
        case ":" | "=":
            same = _equal(found, text) or (
                isinstance(found, list) and any(_equal(each, text) for each in found)
            )
        case "!=":
            same = not _equal(found, text)
        case _:
            sign = _sign(found, text)
            same = sign is not None and _COMPARE[term.op](sign)
    return same


def _sign(found: JsonValue, text: str) -> float | None:
    """Compare numbers as such and texts by their characters; None: they cannot be compared."""
    if isinstance(found, str):
        return (found > text) - (found < text)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    try:
        return found - float(text)
    except ValueError:
        return None


def _equal(found: JsonValue, text: str) -> bool:
    if isinstance(found, str):
        return found == text
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return value == found and isinstance(value, bool) == isinstance(found, bool)
