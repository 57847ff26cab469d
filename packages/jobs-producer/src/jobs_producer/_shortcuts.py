"""Job and payload of the shortcuts: those to predefined queues, whose declarations are imported only when they are used, and by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from jobs_core.errors import PayloadError
from jobs_producer.declared import DeclaredWorkflow

if TYPE_CHECKING:
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType, Queue
    from jobs_core.queues.llm_requests import Complete, Completion
    from jobs_core.queues.notifications import Channel, NotificationReceipt, Notify, UserId
    from jobs_core.queues.workflow import RunWorkflow, WorkflowResult

P = TypeVar("P")


def notification(
    user_id: UserId, message: str, channel: Channel | None, *, to: str | None, subject: str | None
) -> tuple[JobType[Notify, NotificationReceipt], Notify]:
    """Return the job that tells a user something. Raises PayloadError."""
    from jobs_core.queues.notifications import NOTIFY, Notify  # noqa: PLC0415

    try:
        payload = Notify(user_id=user_id, message=message, channel=channel, to=to, subject=subject)
    except ValueError as error:
        raise PayloadError(NOTIFY.queue.name, NOTIFY.name, "$", str(error)) from error
    return NOTIFY, payload


def llm_request(model: str, prompt: str) -> tuple[JobType[Complete, Completion], Complete]:
    """Return the job that asks a language model."""
    from jobs_core.queues.llm_requests import COMPLETE, Complete  # noqa: PLC0415

    return COMPLETE, Complete(model=model, prompt=prompt)


def workflow(
    name: str | DeclaredWorkflow[P], given: P
) -> tuple[JobType[RunWorkflow, WorkflowResult], RunWorkflow]:
    """Return the job that runs a declared workflow. Raises PayloadError where the input does not fit one that is given itself."""
    from jobs_core.queues.workflow import RUN_WORKFLOW, RunWorkflow  # noqa: PLC0415

    if isinstance(name, DeclaredWorkflow):
        return RUN_WORKFLOW, RunWorkflow(workflow=name.name, input=name.encode(given))
    try:
        plain = cast("JsonValue", msgspec.to_builtins(given, str_keys=True))
    except (TypeError, ValueError) as error:
        raise PayloadError(RUN_WORKFLOW.queue.name, name, "$", str(error), what="input") from error
    return RUN_WORKFLOW, RunWorkflow(workflow=name, input=plain)


def by_name(queue: Queue, name: str, payload: object) -> tuple[JobType[object, object], object]:
    """Return the job of a name and its payload, which one that the queue declares is checked by. Raises PayloadError or OptionError."""
    declared = queue.jobs.get(name)
    if declared is None:
        return cast("JobType[object, object]", queue.dynamic_job(name)), payload
    if isinstance(payload, msgspec.Struct):
        # Whether it is the type that the job takes is looked at when it is written.
        return declared, payload
    try:
        return declared, declared.decode(msgspec.json.encode(payload), "json")
    except (TypeError, ValueError) as error:
        if isinstance(error, PayloadError):
            raise
        raise PayloadError(queue.name, name, "$", str(error)) from error
