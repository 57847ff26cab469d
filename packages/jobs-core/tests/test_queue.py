"""Queues and job types: what a declaration means, and what is refused."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Struct

from jobs_core import (
    HEAVY,
    LIGHT,
    MEDIUM,
    Debounce,
    DeclarationError,
    Keep,
    OptionError,
    PayloadError,
    Priority,
    Profile,
    Queue,
    State,
)


class Mail(Struct):
    """A payload."""

    to: str


class Receipt(Struct):
    """A result."""

    sent: bool


def test_queue_without_profile() -> None:
    queue = Queue("q")
    assert (queue.concurrency, queue.lock_duration_ms, queue.stalled_interval_ms) == (1, 30_000, 30_000)
    assert (queue.max_stalled, queue.timeout_ms, queue.executor, queue.strict) == (3, 0, "auto", False)
    assert (queue.profile, queue.weight) == (None, "light")
    assert queue.offsets_ms == (86_400_000, 1_800_000, 0, -600_000, -7_200_000)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (LIGHT, (50, 30_000, 30_000, "auto")),
        (MEDIUM, (10, 300_000, 30_000, "auto")),
        (HEAVY, (1, 3_600_000, 300_000, "process")),
    ],
)
def test_profile_gives_the_defaults(profile: Profile, expected: tuple[object, ...]) -> None:
    queue = Queue("q", profile=profile)
    decided = (queue.concurrency, queue.lock_duration_ms, queue.stalled_interval_ms, queue.executor)
    assert decided == expected
    assert queue.weight == profile.name


def test_own_value_wins_over_the_profile() -> None:
    queue = Queue(
        "q",
        profile=HEAVY,
        concurrency=3,
        lock_duration=timedelta(minutes=1),
        stalled_interval=0.5,
        max_stalled=1,
        timeout=10,
        executor="thread",
        strict=True,
    )
    assert (queue.concurrency, queue.lock_duration_ms, queue.stalled_interval_ms) == (3, 60_000, 500)
    assert (queue.max_stalled, queue.timeout_ms, queue.executor, queue.strict) == (1, 10_000, "thread", True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("concurrency", 0),
        ("concurrency", True),
        ("concurrency", 1.5),
        ("lock_duration", 0),
        ("lock_duration", -1),
        ("stalled_interval", "30"),
        ("max_stalled", -1),
        ("timeout", math.inf),
        ("executor", "fork"),
        ("strict", 1),
        ("priority_offsets", {Priority.LOW: 3600}),
        ("priority_offsets", {Priority.HIGH: math.nan}),
        ("retention.failed", {State.FAILED: True}),
        ("retention.failed", {State.FAILED: -5}),
        ("retention", {State.WAITING: 5}),
        ("profile", Profile("huge", 1, 1, 1, "auto")),
        ("profile", "light"),
    ],
)
def test_wrong_queue_options_are_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError) as caught:
        Queue("q", **{option.partition(".")[0]: value})  # pyright: ignore[reportArgumentType]
    assert caught.value.option == option


def test_an_unknown_queue_option_comes_with_what_it_may_mean() -> None:
    with pytest.raises(OptionError, match="no such queue option; did you mean concurrency"):
        Queue("q", concurency=5)  # pyright: ignore[reportCallIssue]
    with pytest.raises(OptionError, match="on one node of a cluster"):
        Queue("q", partitions=4)  # pyright: ignore[reportCallIssue]


def test_wrong_names_are_refused() -> None:
    with pytest.raises(OptionError, match="queue"):
        Queue("no good")
    with pytest.raises(OptionError, match="job"):
        Queue("q").job("no good", Mail)
    with pytest.raises(OptionError, match="version"):
        Queue("q").job("good", Mail, version=0)


def test_offsets_are_set_one_by_one() -> None:
    queue = Queue("q", priority_offsets={Priority.HIGH: timedelta(hours=1), Priority.LOW: -60})
    assert queue.offsets_ms == (86_400_000, 3_600_000, 0, -60_000, -7_200_000)


def test_definition_is_what_the_server_reads() -> None:
    assert Queue("q", strict=True, max_stalled=1).definition() == {
        "max_stalled": "1",
        "strict": "1",
        "dead_letter": "1",
        "o1": "86400000",
        "o2": "1800000",
        "o3": "0",
        "o4": "-600000",
        "o5": "-7200000",
    }


def test_definition_says_what_is_kept_by_state() -> None:
    queue = Queue("q", retention={State.FAILED: Keep(age=timedelta(days=1)), State.EXPIRED: 5})
    kept = {field: value for field, value in queue.definition().items() if field.startswith("keep:")}
    assert kept == {
        "keep:failed:count": "-1",
        "keep:failed:age": "86400000",
        "keep:failed:bytes": "-1",
        "keep:expired:count": "5",
        "keep:expired:age": "-1",
        "keep:expired:bytes": "-1",
    }


def test_definition_hash_follows_what_the_server_reads() -> None:
    plain = Queue("q").definition_hash
    assert plain == Queue("other", concurrency=9, profile=HEAVY).definition_hash
    assert plain != Queue("q", strict=True).definition_hash
    assert plain != Queue("q", max_stalled=2).definition_hash
    assert len(plain) == 16


def test_queue_cannot_be_changed() -> None:
    queue = Queue("q")
    with pytest.raises(AttributeError, match="cannot be changed"):
        queue.concurrency = 5  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        queue.jobs["x"] = Queue("r").job("x", Mail)  # pyright: ignore[reportIndexIssue]


def test_queues_compare_by_declaration() -> None:
    assert Queue("q") == Queue("q", concurrency=1)
    assert Queue("q") != Queue("q", concurrency=2)
    assert len({Queue("q"), Queue("q"), Queue("r")}) == 2
    assert Queue("q") != "q"


def test_source_is_the_line_of_the_declaration() -> None:
    queue = Queue("q")
    declared = queue.job("a", Mail)
    line = int(queue.source.rpartition(":")[2])
    assert queue.source == f"{__file__}:{line}"
    assert declared.source == f"{__file__}:{line + 1}"
    assert queue.module == __name__


def test_jobs_are_found_by_name_and_version() -> None:
    queue = Queue("q")
    first = queue.job("a", Mail)
    second = queue.job("a", Receipt, version=2)
    assert queue.jobs == {"a": second}
    assert queue.versions == {"a@1": first, "a@2": second}
    assert (first.wire_name, second.wire_name) == ("a@1", "a@2")
    assert first.result_type is None


def test_declaring_alike_again_gives_the_same_job() -> None:
    queue = Queue("q")
    assert queue.job("a", Mail, attempts=2) is queue.job("a", Mail, attempts=2)


def test_declaring_differently_again_is_refused() -> None:
    queue = Queue("q")
    first = queue.job("a", Mail, attempts=2)
    with pytest.raises(DeclarationError) as caught:
        queue.job("a", Receipt, attempts=3)
    assert first.source in str(caught.value)
    assert "attempts 2 there and 3 here" in str(caught.value)
    assert "payload" in str(caught.value)
    assert caught.value.file.startswith(__file__)


def test_job_types_compare_by_declaration() -> None:
    assert Queue("q").job("a", Mail) == Queue("q").job("a", Mail)
    assert Queue("q").job("a", Mail) != Queue("q").job("a", Mail, attempts=9)
    assert hash(Queue("q").job("a", Mail)) == hash(Queue("q").job("a", Mail))


def test_dynamic_job_takes_any_json_and_is_not_declared() -> None:
    queue = Queue("q")
    dynamic = queue.dynamic_job("anything")
    assert dynamic.decode(dynamic.encode({"a": [1, "b"]})) == {"a": [1, "b"]}
    assert dynamic is queue.dynamic_job("anything")
    assert dynamic.wire_name == "anything@1"
    assert dynamic.declares_result is False
    assert queue.jobs == {}
    with pytest.raises(OptionError):
        queue.dynamic_job("no good")


def test_dynamic_job_names_do_not_pile_up() -> None:
    queue = Queue("q")
    for number in range(1100):
        assert queue.dynamic_job(f"job-{number}").name == f"job-{number}"
    assert len(queue._dynamic) == 1000


# Schedules


def test_a_declared_schedule_is_found_by_its_id() -> None:
    queue = Queue("mail")
    job = queue.job("send", payload=dict[str, int])
    daily = queue.cron("0 9 * * *", job, {"to": 1}, timezone="Europe/Paris", overlap="skip")
    often = queue.every(300, job, {"to": 1}, schedule_id="often")
    instants = queue.schedule(job, {"to": 1}, at=[datetime(2027, 1, 1, tzinfo=UTC)], schedule_id="new-year")
    assert queue.schedules == {
        "mail:send:0 9 * * * Europe/Paris": daily,
        "often": often,
        "new-year": instants,
    }
    definition = daily.definition()
    assert (definition.queue, definition.wire_name, definition.overlap) == ("mail", "send@1", "skip")
    assert (definition.from_code, definition.payload) == (True, b'{"to":1}')
    assert daily.source.startswith(__file__)


def test_a_second_schedule_of_an_id_must_say_the_same() -> None:
    queue = Queue("mail")
    job = queue.job("send", payload=int)
    first = queue.every(300, job, 1, schedule_id="s")
    assert queue.every(300, job, 1, schedule_id="s") is first
    with pytest.raises(DeclarationError, match=r"already declared in .*test_queue\.py"):
        queue.every(300, job, 2, schedule_id="s")


def test_a_schedule_of_another_queues_job_is_refused() -> None:
    other = Queue("other").job("send", payload=int)
    with pytest.raises(DeclarationError, match="belongs to queue 'other'"):
        Queue("mail").every(300, other, 1)


def test_a_wrong_schedule_is_refused_where_it_stands() -> None:
    queue = Queue("mail")
    job = queue.job("send", payload=int)
    with pytest.raises(OptionError, match="5 fields"):
        queue.cron("0 25 * * *", job, 1)
    with pytest.raises(OptionError, match="give one of"):
        queue.schedule(job, 1, every=300, cron="@daily")
    with pytest.raises(PayloadError):
        queue.every(300, job, "x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="sent at its time"):
        queue.every(300, queue.job("late", payload=int, debounce=Debounce(5)), 1)
    assert queue.schedules == {}
