"""Pages over the homes of a queue's jobs, one after the other, from a cursor on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from jobs_admin._query import Query, parse_query
from jobs_admin.records import Page
from jobs_core.errors import OptionError
from jobs_core.names import check_job_name, check_tag
from jobs_core.records import JobRecord, read_records
from jobs_core.scripts import MAX_ITEMS
from jobs_core.states import State

if TYPE_CHECKING:
    from jobs_core.scripts import Scripts

MAX_LIMIT = 500
DEFAULT_STATES = (
    State.ACTIVE,
    State.WAITING,
    State.DELAYED,
    State.BLOCKED,
    State.UNROUTABLE,
    State.FAILED,
    State.COMPLETED,
    State.CANCELLED,
    State.EXPIRED,
)
# How many round trips one page may cost when its filters pass most jobs over, and how many jobs it looks at.
_MAX_STEPS = 50
_MAX_LOOKED = 500


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The job shown last: its state, the owner that runs it, its score as the server writes it, its id."""

    state: str
    owner: str = ""
    score: str = ""
    id: str = ""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a listing is of."""

    states: tuple[State, ...]
    name: str = ""
    tag: str = ""
    query: Query = Query()

    @property
    def picky(self) -> bool:
        """Whether records must be looked at, so that an offset cannot be reckoned."""
        return bool(self.name or self.tag or self.query.picky)

    @property
    def strict(self) -> bool:
        """Whether most of what a page of ids holds may be passed over, so that it is read as large as can be."""
        return bool(self.tag or self.query.picky)

    def matches(self, job: JobRecord, now_ms: float) -> bool:
        """Tell whether a job is meant; its state and the name are seen to by who lists."""
        return not (self.tag and self.tag not in job.tags) and self.query.matches(job, now_ms)


class _Home(msgspec.Struct, frozen=True):
    state: State
    owner: str

    @property
    def key(self) -> str:
        return f"active:{self.owner}" if self.owner else self.state.value


def make_filter(
    states: Sequence[State | str] | State | str | None,
    name: str | None,
    tag: str | None,
    query: str | None = None,
) -> Filter:
    """Check what a listing is asked for. Raises OptionError."""
    asked = parse_query(query or "")
    given = (states,) if isinstance(states, str) else states
    known: list[State] = []
    for each in given or asked.states or DEFAULT_STATES:
        try:
            known.append(State(each))
        except ValueError:
            raise OptionError("state", each, f"it must be one of {', '.join(State)}") from None
    if asked.states and not asked.states[0] == asked.states[-1] == known[0]:
        known = [each for each in known if each in asked.states]
    if name and asked.name and name != asked.name:
        raise OptionError("name", name, f"the query says name:{asked.name}")
    wanted = name or asked.name
    return Filter(
        states=tuple(dict.fromkeys(known)),
        name=_wire_or_job_name(wanted) if wanted else "",
        tag=check_tag(tag) if tag else "",
        query=asked,
    )


def check_bounds(limit: int, offset: int, cursor: str | None) -> None:
    """Check the size and place of a page. Raises OptionError."""
    if not 1 <= limit <= MAX_LIMIT:
        raise OptionError("limit", limit, f"it must be 1 to {MAX_LIMIT}")
    if offset < 0:
        raise OptionError("offset", offset, "it must be 0 or more")
    if cursor and offset:
        raise OptionError("offset", offset, "it cannot be combined with cursor; give one of them")


def encode_cursor(position: Position) -> str:
    """Return a position as text that can stand in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode_cursor(cursor: str, states: Sequence[State]) -> Position:
    """Return the position that a cursor means. Raises OptionError for one of another listing, or none."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        position = msgspec.json.decode(raw, type=Position)
        float(position.score or "0")
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise OptionError("cursor", cursor, "it is none of ours; take the one of the page before") from None
    if position.state not in states:
        raise OptionError("cursor", cursor, f"it belongs to a listing that holds {position.state} jobs")
    return position


async def list_page(
    scripts: Scripts,
    queue: str,
    wanted: Filter,
    *,
    limit: int,
    offset: int,
    cursor: str | None,
    now_ms: float = 0,
    shown: Callable[[JobRecord], JobRecord],
) -> Page:
    """Read one page. A job that moves meanwhile may be missed or shown twice, no other is.

    `now_ms` is the instant that ages count from, by the server's clock. What a job is `shown` as is what is searched, too.
    """
    at = decode_cursor(cursor, wanted.states) if cursor else None
    homes = await _homes(scripts, queue, wanted.states, at)
    resumes = at is not None and homes and homes[0] == _Home(State(at.state), at.owner)
    score, last = (at.score, at.id) if at is not None and resumes else ("", "")
    jobs: list[JobRecord] = []
    index = passed = steps = looked = 0
    while index < len(homes) and len(jobs) < limit and steps < _MAX_STEPS and looked < _MAX_LOOKED:
        steps += 1
        home = homes[index]
        page = await scripts.page(
            queue,
            home=home.key,
            newest=home.state.final,
            score=score or _start(home, wanted, now_ms),
            job_id=last,
            skip=0 if wanted.picky else offset - passed,
            limit=MAX_ITEMS if wanted.strict else limit - len(jobs),
            name=wanted.name,
        )
        passed += page.skipped
        score, last = page.score, page.id
        read = await read_records(scripts, queue, page.ids)
        records = [None if each is None else shown(each) for each in read]
        looked += len(records)
        for job_id, its_score, record in zip(page.ids, page.scores, records, strict=True):
            # A job that moved on since the page was made is listed where it is now.
            if record is None or record.state != home.state or not wanted.matches(record, now_ms):
                continue
            if passed < offset:
                passed += 1
                continue
            jobs.append(record)
            if len(jobs) == limit and job_id != page.ids[-1]:
                score, last = its_score, job_id
                break
        if not last or _over(home, wanted, now_ms, score):
            index += 1
            score = last = ""
    if index == len(homes):
        return Page(tuple(jobs))
    return Page(tuple(jobs), encode_cursor(Position(homes[index].state, homes[index].owner, score, last)))


def _start(home: _Home, wanted: Filter, now_ms: float) -> str:
    """Return where a home of ended jobs begins to be old enough."""
    older = wanted.query.older_ms
    return f"{now_ms - older + 1:.0f}" if home.state.final and older is not None else ""


def _over(home: _Home, wanted: Filter, now_ms: float, score: str) -> bool:
    """Tell whether all that is left of a home of ended jobs is too old."""
    newer = wanted.query.newer_ms
    return home.state.final and newer is not None and bool(score) and float(score) < now_ms - newer


async def _homes(scripts: Scripts, queue: str, states: Sequence[State], at: Position | None) -> list[_Home]:
    """Return the homes still to be walked that hold anything; running jobs have one for each worker child."""
    sizes = (await scripts.tally([queue]))[queue].sizes
    homes: list[_Home] = []
    for state in states[states.index(State(at.state)) if at else 0 :]:
        if state is State.ACTIVE and sizes[state]:
            owners = sorted(each.owner for each in await scripts.owners(queue) if each.active)
            homes += [_Home(state, owner) for owner in owners if at is None or owner >= at.owner]
        elif sizes[state]:
            homes.append(_Home(state, ""))
    return homes


def _wire_or_job_name(name: str) -> str:
    job, at, version = name.rpartition("@")
    check_job_name(job if at and version.isdigit() else name)
    return name
