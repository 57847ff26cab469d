"""Errors name the argument at fault as it is typed, not as Python calls it."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from jobs_core.errors import JobsError, OptionError

if TYPE_CHECKING:
    from jobs_core.queue import JobType

P = TypeVar("P")
R = TypeVar("R")

__all__ = ["WrongArgument", "at_fault", "read_payload", "told"]

# Flags that are called otherwise than the option of Python that they set.
_FLAGS = {
    "job_id": "id",
    "n": "count",
    "payload": "edit",
    "priority": "to",
    "rate_limit": "rate",
    "run_at": "at",
    "schedule_id": "id",
}
# Flags whose value says several things, each with a name of its own, and what is never one of these.
_SEVERAL = ("--options", "--query", "--set")
_ALONE = frozenset({"actor", "job", "queue"})


class WrongArgument(JobsError):
    """What an argument holds is wrong. `cause` says why, and decides the exit code."""

    code = "wrong_argument"

    def __init__(self, argument: str, cause: JobsError) -> None:
        """Say which, and why."""
        self.argument = argument
        self.cause = cause
        super().__init__(f"{argument}: {cause.message}")


@contextmanager
def at_fault(argument: str, *kinds: type[JobsError]) -> Generator[None]:
    """Let errors of what an argument holds, all or those of some kinds, name it. Raises `WrongArgument`."""
    expected = kinds or (JobsError,)
    try:
        yield
    except expected as error:
        raise WrongArgument(argument, error) from error


def read_payload(argument: str, text: str | None, job: JobType[P, R]) -> P:
    """Return the payload that an argument holds as JSON: `{}` without it, `-` reads standard input.

    Raises `WrongArgument` where it is none of the job's.
    """
    data = "{}" if text is None else sys.stdin.read() if text == "-" else text
    with at_fault(argument):
        payload = job.decode(data.encode())
        job.encode(payload)  # refuses one that is too large
    return payload


def told(error: JobsError, arguments: Sequence[str]) -> str:
    """Return what is said of an error: an option by the flag that was given for it, or behind the one that says it with others."""
    if not isinstance(error, OptionError):
        return error.message
    root = error.option.partition(".")[0].partition("[")[0]
    for name in (root, _FLAGS.get(root)):
        flag = f"--{name.strip('_').replace('_', '-')}" if name else ""
        if flag and _given(flag, arguments):
            return OptionError(flag + error.option[len(root) :], error.value, error.reason).message
    for flag in _SEVERAL:
        if _given(flag, arguments) and root not in _ALONE and not root.startswith("-"):
            return f"{flag}: {error.message}"
    return error.message


def _given(flag: str, arguments: Sequence[str]) -> bool:
    return any(each == flag or each.startswith(f"{flag}=") for each in arguments)
