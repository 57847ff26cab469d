"""Job and payload of the shortcuts to predefined queues, whose declarations are imported only when they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.errors import PayloadError

if TYPE_CHECKING:
    from jobs_core.queue import JobType
    from jobs_core.queues.llm_requests import Complete, Completion
    from jobs_core.queues.notifications import Channel, NotificationReceipt, Notify, UserId


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
