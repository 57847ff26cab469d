"""The errors: codes, fields, messages, and the way through a pickle."""

import inspect
import pickle

import pytest

from jobs_core import errors
from jobs_core.errors import JobsError

CLASSES = sorted(
    (one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, JobsError)),
    key=lambda one: one.__name__,
)
PLAIN = {"JobsError", "ConfigurationError"}
VALUES = {
    "address": "redis://localhost:6379/0",
    "allowed": "1 or 0",
    "expected": ["failed", "cancelled"],
    "failure": errors.JobFailed("emial", "order-17", "it broke"),
    "file": "shop/queue.py:3",
    "follower": "emial/load",
    "flow_id": "f-17",
    "label": "load",
    "found": "2",
    "job": "send-email",
    "job_id": "order-17",
    "limit": 1048576,
    "length": 3,
    "name": "send-email",
    "nearest": ["email"],
    "option": "attempts",
    "payload": "Rows",
    "position": 2,
    "owner": "w1.3",
    "path": "$.to",
    "queue": "emial",
    "key_id": "k1",
    "reason": "it broke",
    "remedy": "Set it to noeviction.",
    "reply": "ERR no",
    "result": "Total",
    "schedule_id": "nightly",
    "size": 2_000_000,
    "state": "active",
    "submission": None,
    "supported": "1",
    "timeout": 2.5,
    "value": "x",
    "variable": "JOBS_METRICS",
    "waiting": 10000,
    "within": 5.0,
    "worker": "web-412",
}


def fields_of(kind: type[JobsError]) -> dict[str, object]:
    """Return a value for each parameter of the class, apart from those that only vary the wording."""
    return {name: VALUES[name] for name in inspect.signature(kind).parameters if name in VALUES}


def made(kind: type[JobsError]) -> JobsError:
    return kind("a reason") if kind.__name__ in PLAIN else kind(**fields_of(kind))


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(codes) == len(set(codes))
    assert all("code" in vars(kind) for kind in CLASSES)


def test_every_error_is_listed() -> None:
    assert {kind.__name__ for kind in CLASSES} == set(errors.__all__)
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_fields_and_message_survive_a_pickle(kind: type[JobsError]) -> None:
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == error.message
    if kind.__name__ not in PLAIN:
        given = fields_of(kind)
        # An error inside an error is another one behind the pickle, and says the same.
        assert {name: str(value) for name, value in given.items()} == {
            name: str(getattr(again, name)) for name in given
        }


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_message_names_queue_and_job(kind: type[JobsError]) -> None:
    message = str(made(kind))
    given = {} if kind.__name__ in PLAIN else fields_of(kind)
    assert all(
        str(given[name]) in message for name in ("queue", "job", "job_id", "variable") if name in given
    )


def test_result_timeout_is_a_timeout() -> None:
    with pytest.raises(TimeoutError, match=r"has not ended within 0\.5 s"):
        raise errors.ResultTimeout("email", "1", 0.5)


def test_configuration_errors_carry_the_exit_code() -> None:
    assert errors.SettingsError("A", "b", "c").exit_code == 2
    assert errors.DeclarationError("a.py:1", "b").exit_code == 2
    assert errors.ServerRefused("a", "b").exit_code == 2


def test_nearest_names_are_offered() -> None:
    assert "Did you mean 'email'?" in str(errors.UnknownQueue("emial", ["email"]))
    assert "Did you mean" not in str(errors.UnknownQueue("emial"))


def test_long_values_are_cut() -> None:
    assert len(str(errors.OptionError("tags", "x" * 10_000, "too long"))) < 300


def test_wrong_state_takes_one_state_or_several() -> None:
    assert errors.WrongState("q", "1", "active", "failed").expected == ["failed"]
    assert "failed or cancelled" in str(errors.WrongState("q", "1", "active", ["failed", "cancelled"]))
