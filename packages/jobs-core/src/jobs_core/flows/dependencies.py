"""What a single job is bound to when it is enqueued: jobs that it waits for, and jobs that follow its failure.

await producer.enqueue(REPORT, report, after=[first, on(second, policy="ignore"), ("exports", "e-17")])
await producer.enqueue(CHARGE, order, on_failure=[ALERT.call(alert)])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

import msgspec

from jobs_core.errors import OptionError
from jobs_core.flows.modes import EdgePolicy, Mode, policy_mode
from jobs_core.names import check_job_id, check_queue_name

__all__ = ["Awaited", "Dependency", "JobLike", "as_awaited", "on"]

MAX_AFTER = 1000


@runtime_checkable
class JobLike(Protocol):
    """A job that is known by its queue and id: a handle, or a record."""

    @property
    def queue(self) -> str:
        """The name of its queue."""
        ...

    @property
    def id(self) -> str:
        """Its id there."""
        ...


class Awaited(msgspec.Struct, frozen=True):
    """A job that another one waits for; `queue` "" is that of the one which waits. Made by `on`."""

    queue: str
    id: str
    mode: Mode = Mode.FAIL_PARENT


Dependency = JobLike | Awaited | tuple[str, str] | str
"""What `after` takes: a handle, `on(handle, policy=…)`, queue and id, or an id of the same queue."""


def on(job: JobLike | tuple[str, str] | str, *, policy: EdgePolicy = "fail_parent") -> Awaited:
    """Return a dependency on a job, with what becomes of the one that waits if that job does not complete. Raises OptionError."""
    plain = _awaited("after", job)
    return Awaited(plain.queue, plain.id, policy_mode(policy))


def as_awaited(option: str, value: object) -> tuple[Awaited, ...]:
    """Return the jobs that an option lists. Raises OptionError."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise OptionError(
            option, repr(cast("object", value)), "it must be a list of handles, of (queue, id), or of ids"
        )
    given = cast("Sequence[object]", value)
    if len(given) > MAX_AFTER:
        raise OptionError(
            option, len(given), f"a job may wait for at most {MAX_AFTER:,}; use a batch for more"
        )
    found = tuple(_awaited(f"{option}[{i}]", each) for i, each in enumerate(given))
    if len({(each.queue, each.id) for each in found}) < len(found):
        raise OptionError(option, repr(cast("object", value)), "it names a job twice")
    return found


def _awaited(option: str, value: object) -> Awaited:
    if isinstance(value, Awaited):
        return value
    if isinstance(value, str):
        return Awaited("", check_job_id(value))
    if isinstance(value, tuple) and len(cast("tuple[object, ...]", value)) == 2:
        queue, job_id = cast("tuple[object, object]", value)
        return Awaited(check_queue_name(cast("str", queue)), check_job_id(cast("str", job_id)))
    if isinstance(value, JobLike):
        return Awaited(check_queue_name(value.queue), check_job_id(value.id))
    raise OptionError(
        option, repr(cast("object", value)), "it must be a handle, (queue, id), or an id of the same queue"
    )
