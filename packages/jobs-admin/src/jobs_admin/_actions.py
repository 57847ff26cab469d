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


async def read_all(calls: Calls, prefix: str) -> list[BulkAction]:
    """Return all that are remembered, newest first."""
    found = cast("dict[bytes, bytes]", await calls.read(calls.client.call("HGETALL", _key(prefix))))
    actions = [_decoded(value) for field, value in found.items() if not field.startswith(_CANCEL.encode())]
    return sorted(actions, key=lambda each: (each.started_at, each.id), reverse=True)


async def read(calls: Calls, prefix: str, action_id: str) -> BulkAction:
    """Return one. Raises BulkNotFound."""
    found = cast("bytes | None", await calls.read(calls.client.call("HGET", _key(prefix), action_id)))
    if found is None or action_id.startswith(_CANCEL):
        raise BulkNotFound(action_id)
    return _decoded(found)


async def write(calls: Calls, prefix: str, action: BulkAction) -> str:
    """Write how far one is, and forget the oldest beyond 200. Returns who asked for its end."""
    key, asked = _key(prefix), _CANCEL + action.id
    reads = (
        calls.client.call("HGET", key, asked),
        calls.client.call("HSET", key, action.id, msgspec.json.encode(action)),
        calls.client.call("HLEN", key),
    )
    by, _, size = cast("list[bytes | int | None]", await calls.read_all(reads))
    if action.state != "running":
        await calls.change(calls.client.call("HDEL", key, asked))
        if isinstance(size, int) and size > _MOST:
            await _forget(calls, prefix)
    return by.decode() if isinstance(by, bytes) else ""


async def cancel(calls: Calls, prefix: str, action_id: str, actor: str) -> BulkAction:
    """Ask one to end. Raises BulkNotFound."""
    action = await read(calls, prefix, action_id)
    if action.state == "running":
        await calls.change(calls.client.call("HSET", _key(prefix), _CANCEL + action_id, actor or "somebody"))
    return action


async def _forget(calls: Calls, prefix: str) -> None:
    oldest = [each.id for each in (await read_all(calls, prefix))[_MOST:] if each.state != "running"]
    if oldest:
        await calls.change(
            calls.client.call("HDEL", _key(prefix), *oldest, *(_CANCEL + each for each in oldest))
        )


def _decoded(packed: bytes) -> BulkAction:
    action = msgspec.json.decode(packed, type=BulkAction)
    if action.state == "running" and datetime.now(UTC) - action.seen_at > _SILENT:
        return replace(action, state="interrupted")
    return action


def _key(prefix: str) -> str:
    return system_prefix(prefix) + "bulks"
