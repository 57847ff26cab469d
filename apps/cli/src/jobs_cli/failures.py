"""Errors as the command line tells them: one line on standard error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from jobs_cli.at_fault import told
from jobs_core.errors import (
    ConfigurationError,
    ConnectionFailed,
    FlowNotFound,
    JobNotFound,
    JobsError,
    OptionError,
    OutcomeUnknown,
    PayloadError,
    PayloadTooLarge,
    ScheduleNotFound,
    UnknownJob,
    UnknownQueue,
    WorkerNotFound,
)

__all__ = ["DONE", "FAILED", "MISSING", "UNREACHABLE", "USAGE", "WrongLine", "lacks", "report"]

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
MISSING: Final = 3
UNREACHABLE: Final = 4


class WrongLine(JobsError):
    """A line of a file of jobs is wrong, so none of it was enqueued."""

    code = "wrong_line"

    def __init__(self, path: str, line: int, reason: str) -> None:
        """Say where and why."""
        self.path = path
        self.line = line
        self.reason = reason
        super().__init__(f"{path}, line {line}: {reason} Nothing was enqueued.")


_CODES: tuple[tuple[tuple[type[JobsError], ...], int], ...] = (
    (
        (ConfigurationError, OptionError, PayloadError, PayloadTooLarge, UnknownQueue, UnknownJob, WrongLine),
        USAGE,
    ),
    ((JobNotFound, FlowNotFound, ScheduleNotFound, WorkerNotFound), MISSING),
    ((ConnectionFailed, OutcomeUnknown), UNREACHABLE),
)


def lacks(extra: str) -> int:
    """Say that a command needs what an extra of this package brings, and return the exit code for it."""
    # No command to copy: by its name alone an index would be asked, which may have another package of that name.
    reason = f"this needs the extra `{extra}` of jobs-cli, which is not installed"
    print(f"jobs: {reason}. Install jobs-cli[{extra}] from where jobs-cli came from.", file=sys.stderr)
    return USAGE


def report(error: JobsError, arguments: Sequence[str]) -> int:
    """Print an error of a command with these arguments to standard error, and return the exit code for it."""
    print(f"jobs: {told(error, arguments)}", file=sys.stderr)
    return exit_code(error)


def exit_code(error: JobsError) -> int:
    """Return the exit code of an error, of one that interrupted many jobs that of its cause."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, JobsError):
        return exit_code(cause)
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), FAILED)
