"""Declare the queue of notifications."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from jobs_core.payloads import JsonValue
from jobs_core.queue import LIGHT, Queue

NOTIFICATIONS = Queue("notifications", profile=LIGHT, concurrency=20)

Channel: TypeAlias = Literal["email", "webhook", "log"]
"""How somebody is told: by a mail, by a webhook, or by a line in the worker's log."""

UserId: TypeAlias = Annotated[int, Meta(ge=0)] | Annotated[str, Meta(min_length=1, max_length=128)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=20_000)]


class Notify(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tell a user something, by a channel or by the one that the user chose.

    `channel` None means the user's stored choice (see `Contact`), and a log line where there is none. `to` is a mail
    address or a URL; without it the stored one counts. `data` goes into the body of a webhook.

    Raises ValueError for `to` without a channel that it could belong to.
    """

    user_id: UserId
    message: Text
    channel: Channel | None = "email"
    subject: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    to: Annotated[str, Meta(min_length=1, max_length=8192)] | None = None
    data: Mapping[str, JsonValue] = {}

    def __post_init__(self) -> None:
        """Refuse an address that belongs to no channel."""
        if self.to is not None and self.channel not in {"email", "webhook"}:
            raise ValueError("`to` needs `channel` email or webhook")


class AlertAdmin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tell the administrators: by mail to ALERT_EMAIL, by webhook to ALERT_WEBHOOK, and in the log in any case."""

    error: Annotated[str, Meta(min_length=1, max_length=1000)]
    user_id: UserId | None = None
    message: Text | None = None
    severity: Literal["info", "warning", "error", "critical"] = "error"
    details: Mapping[str, JsonValue] = {}


class NotificationReceipt(Struct, frozen=True, kw_only=True):
    """By which channels somebody was told, and the jobs that carry it there, as `queue/id`.

    The jobs are enqueued in the same step in which this one completes.
    """

    notified: bool
    channels: tuple[Channel, ...]
    jobs: tuple[str, ...] = ()


NOTIFY = NOTIFICATIONS.job("notify", payload=Notify, result=NotificationReceipt)
ALERT_ADMIN = NOTIFICATIONS.job("alert-admin", payload=AlertAdmin, result=NotificationReceipt)
