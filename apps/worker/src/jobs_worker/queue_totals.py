"""What each queue did in the last hours, for the mails and reports that tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jobs_admin import Admin


class QueueTotals(NamedTuple):
    """The jobs of a queue that ended within some hours, its repeated attempts, and what waits or is kept as failed now."""

    queue: str
    completed: int
    failed: int
    retried: int
    waiting: int
    kept: int


def open_admin() -> Admin:
    """Open the look at all queues that the jobs of a worker child share."""
    # Only here: most jobs do without it.
    from jobs_admin import Admin  # noqa: PLC0415

    return Admin.from_env()


async def read_totals(admin: Admin, hours: int) -> list[QueueTotals]:
    """Return the totals of the queues that did something, or have something to do."""
    found: list[QueueTotals] = []
    for each in await admin.queues():
        minutes = await admin.series(each.queue, hours * 60)
        completed, failed, retried = (
            sum(figures)
            for figures in zip(*((m.completed, m.failed, m.retried) for m in minutes), strict=True)
        )
        totals = QueueTotals(each.queue, completed, failed, retried, each.waiting, each.retained_failed)
        if any(totals[1:]):
            found.append(totals)
    return found
