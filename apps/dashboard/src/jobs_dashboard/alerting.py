"""Judges alerts where no worker does: that there is none is what has to be told then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobs_core import log_lines

if TYPE_CHECKING:
    from jobs_admin import Admin, Crossing

__all__ = ["watch"]

_log = logging.getLogger("jobs_dashboard")


async def watch(admin: Admin) -> None:
    """Judge each minute that nobody else did, and log what crossed its threshold."""
    await admin.watch_alerts(
        _crossed, lambda error: _log.warning("alerts_failed", extra=log_lines.fields(error=error))
    )


def _crossed(each: Crossing) -> None:
    level = logging.WARNING if each.fired else logging.INFO
    _log.log(level, each.event, extra=log_lines.fields(**each.fields()))
