"""What queries mean: each qualifier, what is refused, and what a listing goes by without a look at jobs."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs_admin import parse_query
from jobs_core.errors import OptionError
from jobs_core.records import JobRecord
from jobs_core.states import State

NOW = datetime(2026, 11, 22, tzinfo=UTC)
JOB = JobRecord(
    id="order-7",
    queue="mail",
    name="send-email",
    payload={
        "user_id": 7,
        "to": "ada@example.com",
        "ok": True,
        "items": [{"sku": "x1"}, {"sku": "y2"}],
        "n": None,
    },
    state=State.FAILED,
    priority="high",
    attempts_made=3,
    attempts=3,
    created_at=NOW - timedelta(days=2),
    finished_at=NOW - timedelta(hours=1),
    failed_reason="TimeoutError: the host did not answer",
    metadata={"tenant": "acme", "tries": 2},
    tags=("vip", "eu"),
)


def means(text: str) -> bool:
    return parse_query(text).matches(JOB, NOW.timestamp() * 1000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tag:vip",
        "tag:none,eu",
        "-tag:us",
        "id:order-7",
        "priority:high,critical",
        "priority:2",
        "error:timeout",
        'error:"did not answer"',
        "attempts>=3 attempts<4",
        "stalled=0",
        "age>30m age<2h",
        "payload.user_id=7",
        "user_id=7",
        "user_id>6.5",
        "payload.to:EXAMPLE",
        "payload.to=ada@example.com",
        "payload.ok=true",
        "payload.n=null",
        "payload.items.sku=y2",
        "payload.items.0.sku=x1",
        "payload.user_id!=8",
        "payload.nothing!=8",
        "metadata.tenant=acme",
        "metadata.tries>1",
        "-payload.nothing=1",
        "order",
        "vip TIMEOUT",
        "-state:waiting",
    ],
)
def test_it_means_the_job(text: str) -> None:
    assert means(text)


@pytest.mark.parametrize(
    "text",
    [
        "tag:us",
        "-tag:vip",
        "priority:low",
        "error:refused",
        'error="timeout"',
        "attempts>3",
        "age>2h",
        "age<10m",
        'payload.user_id="8"',
        "payload.ok=1",
        "payload.items.1.sku=x1",
        "payload.items.9.sku=x1",
        "payload.to>zz",
        "payload.ok>0",
        "payload.user_id>many",
        "nothing=1",
        "metadata.tenant=other",
        "tag:vip elsewhere",
    ],
)
def test_it_does_not_mean_the_job(text: str) -> None:
    assert not means(text)


def test_states_and_one_name_are_what_listings_go_by() -> None:
    query = parse_query("state:failed,delayed name:send-email")
    assert (query.states, query.name, query.terms) == ((State.FAILED, State.DELAYED), "send-email", ())
    assert not parse_query("state:failed").picky
    assert parse_query("age>1h").picky


@pytest.mark.parametrize(
    "text",
    [
        "state:lost",
        "stat:failed",
        "age:1h",
        "age>soon",
        "-age>1h",
        "priority:urgent",
        "attempts>many",
        "tag:",
        "tag>a",
        "payload=7",
        "x" * 3000,
    ],
)
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_query(text)


def test_a_mistyped_qualifier_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean state"):
        parse_query("stat:failed")
