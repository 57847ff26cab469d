"""What the queues did in the last hours, for the daily digest."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jobs_core.queues.email.queue import DailyDigest, SendEmail
from jobs_worker import Fail

if TYPE_CHECKING:
    from jobs_admin import Admin
    from jobs_core.payloads import JsonValue

_FORMAT = "%Y-%m-%d %H:%M UTC"


def open_admin() -> Admin:
    """Open the look at all queues that the digests of a worker child share."""
    # Only here: other mails do without it.
    from jobs_admin import Admin  # noqa: PLC0415

    return Admin.from_env()


async def write_digest(payload: DailyDigest, admin: Admin) -> SendEmail:
    """Make the mail of the queues that did something, or have something to do. Raises Fail where nobody is to get it."""
    to = payload.to or [each.strip() for each in os.environ.get("DIGEST_TO", "").split(",") if each.strip()]
    if not to:
        raise Fail("nobody is to get the digest: give `to`, or set DIGEST_TO")
    queues: list[dict[str, JsonValue]] = []
    completed = failed = 0
    for each in await admin.queues():
        minutes = await admin.series(each.queue, payload.hours * 60)
        done, lost, again = (
            sum(figures)
            for figures in zip(*((m.completed, m.failed, m.retried) for m in minutes), strict=True)
        )
        completed, failed = completed + done, failed + lost
        if done or lost or again or each.waiting or each.retained_failed:
            queues.append(
                {
                    "queue": each.queue,
                    "completed": done,
                    "failed": lost,
                    "retried": again,
                    "waiting": each.waiting,
                    "kept": each.retained_failed,
                }
            )
    until = datetime.now(UTC)
    context: dict[str, JsonValue] = {
        "hours": payload.hours,
        "since": (until - timedelta(hours=payload.hours)).strftime(_FORMAT),
        "until": until.strftime(_FORMAT),
        "completed": completed,
        "failed": failed,
        "queues": [*queues],
    }
    return SendEmail(to=to, template="daily-digest", context=context)
