"""Which values of unique, debounce, throttle, expires_in and deadline are allowed, and what they come to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

import pytest
from msgspec import Struct

from jobs_core import Debounce, DefaultJobOptions, OptionError, Queue, Throttle, Unique
from jobs_core.json_options import parse_options
from jobs_core.options import JobOptions, Resolved, decode_policy, resolve

QUEUE = Queue("mail")


class Account(Struct, frozen=True):
    user_id: int
    name: str = "ada"


@dataclass
class Plain:
    user_id: int


class Typed(TypedDict):
    user_id: int


JOB = QUEUE.job("sync", payload=Account)


def resolved(**options: object) -> Resolved:
    given: JobOptions = {**options}  # pyright: ignore[reportAssignmentType] - wrong values are tried too
    return resolve(JOB, given)


def key(unique: object, payload: object = Account(7), option: str = "unique") -> str:
    rule = resolved(**{option: unique}).rule
    assert rule is not None
    return rule.value("sync", payload).decode()


def test_nothing_is_decided_unless_asked_for() -> None:
    plain = resolved(priority="high")
    assert (plain.decide, plain.rule, plain.expires, plain.waits) == ("", None, False, False)


@pytest.mark.parametrize(
    ("unique", "expected"),
    [
        (Unique(key="x"), "dsync:x"),
        (Unique(fields="user_id"), "dsync(user_id):[7]"),
        (Unique(fields=["user_id", "name"], until="start"), 'ssync(user_id,name):[7,"ada"]'),
        (Unique(key="x", until="ttl", ttl=60), "tsync:x"),
    ],
)
def test_a_key_is_made_of_what_it_names(unique: Unique, expected: str) -> None:
    assert key(unique) == expected


def test_long_keys_are_digested_and_stay_different() -> None:
    long = [key(Unique(fields="name"), Account(7, name=each * 300)) for each in "ab"]
    assert len(set(long)) == 2
    assert all(len(each) < 100 for each in long)


def test_any_payload_has_fields() -> None:
    expected = key(Unique(fields="user_id"))
    assert key(Unique(fields="user_id"), Plain(7)) == expected
    assert key(Unique(fields="user_id"), {"user_id": 7, "more": 1}) == expected
    assert key(Unique(), {"a": 1, "b": 2}) == key(Unique(), {"b": 2, "a": 1}) != key(Unique(), {"a": 1})


@pytest.mark.parametrize(
    ("options", "decide", "delay_ms"),
    [
        ({"unique": Unique(key="x")}, "conflict=skip", 0),
        ({"unique": Unique(key="x", ttl=1.5, on_conflict="extend")}, "conflict=extend,ttl=1500", 0),
        ({"debounce": Debounce(5, max_wait=60, key="x")}, "conflict=debounce,max_wait=60000", 5000),
        ({"throttle": Throttle(300, key="x")}, "conflict=skip,ttl=300000", 0),
        ({"expires_in": 60}, "expires=60000", 0),
        ({"expires_in": 60, "unique": Unique(key="x")}, "expires=60000,conflict=skip", 0),
        ({"unique": Unique(key="x"), "delay": 3}, "conflict=skip", 3000),
    ],
)
def test_what_the_server_decides_by(options: dict[str, object], decide: str, delay_ms: int) -> None:
    found = resolved(**options)
    assert (found.decide, found.delay_ms) == (decide, delay_ms)


@pytest.mark.parametrize(
    ("options", "option", "reason"),
    [
        ({"unique": "x"}, "unique", r"Unique\(…\)"),
        ({"unique": Debounce(1)}, "unique", r"Unique\(…\)"),
        ({"unique": Unique(key="x", fields="user_id")}, "unique.key", "give one of them"),
        ({"unique": Unique(key="")}, "unique.key", "printable"),
        ({"unique": Unique(key="a\nb")}, "unique.key", "printable"),
        ({"unique": Unique(fields=("a b",))}, "unique.fields", "names of fields"),
        ({"unique": Unique(until="ttl")}, "unique.ttl", "needs one"),
        ({"unique": Unique(ttl=0)}, "unique.ttl", "longer than 0"),
        ({"unique": Unique(until="end")}, "unique.until", "start, done, ttl"),  # type: ignore[arg-type]
        ({"unique": Unique(on_conflict="drop")}, "unique.on_conflict", "skip, replace"),  # type: ignore[arg-type]
        ({"debounce": Debounce(0)}, "debounce.delay", "longer than 0"),
        ({"debounce": Debounce(5, max_wait=1)}, "debounce.max_wait", "not be shorter"),
        ({"debounce": Debounce(5), "delay": 1}, "delay", "of its own"),
        ({"throttle": Throttle(0)}, "throttle.ttl", "longer than 0"),
        ({"throttle": Throttle(5), "unique": Unique()}, "throttle", "combined with unique"),
        ({"expires_in": 0}, "expires_in", "longer than 0"),
        ({"when_full": "drop"}, "when_full", "error or wait"),
        ({"deadline": datetime(2030, 1, 1)}, "deadline", "no time zone"),  # noqa: DTZ001
        ({"deadline": 5}, "deadline", "a datetime"),
    ],
)
def test_what_is_not_allowed_is_named(options: dict[str, object], option: str, reason: str) -> None:
    with pytest.raises(OptionError, match=reason) as caught:
        resolved(**options)
    assert caught.value.option == option


def test_a_nearer_level_replaces_whichever_a_farther_one_has() -> None:
    queue = Queue("levels", default_job_options={"throttle": Throttle(60, key="all")})
    job = queue.job("j", payload=Account, unique=Unique(fields="user_id"))
    other = queue.job("k", payload=Account)
    service: DefaultJobOptions = {"expires_in": 30, "when_full": "wait"}
    assert resolve(job, None, service).decide == "expires=30000,conflict=skip"
    assert resolve(job, {"debounce": Debounce(1, key="x")}, service).delay_ms == 1000
    assert resolve(job, {"unique": None, "expires_in": None}, service).decide == ""
    assert resolve(other, None, service).decide == "expires=30000,conflict=skip,ttl=60000"
    assert resolve(other, None, service).waits


@pytest.mark.parametrize("payload", [Account, Plain, Typed])
def test_a_declaration_names_fields_that_are_there(payload: type) -> None:
    Queue("q").job("j", payload=payload, unique=Unique(fields="user_id"))
    with pytest.raises(OptionError, match="only the fields user_id"):
        Queue("q").job("j", payload=payload, debounce=Debounce(1, fields="user"))


def test_a_deadline_is_frozen_on_the_job() -> None:
    found = resolved(deadline=datetime(2030, 1, 1, tzinfo=UTC))
    assert decode_policy(found.policy).deadline_ms == 1_893_456_000_000
    with pytest.raises(OptionError, match="only be set at the call"):
        Queue("q", default_job_options={"deadline": datetime(2030, 1, 1, tzinfo=UTC)})  # type: ignore[typeddict-unknown-key]


def test_json_says_the_same() -> None:
    said = parse_options(
        {
            "unique": {"fields": ["user_id"], "until": "ttl", "ttl": "1h", "on_conflict": "extend"},
            "expires_in": "30s",
            "deadline": "2030-01-01T00:00:00+00:00",
        }
    )
    assert said == {
        "unique": Unique(fields=["user_id"], until="ttl", ttl=3600, on_conflict="extend"),
        "expires_in": 30,
        "deadline": datetime(2030, 1, 1, tzinfo=UTC),
    }
    assert parse_options({"unique": "x"}) == {"unique": Unique(key="x")}
    assert parse_options({"unique": None}) == {"unique": None}
    assert parse_options({"debounce": {"delay": "5s", "max_wait": 60, "key": "x"}}) == {
        "debounce": Debounce(5, max_wait=60, key="x")
    }
    assert parse_options({"throttle": {"ttl": "5m", "fields": ["a"]}}) == {
        "throttle": Throttle(300, fields=["a"])
    }
    for wrong in ({"unique": 5}, {"unique": {"id": 1}}, {"throttle": {"delay": 1}}):
        with pytest.raises(OptionError):
            parse_options(wrong)
