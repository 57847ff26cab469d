"""The loop by which every worker offers to judge the alerts of all queues: of each minute one of them does."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_worker import logs

if TYPE_CHECKING:
    from jobs_core.scripts import Scripts

_MINUTE = 60.0
_SPREAD = 2.0
_log = logs.get("jobs.worker")


async def watch(scripts: Scripts) -> None:
    """Judge soon after the start and soon after each minute begins, unless somebody else was first; log what crossed its threshold."""
    from jobs_admin.alerting import judge_minute  # noqa: PLC0415 - a worker claims before it needs this

    # A worker that is the first of all lists the queue of notifications meanwhile: else only the log would tell.
    await asyncio.sleep(random.uniform(_SPREAD, 2 * _SPREAD))
    while True:
        try:
            crossings = await judge_minute(scripts) or ()
        except (JobsError, OutcomeLost) as error:
            _log.warning("alerts_failed", error=str(error))
            crossings = ()
        for each in crossings:
            level = _log.warning if each.fired else _log.info
            level(
                "alert_fired" if each.fired else "alert_recovered",
                queue=each.queue,
                alert=each.alert,
                value=each.value,
                threshold=each.threshold,
                message=each.message,
                sent=each.sent,
            )
        await asyncio.sleep(_MINUTE - time.time() % _MINUTE + random.uniform(0, _SPREAD))
