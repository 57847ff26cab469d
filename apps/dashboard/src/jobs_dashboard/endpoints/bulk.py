"""Changes of very many jobs: counted first, done in the background, followed, cancelled."""

from __future__ import annotations

from jobs_admin import Admin, BulkAction, Progress
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.errors import OptionError
from jobs_dashboard.bodies import (
    BulkChange,
    BulkId,
    Clean,
    Drain,
    Many,
    Obliterate,
    ReplayLetters,
    RetryFailed,
)
from jobs_dashboard.bulks import Plan, Preview
from jobs_dashboard.call import Answer, Call
from jobs_dashboard.records import Change, Name

_DRAIN, _CLEAN, _RETRY = Drain(), Clean(), RetryFailed()
_NO_REASON = Change()


async def list_bulk(call: Call) -> list[BulkAction]:
    """List the last 200 bulk actions of all dashboards, newest first."""
    return await call.admin.bulk_actions()


async def get_bulk(call: Call, bulk_id: BulkId) -> BulkAction:
    """Tell how far a bulk action is."""
    return await call.admin.bulk_action(bulk_id)


async def cancel_bulk(call: Call, bulk_id: BulkId, body: Change = _NO_REASON) -> BulkAction:
    """Undo a bulk action that is pending: nothing is changed. One that runs ends within some seconds, and what it did stays."""
    return await call.acting(body.reason).cancel_bulk(bulk_id)


async def start_bulk(call: Call, body: BulkChange) -> Answer[Preview | BulkAction]:
    """Change all jobs that a query means: with `dry_run` it answers how many (200), else it begins (202), after `undo_window_ms`.

    Those are changed that are meant when it begins. It goes on when the page is closed. What is asked for wrongly is told at once.
    """
    delay = None if body.delay_ms is None else body.delay_ms / 1000

    async def work(admin: Admin, dry_run: bool, progress: Progress) -> int:  # noqa: FBT001 - as Work
        record = await admin.bulk(
            body.verb,
            body.queue,
            body.q,
            to=body.to,
            delay=delay,
            run_at=body.run_at,
            limit=body.limit,
            rate=body.rate,
            dry_run=dry_run,
            progress=progress,
        )
        return record.count

    detail = "" if body.to is None else f"to {body.to}"
    plan = Plan(verb=body.verb, queue=body.queue, work=work, query=body.q, detail=detail)
    return await _done(call, plan, body)


async def drain_queue(call: Call, queue: Name, body: Drain = _DRAIN) -> Answer[Preview | BulkAction]:
    """Remove the jobs that wait, with `delayed` also those not yet due; never one that runs."""

    async def work(admin: Admin, dry_run: bool, progress: Progress) -> int:  # noqa: FBT001
        return await admin.drain(queue, delayed=body.delayed, dry_run=dry_run, progress=progress)

    query = "state:waiting,delayed" if body.delayed else "state:waiting"
    plan = Plan(verb="drain", queue=queue, work=work, query=query)
    return await _done(call, plan, body)


async def clean_queue(call: Call, queue: Name, body: Clean = _CLEAN) -> Answer[Preview | BulkAction]:
    """Remove jobs that ended long enough ago, oldest first."""

    async def work(admin: Admin, dry_run: bool, progress: Progress) -> int:  # noqa: FBT001
        return await admin.clean(
            queue,
            body.state,
            older_than=body.older_than_ms / 1000,
            limit=body.limit,
            dry_run=dry_run,
            progress=progress,
        )

    query = f"state:{','.join(body.state)} age>{body.older_than_ms / 1000:g}s"
    plan = Plan(verb="clean", queue=queue, work=work, query=query)
    return await _done(call, plan, body)


async def retry_failed(call: Call, queue: Name, body: RetryFailed = _RETRY) -> Answer[Preview | BulkAction]:
    """Put back the jobs that have failed until now, oldest first."""

    async def work(admin: Admin, dry_run: bool, progress: Progress) -> int:  # noqa: FBT001
        return await admin.retry_failed(queue, limit=body.limit, dry_run=dry_run, progress=progress)

    plan = Plan(verb="retry", queue=queue, work=work, query="state:failed")
    return await _done(call, plan, body)


async def obliterate_queue(call: Call, queue: Name, body: Obliterate) -> Answer[Preview | BulkAction]:
    """Take away everything that a queue has: jobs of all states, totals, remembered ids. The name is repeated in `confirm`."""
    if body.confirm != queue and not body.dry_run:
        raise OptionError("confirm", body.confirm, f"it must be {queue}, the name of the queue")

    async def work(admin: Admin, dry_run: bool, progress: Progress) -> int:  # noqa: FBT001
        return await admin.obliterate(queue, force=body.force, dry_run=dry_run, progress=progress)

    plan = Plan(verb="obliterate", queue=queue, work=work, detail="forced" if body.force else "")
    return await _done(call, plan, body)


async def replay_dead_letters(call: Call, body: ReplayLetters) -> Answer[Preview | BulkAction]:
    """Run again the jobs of all dead letters there are now, of a queue, a job, a kind of error."""

    async def work(admin: Admin, dry_run: bool, progress: Progress) -> int:  # noqa: FBT001
        return await admin.replay_all(
            queue=body.queue,
            name=body.name,
            group=body.group,
            priority=body.priority,
            limit=body.limit,
            rate=body.rate,
            dry_run=dry_run,
            progress=progress,
        )

    chosen = {"queue": body.queue, "name": body.name, "error": body.group}
    query = " ".join(f"{field}:{value}" for field, value in chosen.items() if value)
    plan = Plan(verb="replay", queue=DEAD_LETTER_QUEUE, work=work, query=query)
    return await _done(call, plan, body)


async def _done(call: Call, plan: Plan, body: Many) -> Answer[Preview | BulkAction]:
    bulks, admin = call.services.bulks, call.acting(body.reason)
    if body.dry_run:
        return Answer(await bulks.preview(admin, plan), 200)
    window = body.undo_window_ms / 1000
    return Answer(await bulks.start(admin, plan, call.actor, body.reason, window), 202)
