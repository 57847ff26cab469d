"""Paused job names and keys of a queue, as `cfg` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from jobs_admin._numbers import utc
from jobs_admin.records import PauseRecord
from jobs_core.errors import OptionError
from jobs_core.names import check_job_name

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

_MAX_KEY = 255


def subject(job: str | None, key: str | None) -> str:
    """Return what of a queue is meant, as scripts name it. Raises OptionError."""
    if job is not None and key is not None:
        raise OptionError("key", key, "it cannot be combined with job; give one of them")
    if job is not None:
        return f"job:{check_job_name(job)}"
    if key is None:
        return ""
    if not 0 < len(key.encode()) <= _MAX_KEY:
        raise OptionError("key", key, f"it must be 1 to {_MAX_KEY} bytes")
    return f"key:{key}"


async def pauses(calls: Calls, queue: str) -> list[PauseRecord]:
    """List what is paused of a queue besides the queue itself, jobs first; what ended by itself is left out."""
    cfg = calls.scripts.key(queue) + "cfg"
    till: dict[str, int] = {}
    cursor = b"0"
    while True:
        call = calls.client.call("HSCAN", cfg, cursor, "MATCH", "pause:*", "COUNT", 1000)
        cursor, flat = cast("tuple[bytes, list[bytes]]", await calls.read(call))
        pairs = iter(each.decode() for each in flat)
        till.update(
            (field.removeprefix("pause:"), int(text)) for field, text in zip(pairs, pairs, strict=True)
        )
        if cursor == b"0":
            break
    now = await calls.server_ms()
    names = sorted((name for name, until in till.items() if until == 0 or until > now), key=_order)
    if not names:
        return []
    call = calls.client.call("HMGET", cfg, *(f"why:{name}" for name in names))
    whys = cast("list[bytes | None]", await calls.read(call))
    return [_record(name, till[name], why or b"0") for name, why in zip(names, whys, strict=True)]


def _order(name: str) -> tuple[bool, str]:
    return name.startswith("key:"), name


def _record(what: str, till: int, why: bytes) -> PauseRecord:
    scope, _, name = what.partition(":")
    since, actor, reason, *_ = [*why.decode().split("\n", 2), "", ""]
    return PauseRecord(
        scope=cast("Literal['job', 'key']", scope),
        name=name,
        paused_at=utc(int(since)) if int(since) else None,
        paused_until=utc(till) if till else None,
        paused_by=actor,
        pause_reason=reason,
    )
