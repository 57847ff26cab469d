"""Judges alerts where no worker does: that there is none is what has to be told then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs_admin import Admin, Crossing

__all__ = ["watch"]

_log = logging.getLogger("jobs_dashboard")


async def watch(admin: Admin) -> None:
    """Judge each minute that nobody else did, and log what crossed its threshold."""
    await admin.watch_alerts(_crossed, lambda error: _log.warning("alerts cannot be judged: %s", error))


def _crossed(each: Crossing) -> None:
    if each.fired:
        _log.warning("alert_fired %s: %s", each.alert, each.message)
    else:
        _log.info("alert_recovered %s: %s", each.alert, each.message)
