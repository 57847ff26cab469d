"""Limits as code declares them."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from jobs_core import KeyLimits, OptionError, Queue, RateLimit
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
