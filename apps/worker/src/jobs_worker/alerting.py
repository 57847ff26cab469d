"""The loop by which every worker offers to judge the alerts of all queues: of each minute one process does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_worker import logs

if TYPE_CHECKING:
    from jobs_admin.alerting import Crossing
    from jobs_core.scripts import Scripts

_log = logs.get("jobs.worker")


async def watch(scripts: Scripts) -> None:
    """Judge each minute that nobody else did, and log what crossed its threshold."""
    from jobs_admin.alerting import judge_each_minute  # noqa: PLC0415 - a worker claims before it needs this

    await judge_each_minute(scripts, _crossed, lambda error: _log.warning("alerts_failed", error=str(error)))


def _crossed(each: Crossing) -> None:
    level = _log.warning if each.fired else _log.info
    level(each.event, **each.fields())
