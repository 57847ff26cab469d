"""What the queues did in the last hours, for the daily digest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jobs_core.queues.email.queue import DailyDigest, SendEmail
from jobs_core.settings import FeatureSettings
from jobs_worker.queue_totals import read_totals
from jobs_worker.queues.email.recipients import recipients

if TYPE_CHECKING:
    from jobs_admin import Admin
    from jobs_core.payloads import JsonValue

_FORMAT = "%Y-%m-%d %H:%M UTC"


async def write_digest(payload: DailyDigest, admin: Admin) -> SendEmail:
    """Make the mail of the queues that did something, or have something to do. Raises Fail where nobody is to get it."""
    to = recipients(payload.to or FeatureSettings.from_env().digest_to, "DIGEST_TO", "the digest")
    totals = await read_totals(admin, payload.hours)
    until = datetime.now(UTC)
    context: dict[str, JsonValue] = {
        "hours": payload.hours,
        "since": (until - timedelta(hours=payload.hours)).strftime(_FORMAT),
        "until": until.strftime(_FORMAT),
        "completed": sum(each.completed for each in totals),
        "failed": sum(each.failed for each in totals),
        "queues": [each._asdict() for each in totals],
    }
    return SendEmail(to=to, template="daily-digest", context=context)
