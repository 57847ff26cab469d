"""Who changed what: a capped stream beside the queues, for people to read; nothing goes by it."""

from __future__ import annotations

import getpass
import socket
from datetime import datetime
from typing import TYPE_CHECKING, cast

from jobs_admin._numbers import utc
from jobs_admin.records import AuditPage, AuditRecord
from jobs_core.errors import OptionError
from jobs_core.keys import system_prefix

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

MOST = 10_000
_TEXT = 1000


def whoami() -> str:
    """Return the user of this process, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container's user often has no name.
        user = ""
    return f"{user}@{socket.gethostname()}"


async def write(calls: Calls, prefix: str, record: AuditRecord) -> None:
    """Enter one change; beyond 10,000 of them the oldest go."""
    fields: list[str | int] = []
    for name in ("actor", "verb", "queue", "filter", "count", "detail", "reason"):
        value = getattr(record, name)
        fields += (name, value if isinstance(value, int) else str(value)[:_TEXT])
    key = system_prefix(prefix) + "audit"
    await calls.change(calls.client.call("XADD", key, "MAXLEN", "~", MOST, "*", *fields))


async def read(calls: Calls, prefix: str, *, queue: str | None, limit: int, cursor: str | None) -> AuditPage:
    """Read changes, newest first. Raises OptionError for a cursor that is none."""
    if cursor and not all(part.isdecimal() for part in cursor.split("-", 1)):
        raise OptionError("cursor", cursor, "it is none of ours; take the one of the page before")
    key = system_prefix(prefix) + "audit"
    end = f"({cursor}" if cursor else "+"
    call = calls.client.call("XREVRANGE", key, end, "-", "COUNT", limit)
    entries = cast("list[tuple[bytes, list[bytes]]]", await calls.read(call))
    records = [_record(each[0].decode(), each[1]) for each in entries]
    found = tuple(record for record in records if queue is None or record.queue == queue)
    return AuditPage(found, records[-1].id if len(records) == limit else None)


def _record(entry_id: str, flat: list[bytes]) -> AuditRecord:
    pairs = iter(each.decode() for each in flat)
    fields = dict(zip(pairs, pairs, strict=False))
    at: datetime = utc(int(entry_id.partition("-")[0]))
    return AuditRecord(
        id=entry_id,
        at=at,
        actor=fields.get("actor", ""),
        verb=fields.get("verb", ""),
        queue=fields.get("queue", ""),
        filter=fields.get("filter", ""),
        # Nobody is kept from reading the others by an entry that is not ours.
        count=int(fields.get("count", "")) if fields.get("count", "").isdecimal() else 0,
        detail=fields.get("detail", ""),
        reason=fields.get("reason", ""),
    )
