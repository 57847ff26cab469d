"""Limits as code declares them."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import NotRequired, TypedDict

import pytest
from msgspec import Struct

from jobs_core import DeclarationError, JsonValue, KeyLimits, OptionError, Queue, RateLimit
from jobs_core.flow import key_of
from jobs_core.options import resolve


def test_a_queue_without_limits_tells_the_server_of_none() -> None:
    assert Queue("q").limits == {}
    assert not Queue("q").keyed


def test_limits_reach_the_server_as_numbers() -> None:
    queue = Queue(
        "q",
        rate_limit=RateLimit(10, 1, burst=20),
        max_active=5,
        key=["tenant", "region"],
        key_limits=KeyLimits(
            concurrency=2, rate=RateLimit(3, timedelta(minutes=1)), weights={"big=one": 3, "x": 2}
        ),
    )
    assert queue.limits == {
        "gated": "1",
        "rate": "10 1000 20",
        "max_active": "5",
        "keyed": "1",
        "key_active": "2",
        "key_rate": "3 60000 3",
        "weights": "\nbig=one=3\nx=2\n",
    }
    assert queue.definition().items() >= queue.limits.items()
    assert queue.key_fields == ("tenant", "region")
    assert queue != Queue("q")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rate_limit": RateLimit(0)}, "rate_limit.max"),
        ({"rate_limit": RateLimit(1, 0)}, "rate_limit.per"),
        ({"rate_limit": RateLimit(1, burst=0)}, "rate_limit.burst"),
        ({"rate_limit": 10}, "rate_limit"),
        ({"max_active": 0}, "max_active"),
        ({"max_active": True}, "max_active"),
        ({"key": 3}, "key"),
        ({"key": []}, "key"),
        ({"key_limits": KeyLimits(concurrency=0)}, "key_limits.concurrency"),
        ({"key_limits": KeyLimits(concurrency=2, fifo=True)}, "key_limits.concurrency"),
        ({"key_limits": KeyLimits(weights={"a": 0})}, "key_limits.weights['a']"),
        ({"key_limits": KeyLimits(weights={"a\n": 1})}, "key"),
    ],
)
def test_a_wrong_limit_is_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(OptionError) as raised:
        Queue("q", **options)  # pyright: ignore[reportArgumentType] - what is wrong is the point
    assert raised.value.option == named


@dataclass
class Order:
    tenant: str | None
    region: int = 1


@pytest.mark.parametrize(
    ("fields", "payload", "key"),
    [
        (["tenant"], {"tenant": "acme"}, "acme"),
        (["tenant"], {"tenant": 7}, "7"),
        (["tenant"], {}, ""),
        (["tenant"], Order(None), ""),
        (["tenant", "region"], Order("a:b", 2), "a::b:2"),
        (["tenant"], Order("é" * 100), "é" * 100),
    ],
)
def test_a_key_comes_from_the_payload(fields: list[str], payload: object, key: str) -> None:
    assert key_of(fields, payload) == key


def test_what_does_not_fit_into_a_key_stays_different() -> None:
    long = [key_of(["tenant"], {"tenant": "x" * 300 + end}) for end in "ab"]
    assert len(set(long)) == 2
    assert all(len(key) < 255 for key in long)
    assert key_of(["tenant"], {"tenant": "a\nb"}).startswith("ab~")


def test_a_call_gives_a_key_only_where_there_are_keys() -> None:
    keyed = Queue("q", key="tenant").job("j", payload=dict[str, str])
    assert keyed.key_of({"tenant": "a"}) == "a"
    assert keyed.key_of({"tenant": "a"}, "b") == "b"
    plain = Queue("q").job("j", payload=dict[str, str])
    assert plain.key_of({"tenant": "a"}) == ""
    with pytest.raises(OptionError, match="has no keys"):
        plain.key_of({}, "b")


@pytest.mark.parametrize("cost", [0, 256, 1.5, True])
def test_a_wrong_cost_is_refused(cost: object) -> None:
    job = Queue("q").job("j", payload=dict[str, str])
    with pytest.raises(OptionError, match="cost"):
        resolve(job, {"cost": cost})  # pyright: ignore[reportArgumentType] - what is wrong is the point
    assert resolve(job, {"cost": 255}).cost == 255


@pytest.mark.parametrize("key", ["", "a\n", "x" * 256, 3])
def test_a_wrong_key_is_refused(key: object) -> None:
    job = Queue("q", key=True).job("j", payload=dict[str, str])
    with pytest.raises(OptionError, match="key"):
        resolve(job, {"key": key})  # pyright: ignore[reportArgumentType] - what is wrong is the point


class Purchase(Struct, tag=True):
    """One whose owner is known."""

    tenant: str
    lines: list[str] = []


class Refund(Struct, tag=True):
    """One that may have no owner."""

    tenant: str | None = None


class Visit(Struct, tag=True):
    """One without an owner."""

    page: str


class Noted(TypedDict):
    """One that may leave its owner out."""

    tenant: NotRequired[str]


@pytest.mark.parametrize(
    "payload", [Purchase, Refund, Noted, Purchase | Visit, Refund | None, dict[str, str], JsonValue, object]
)
def test_a_queue_takes_jobs_whose_payload_may_have_its_key(payload: type[object]) -> None:
    assert Queue("q", key="tenant").job("j", payload=payload).key_of({"tenant": "a"}) == "a"


@pytest.mark.parametrize(
    ("key", "payload", "reason"),
    [
        ("tenant_id", Purchase, "no field 'tenant_id', it has only the fields tenant, lines"),
        (["tenant", "page"], Purchase | Refund, "no field 'page', it has only the fields tenant, lines"),
        ("tenant", Visit | None, "no field 'tenant', it has only the fields page"),
        ("title", str, "no field 'title', it has no fields"),
        ("lines", Purchase, "the field 'lines' of its payload is never a text"),
    ],
)
def test_a_queue_refuses_a_job_that_would_never_have_a_key(
    key: str | list[str], payload: type[object], reason: str
) -> None:
    queue = Queue("billing", key=key)
    with pytest.raises(DeclarationError, match=re.escape(reason)) as caught:
        queue.job("charge", payload=payload, version=2)
    assert all(
        part in caught.value.message for part in ("'billing'", f"key={key!r}", "'charge@2'", "key=True")
    )
    assert not queue.jobs
    assert Queue("billing", key=True).job("charge", payload=payload).key_of(None) == ""


def test_every_version_of_a_job_has_the_field_of_the_key() -> None:
    queue = Queue("billing", key="tenant")
    queue.job("charge", payload=Purchase, version=2)
    with pytest.raises(DeclarationError, match="'charge@1'"):
        queue.job("charge", payload=Visit)
    queue.job("charge", payload=Refund)
    assert sorted(queue.versions) == ["charge@1", "charge@2"]
