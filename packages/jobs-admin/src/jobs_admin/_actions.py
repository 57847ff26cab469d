"""Changes of very many jobs that go on by themselves, remembered beside the queues so that every dashboard tells of all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

import msgspec
from msgspec.structs import replace

from jobs_admin.errors import BulkNotFound
from jobs_admin.records import BulkAction
from jobs_core.keys import system_prefix

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

_MOST: Final = 200
_SILENT = timedelta(seconds=30)
_CANCEL = "cancel:"
_LIVE = ("pending", "running")


async def read_all(calls: Calls, prefix: str) -> list[BulkAction]:
    """Return all that are remembered, newest first."""
    found = cast("dict[bytes, bytes]", await calls.read(calls.client.call("HGETALL", _key(prefix))))
    mark = _CANCEL.encode()
    actions = [
        _decoded(value, found.get(mark + field))
        for field, value in found.items()
        if not field.startswith(mark)
    ]
    return sorted(actions, key=lambda each: (each.started_at, each.id), reverse=True)


async def read(calls: Calls, prefix: str, action_id: str) -> BulkAction:
    """Return one. Raises BulkNotFound."""
    call = calls.client.call("HMGET", _key(prefix), action_id, _CANCEL + action_id)
    found, asked = cast("list[bytes | None]", await calls.read(call))
    if found is None or action_id.startswith(_CANCEL):
        raise BulkNotFound(action_id)
    return _decoded(found, asked)


async def write(calls: Calls, prefix: str, action: BulkAction) -> str:
    """Write how far one is, and forget the oldest beyond 200. Returns who asked for its end."""
    key, asked = _key(prefix), _CANCEL + action.id
    action = replace(action, starts_in_ms=None)
    await calls.change(calls.client.call("HSET", key, action.id, msgspec.json.encode(action)))
    # Only now: who asks for the end of one that is not told to run yet is heard for sure before it does.
    reads = (calls.client.call("HGET", key, asked), calls.client.call("HLEN", key))
    by, size = cast("list[bytes | int | None]", await calls.read_all(reads))
    if action.state not in _LIVE:
        await calls.change(calls.client.call("HDEL", key, asked))
        if isinstance(size, int) and size > _MOST:
            await _forget(calls, prefix)
    return by.decode() if isinstance(by, bytes) else ""


async def cancel(calls: Calls, prefix: str, action_id: str, actor: str) -> tuple[BulkAction, bool]:
    """Ask one to end; return it, and whether nobody had asked before. Raises BulkNotFound."""
    action = await read(calls, prefix, action_id)
    if action.state not in _LIVE:
        return action, False
    key, asked = _key(prefix), _CANCEL + action_id
    first = await calls.change(calls.client.call("HSETNX", key, asked, actor or "somebody"))
    action = await read(calls, prefix, action_id)
    if action.state not in (*_LIVE, "undone"):
        # It came to its end by itself meanwhile.
        await calls.change(calls.client.call("HDEL", key, asked))
        return action, False
    return action, first == 1


async def _forget(calls: Calls, prefix: str) -> None:
    oldest = [each.id for each in (await read_all(calls, prefix))[_MOST:] if each.state not in _LIVE]
    if oldest:
        await calls.change(
            calls.client.call("HDEL", _key(prefix), *oldest, *(_CANCEL + each for each in oldest))
        )


def _decoded(packed: bytes, asked: bytes | None) -> BulkAction:
    action = msgspec.json.decode(packed, type=BulkAction)
    now = datetime.now(UTC)
    if action.state == "pending" and asked is not None:
        return replace(action, state="undone", cancelled_by=asked.decode())
    if action.state in _LIVE and now - action.seen_at > _SILENT:
        return replace(action, state="interrupted")
    if action.state == "pending" and action.starts_at is not None:
        left = (action.starts_at - now).total_seconds()
        return replace(action, starts_in_ms=max(0, round(left * 1000)))
    return action


def _key(prefix: str) -> str:
    return system_prefix(prefix) + "bulks"
