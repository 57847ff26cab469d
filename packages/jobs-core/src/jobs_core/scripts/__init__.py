"""The typed facade over the Lua files: one method for each, and the only module that runs scripts.

Every method takes the queue's name and keyword arguments, and returns a frozen Struct or a plain value.
Mutating calls carry (session, seq) or are idempotent by nature, so the client may send them again after a
lost connection. Errors: OwnerGone, SchemaMismatch, ServerFull, ServerError; ConnectionFailed where a deadline
is given.
"""

from __future__ import annotations

from jobs_core.scripts.alerts import AlertScripts
from jobs_core.scripts.caller import MAX_BYTES, MAX_ITEMS, SYSTEM, TRIM_LIMIT
from jobs_core.scripts.changes import ChangeScripts
from jobs_core.scripts.engine import EngineScripts
from jobs_core.scripts.flows import FlowScripts
from jobs_core.scripts.reads import HOMES, ReadScripts
from jobs_core.scripts.replies import (
    Acked,
    AlertRound,
    Applied,
    Beat,
    Cancelled,
    Claim,
    Claimed,
    Effects,
    Entry,
    GivenBack,
    Glance,
    Group,
    IdPage,
    JobLines,
    Located,
    OutboxPage,
    Owner,
    Settled,
    Tally,
)
from jobs_core.scripts.schedules import ScheduleScripts

__all__ = [
    "HOMES",
    "MAX_BYTES",
    "MAX_ITEMS",
    "SYSTEM",
    "TRIM_LIMIT",
    "Acked",
    "AlertRound",
    "Applied",
    "Beat",
    "Cancelled",
    "Claim",
    "Claimed",
    "Effects",
    "Entry",
    "GivenBack",
    "Glance",
    "Group",
    "IdPage",
    "JobLines",
    "Located",
    "OutboxPage",
    "Owner",
    "Scripts",
    "Settled",
    "Tally",
]


class Scripts(EngineScripts, ReadScripts, ChangeScripts, FlowScripts, ScheduleScripts, AlertScripts):
    """The state machine, as methods. One instance serves one client and one key prefix."""
