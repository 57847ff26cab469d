"""Who changed what: a capped stream beside the queues, for people to read; nothing goes by it."""

from __future__ import annotations

import getpass
import socket
from datetime import datetime
from typing import TYPE_CHECKING, cast

from jobs_admin._listing import check_bounds
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


class Audit:
    """The entries of an installation, written in the name of who acts, and for a reason."""

    def __init__(self, calls: Calls, actor: str, reason: str = "") -> None:
        """Write in the name of `actor`."""
        self._calls = calls
        self._key = system_prefix(calls.scripts.prefix) + "audit"
        self.actor = actor
        self.reason = reason

    async def enter(
        self,
        verb: str,
        queue: str,
        which: str,
        count: int,
        detail: str = "",
        *,
        actor: str = "",
        reason: str = "",
    ) -> None:
        """Enter one change of `count` things, which `which` describes; beyond 10,000 entries the oldest go."""
        told = {
            "actor": actor or self.actor,
            "verb": verb,
            "queue": queue,
            "filter": which,
            "count": count,
            "detail": detail,
            "reason": reason or self.reason,
        }
        fields: list[str | int] = []
        for name, value in told.items():
            fields += (name, value if isinstance(value, int) else value[:_TEXT])
        client = self._calls.client
        await self._calls.change(client.call("XADD", self._key, "MAXLEN", "~", MOST, "*", *fields))

    async def read(self, queue: str | None, *, limit: int, cursor: str | None) -> AuditPage:
        """Read changes, newest first, of one queue or all. Raises OptionError for a cursor that is none."""
        check_bounds(limit, 0, cursor)
        if cursor and not all(part.isdecimal() for part in cursor.split("-", 1)):
            raise OptionError("cursor", cursor, "it is none of ours; take the one of the page before")
        end = f"({cursor}" if cursor else "+"
        call = self._calls.client.call("XREVRANGE", self._key, end, "-", "COUNT", limit)
        entries = cast("list[tuple[bytes, list[bytes]]]", await self._calls.read(call))
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
