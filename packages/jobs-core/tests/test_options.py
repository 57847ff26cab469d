"""Job options: what each means, which level wins, what is frozen, what is refused."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest
from msgspec import Struct

from jobs_core import Exponential, Fixed, JobType, Keep, OptionError, PayloadError, Priority, Queue, State
from jobs_core.backoff import Delays
from jobs_core.json_options import parse_options
from jobs_core.options import (
    DefaultJobOptions,
    JobOptions,
    Policy,
    Retention,
    check_options,
    decode_policy,
    encode_policy,
    resolve,
)


class Ping(Struct):
    """A payload."""

    text: str = ""


class Pong(Struct):
    """A result."""

    text: str = ""


def ping(queue: Queue | None = None, options: Mapping[str, object] | None = None) -> JobType[Ping, None]:
    given = cast("DefaultJobOptions", options or {})
    return (queue or Queue("q")).job("ping", Ping, **given)


def policy(call: Mapping[str, object] | None = None, service: Mapping[str, object] | None = None) -> Policy:
    resolved = resolve(ping(), cast("JobOptions", call), cast("DefaultJobOptions", service))
    return decode_policy(resolved.policy)


def test_defaults() -> None:
    resolved = resolve(ping())
    assert decode_policy(resolved.policy) == Policy(
        attempts=3,
        backoff=Exponential(1.0),
        timeout_ms=0,
        keep_completed=Retention(count=0),
        keep_failed=Retention(),
        result_ttl_ms=0,
    )
    assert (resolved.priority, resolved.delay_ms, resolved.run_at_ms) == (3, 0, 0)
    assert (resolved.job_id, resolved.metadata, resolved.tags) == (None, None, None)


def test_result_is_kept_for_an_hour_where_a_type_is_declared() -> None:
    with_result = Queue("q").job("ping", Ping, Pong)
    assert decode_policy(resolve(with_result).policy).result_ttl_ms == 3_600_000
    assert decode_policy(resolve(with_result, {"result_ttl": 0}).policy).result_ttl_ms == 0
    assert decode_policy(resolve(with_result, service={"result_ttl": 60}).policy).result_ttl_ms == 60_000


LEVELS = ["call", "job type", "queue", "service"]


@pytest.mark.parametrize("nearest", range(4), ids=LEVELS)
def test_nearest_level_wins(nearest: int) -> None:
    # Each level sets attempts to its own number and is left out as long as a nearer one shall not be there.
    levels: list[DefaultJobOptions] = [
        {"attempts": 11 + level} if level >= nearest else {} for level in range(4)
    ]
    call, own, default, service = levels
    job = Queue("q", default_job_options=default).job("ping", Ping, **own)
    assert decode_policy(resolve(job, {**call}, service).policy).attempts == 11 + nearest


def test_levels_are_merged_option_by_option() -> None:
    queue = Queue("q", timeout=5, default_job_options={"attempts": 7, "metadata": {"a": 1, "b": 2}})
    job = queue.job("ping", Ping, backoff=Fixed(9), priority="low")
    resolved = resolve(job, {"timeout": 2, "metadata": {"c": 3}}, {"attempts": 2, "remove_on_fail": True})
    decided = decode_policy(resolved.policy)
    assert (decided.attempts, decided.backoff, decided.timeout_ms) == (7, Fixed(9), 2000)
    assert decided.keep_failed == Retention(count=0)
    assert resolved.priority == Priority.LOW
    assert resolved.metadata == {"c": 3}


def test_queue_timeout_stands_below_its_default_job_options() -> None:
    assert decode_policy(resolve(ping(Queue("q", timeout=5))).policy).timeout_ms == 5000
    both = Queue("q", timeout=5, default_job_options={"timeout": 6})
    assert decode_policy(resolve(ping(both)).policy).timeout_ms == 6000
    assert (
        decode_policy(resolve(ping(Queue("q", timeout=5)), service={"timeout": 9}).policy).timeout_ms == 5000
    )


def test_what_no_level_says_is_left_to_a_queue_that_keeps() -> None:
    queue = Queue("q", retention={State.COMPLETED: 100, State.FAILED: 0})
    unset = decode_policy(resolve(queue.job("a", Ping)).policy)
    assert (unset.keep_completed, unset.keep_failed) == (Retention(count=-2), Retention(count=0))
    said = decode_policy(resolve(queue.job("b", Ping, remove_on_complete=5)).policy)
    assert said.keep_completed == Retention(count=5)
    served = resolve(queue.job("c", Ping), service={"remove_on_complete": True, "remove_on_fail": False})
    by_service = decode_policy(served.policy)
    assert (by_service.keep_completed, by_service.keep_failed) == (Retention(count=0), Retention())


def test_policy_bytes_are_shared_until_an_option_differs() -> None:
    job, service = ping(options={"attempts": 5}), DefaultJobOptions(timeout=3)
    plain = resolve(job, None, service)
    assert resolve(job, {}, service) is plain
    assert resolve(job, {"priority": "high", "delay": 5, "tags": ["a"]}, service).policy is plain.policy
    assert decode_policy(resolve(job, {"attempts": 6}, service).policy).attempts == 6
    assert decode_policy(plain.policy).attempts == 5


def test_changed_service_level_is_noticed() -> None:
    job = ping()
    service = DefaultJobOptions(attempts=2, metadata={"by": "a"})
    assert decode_policy(resolve(job, None, service).policy).attempts == 2
    service["attempts"] = 4
    assert decode_policy(resolve(job, None, service).policy).attempts == 4
    metadata = {"by": "a"}
    service["metadata"] = metadata
    assert resolve(job, None, service).metadata == {"by": "a"}
    metadata["by"] = "b"
    assert resolve(job, None, service).metadata == {"by": "b"}


def test_many_service_levels_do_not_pile_up() -> None:
    job = ping()
    services = [DefaultJobOptions(attempts=1 + number) for number in range(100)]
    decided = [decode_policy(resolve(job, None, service).policy).attempts for service in services]
    assert decided == list(range(1, 101))
    assert len(job.merged) <= 16


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, Retention(0, -1, -1)),
        (False, Retention(-1, -1, -1)),
        (0, Retention(0, -1, -1)),
        (100, Retention(100, -1, -1)),
        (Keep(), Retention(-1, -1, -1)),
        (Keep(count=5, age=60, bytes=1000), Retention(5, 60_000, 1000)),
        (Keep(age=timedelta(hours=1)), Retention(-1, 3_600_000, -1)),
        (Keep(count=5, age=0), Retention(0, -1, -1)),
    ],
)
def test_what_is_kept(value: object, expected: Retention) -> None:
    decided = policy({"remove_on_complete": value, "remove_on_fail": value})
    assert decided.keep_completed == decided.keep_failed == expected


@pytest.mark.parametrize("value", [-1, 1.5, "yes", None, Keep(count=-1), Keep(bytes=2**60), Keep(age=-1)])
def test_what_cannot_be_kept_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match="remove_on_fail"):
        policy({"remove_on_fail": value})


@pytest.mark.parametrize("value", [Priority.HIGH, 2, "high", "HIGH", "High"], ids=repr)
def test_priorities_are_names_or_numbers(value: Priority | int | str) -> None:
    assert resolve(ping(), {"priority": value}).priority == 2
    assert resolve(ping(options={"priority": value})).priority == 2


@pytest.mark.parametrize("value", [0, 6, True, "urgent", "", 2.0, None])
def test_wrong_priorities_are_refused(value: int) -> None:
    with pytest.raises(OptionError, match="critical, high, normal, low, background, or 1 to 5"):
        resolve(ping(), {"priority": value})


@pytest.mark.parametrize("value", [0, 1001, True, 2.0, "3", None])
def test_wrong_attempts_are_refused(value: object) -> None:
    with pytest.raises(OptionError, match="attempts"):
        policy({"attempts": value})


@pytest.mark.parametrize("option", ["delay", "timeout", "result_ttl"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, True, "5", None, timedelta(days=4000)])
def test_wrong_durations_are_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError) as caught:
        policy({option: value})
    assert caught.value.option == option


@pytest.mark.parametrize("value", [90, 90.0, timedelta(seconds=90)])
def test_durations_are_seconds_or_timedelta(value: float | timedelta) -> None:
    resolved = resolve(ping(), {"delay": value, "timeout": value})
    assert resolved.delay_ms == 90_000
    assert decode_policy(resolved.policy).timeout_ms == 90_000


def test_run_at_is_an_instant() -> None:
    nine = datetime(2030, 1, 1, 9, 0, 0, 123_000, tzinfo=timezone(timedelta(hours=2)))
    assert resolve(ping(), {"run_at": nine}).run_at_ms == 1_893_481_200_123
    assert resolve(ping(), {"run_at": datetime(1960, 1, 1, tzinfo=UTC)}).run_at_ms == 1


def test_naive_run_at_is_refused() -> None:
    with pytest.raises(OptionError, match="no time zone"):
        resolve(ping(), {"run_at": datetime(2030, 1, 1)})  # noqa: DTZ001 - the wrong use itself
    with pytest.raises(OptionError, match="must be a datetime"):
        policy({"run_at": "2030-01-01T00:00:00Z"})


def test_delay_and_run_at_exclude_each_other() -> None:
    with pytest.raises(OptionError, match="cannot be combined"):
        resolve(ping(), {"delay": 0, "run_at": datetime.now(UTC)})
    with pytest.raises(OptionError, match="cannot be combined"):
        resolve(ping(), {"run_at": datetime.now(UTC), "delay": 1})


@pytest.mark.parametrize("option", ["delay", "run_at", "job_id"])
def test_options_of_one_job_stand_at_the_call_alone(option: str) -> None:
    for declare in (
        lambda: ping(options={option: 1}),
        lambda: Queue("q", default_job_options=cast("DefaultJobOptions", {option: 1})),
        lambda: policy(None, {option: 1}),
    ):
        with pytest.raises(OptionError, match="only be set at the call") as caught:
            declare()
        assert caught.value.option == option


def test_unknown_options_name_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean priority"):
        policy({"priorty": 1})
    with pytest.raises(OptionError, match="did you mean attempts"):
        ping(options={"attempt": 3})
    with pytest.raises(OptionError, match="there is no such job option"):
        policy({"colour": 3})
    with pytest.raises(OptionError, match="did you mean job_id"):
        policy({"id": "order-7"})


def test_own_job_id() -> None:
    assert resolve(ping(), {"job_id": "order 17"}).job_id == "order 17"
    for wrong in ("", "a\n", "x" * 129, 5):
        with pytest.raises(OptionError, match="job_id"):
            policy({"job_id": wrong})


def test_metadata_is_copied() -> None:
    given: dict[str, str | int | float | bool | None] = {
        "correlation_id": "c",
        "n": 1,
        "x": 0.5,
        "b": True,
        "z": None,
    }
    resolved = resolve(ping(), {"metadata": given})
    assert resolved.metadata == given
    assert resolved.metadata is not given


@pytest.mark.parametrize(
    "metadata",
    [
        {"": 1},
        {"k" * 65: 1},
        {5: 1},
        {"a": math.nan},
        {"a": math.inf},
        {"a": 2**63},
        {"a": [1]},
        {"a": {"b": 1}},
        {"a": "x" * 8192},
        {"a": "\ud800"},
        [("a", 1)],
        "abc",
    ],
)
def test_wrong_metadata_is_refused(metadata: object) -> None:
    with pytest.raises(OptionError, match="metadata"):
        policy({"metadata": metadata})
    with pytest.raises(OptionError, match="metadata"):
        ping(options={"metadata": metadata})


def test_tags_are_kept_in_order_once() -> None:
    assert resolve(ping(), {"tags": ["b", "a", "b"]}).tags == ("b", "a")


@pytest.mark.parametrize(
    "tags", ["user", ["x" * 65], [""], ["a\n"], [5], [str(n) for n in range(17)], {"a"}, None]
)
def test_wrong_tags_are_refused(tags: object) -> None:
    with pytest.raises(OptionError, match="tags"):
        policy({"tags": tags})


def test_policy_travels_and_is_small() -> None:
    frozen = policy(
        {"timeout": 30, "backoff": Exponential(1.5, jitter=0.2), "remove_on_complete": Keep(count=5)}
    )
    data = encode_policy(frozen)
    assert decode_policy(data) == frozen
    assert decode_policy(data) is decode_policy(bytes(bytearray(data)))
    assert len(data) < 60


def test_wrong_defaults_are_refused_at_the_declaration() -> None:
    with pytest.raises(OptionError, match="attempts"):
        Queue("q", default_job_options={"attempts": 0})
    with pytest.raises(OptionError, match="priority"):
        ping(options={"priority": "urgent"})
    with pytest.raises(OptionError, match="timeout"):
        check_options({"timeout": -1})


def test_json_options() -> None:
    assert parse_options(
        {
            "priority": "high",
            "delay": "1m30s",
            "timeout": 5,
            "run_at": "2030-01-01T09:00:00+02:00",
            "backoff": {"type": "exponential", "base": "2s", "max": 60, "jitter": 0.1},
            "remove_on_complete": {"count": 5, "age": "24h"},
            "remove_on_fail": False,
            "tags": ["a"],
        }
    ) == JobOptions(
        priority="high",
        delay=90.0,
        timeout=5,
        run_at=datetime(2030, 1, 1, 7, tzinfo=UTC),
        backoff=Exponential(2, max=60, jitter=0.1),
        remove_on_complete=Keep(count=5, age=86400.0),
        remove_on_fail=False,
        tags=["a"],
    )
    assert parse_options({"backoff": ["1s", 5]}) == {"backoff": Delays([1, 5])}
    assert parse_options({"backoff": "fixed"}) == {"backoff": Fixed(1)}


WRONG_FOLLOWERS: list[tuple[object, str]] = [
    ({"chain_to": "q"}, "chain_to"),
    ({"chain_to": {"queue": "q", "job": "x"}}, "chain_to"),
    ({"chain_to": ["x"]}, "chain_to[0]"),
    ({"chain_to": [{"queue": "q"}]}, "chain_to[0]"),
    ({"chain_to": [{"queue": "q", "job": "x", "data": 1}]}, "chain_to[0].data"),
    ({"chain_to": [{"queue": "q", "job": "x", "options": []}]}, "options"),
]


@pytest.mark.parametrize(("data", "option"), WRONG_FOLLOWERS)
def test_wrong_followers_in_json_name_their_place(data: object, option: str) -> None:
    job = cast("JobType[object, object]", Queue("q").job("x", payload=dict[str, int]))
    with pytest.raises(OptionError) as caught:
        parse_options(data, lambda _queue, _job: job)
    assert caught.value.option == option


def test_json_options_name_the_jobs_that_follow() -> None:
    queue = Queue("q")
    job = queue.job("follow", payload=dict[str, int])

    def find(queue: str, name: str) -> JobType[object, object]:
        assert (queue, name) == ("q", "follow")
        return cast("JobType[object, object]", job)

    parsed = parse_options(
        {
            "chain_to": [
                {
                    "queue": "q",
                    "job": "follow",
                    "payload": {"n": 1},
                    "options": {"delay": "1m", "on_success": [{"queue": "q", "job": "follow"}]},
                }
            ]
        },
        find,
    )
    assert parsed == {"chain_to": [job.call({"n": 1}, delay=60, on_success=[job.call({})])]}
    with pytest.raises(PayloadError, match=r"expected `int`"):
        parse_options({"chain_to": [{"queue": "q", "job": "follow", "payload": {"n": "x"}}]}, find)


@pytest.mark.parametrize(
    ("data", "option"),
    [
        ({"chain_to": []}, "chain_to"),
        ({"on_success": [{"queue": "q", "job": "x"}]}, "on_success"),
        ([], "options"),
        ({"delay": "soon"}, "delay"),
        ({"run_at": "tomorrow"}, "run_at"),
        ({"backoff": {"type": "random"}}, "backoff.type"),
        ({"backoff": {"type": "fixed", "max": 5}}, "backoff.max"),
        ({"backoff": {"type": "linear", "step": 5}}, "backoff.step"),
        ({"backoff": {"base": "x", "type": "linear"}}, "backoff.base"),
        ({"backoff": 5}, "backoff"),
        ({"remove_on_fail": {"age": "x"}}, "remove_on_fail.age"),
        ({"remove_on_fail": {"days": 5}}, "remove_on_fail.days"),
    ],
)
def test_wrong_json_options_name_their_place(data: object, option: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_options(data)
    assert caught.value.option == option
