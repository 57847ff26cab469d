"""Tell people: what the jobs of this queue carry and answer, and how users are reached."""

from jobs_core.queues.notifications.queue import (
    ALERT_ADMIN,
    NOTIFICATIONS,
    NOTIFY,
    AlertAdmin,
    Channel,
    NotificationReceipt,
    Notify,
    UserId,
)

__all__ = [
    "ALERT_ADMIN",
    "NOTIFICATIONS",
    "NOTIFY",
    "AlertAdmin",
    "Channel",
    "NotificationReceipt",
    "Notify",
    "UserId",
]
