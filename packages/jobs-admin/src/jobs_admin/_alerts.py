"""Alerts of queues as an operator sees and sets them: what fires, and from where on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import msgspec

from jobs_admin._numbers import utc
from jobs_admin.records import AlertRecord
from jobs_core.alerts import ALERTS, DEFAULTS, check_alert, check_threshold
from jobs_core.errors import OptionError
from jobs_core.keys import system_prefix
from jobs_core.registry import list_queues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_admin._calls import Calls
    from jobs_core.alerts import AlertName
    from jobs_core.durations import Duration
    from jobs_core.registry import QueueEntry

__all__ = ["Firing", "Seen", "Threshold", "in_force", "read_alerts", "read_firing", "set_alert"]

Threshold: TypeAlias = "float | Literal['off'] | None"
"""A threshold that was declared or set, `off` where the alert is none, None where nothing was said."""

_OFF = "off"


class Firing(msgspec.Struct, frozen=True):
    """What is told of an alert that fires or recovered."""

    value: float
    threshold: float
    message: str


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """What is remembered of a queue from one minute to the next.

    `growing` is for how many minutes running its backlog has grown, `calm` for how many it has not; `alone` is 1 where jobs wait without
    a worker, and one more for each minute that they did. `ended` are minutes with the totals of jobs that completed and failed,
    `values` what the alerts were judged by.
    """

    minute: int
    waiting: int
    growing: int = 0
    calm: int = 0
    alone: int = 0
    ended: tuple[tuple[int, int, int], ...] = ()
    values: dict[str, float] = {}


decode_firing = msgspec.json.Decoder(Firing).decode
encode_firing = msgspec.json.Encoder().encode
decode_seen = msgspec.msgpack.Decoder(Seen).decode
encode_seen = msgspec.msgpack.Encoder().encode


def in_force(name: AlertName, entry: QueueEntry, live: Mapping[str, bytes]) -> float | None:
    """Return the threshold of an alert that holds: what is set live, else what code declares, else the default; None: off."""
    told = _live(live.get(f"{entry.queue}/{name}"))
    if told is None:
        told = _declared(entry, name)
    if told is None:
        return DEFAULTS[name]
    return None if told == _OFF else told


async def read_alerts(calls: Calls, prefix: str, queue: str | None) -> list[AlertRecord]:
    """Return every alert of one queue, or of all."""
    firing, live, seen = cast(
        "list[dict[bytes, bytes]]",
        await calls.read_all(
            [
                calls.client.call("HGETALL", system_prefix(prefix) + key)
                for key in ("alerts", "alerts.live", "alerts.seen")
            ]
        ),
    )
    set_live = {name.decode(): value for name, value in live.items()}
    records: list[AlertRecord] = []
    for entry in await calls.read(list_queues(calls.client, prefix)):
        if queue is not None and entry.queue != queue:
            continue
        known = seen.get(entry.queue.encode())
        values = decode_seen(known).values if known is not None else {}
        for name in ALERTS:
            alert = f"{entry.queue}/{name}"
            since, _, told = firing.get(alert.encode(), b"").partition(b" ")
            records.append(
                AlertRecord(
                    queue=entry.queue,
                    alert=name,
                    active=bool(since),
                    since=utc(int(since)) if since else None,
                    value=values.get(name),
                    threshold=in_force(name, entry, set_live),
                    default=DEFAULTS[name],
                    declared=_declared(entry, name),
                    live=_live(set_live.get(alert)),
                    message=decode_firing(told).message if told else "",
                )
            )
    return records


async def read_firing(calls: Calls, prefix: str) -> dict[str, int]:
    """Count the alerts that fire, by queue."""
    raw = cast("list[bytes]", await calls.read(calls.client.call("HKEYS", system_prefix(prefix) + "alerts")))
    counts: dict[str, int] = {}
    for alert in raw:
        queue = alert.decode().rpartition("/")[0]
        counts[queue] = counts.get(queue, 0) + 1
    return counts


async def set_alert(
    calls: Calls, queue: str, alert: str, threshold: Duration | Literal["declared"] | None
) -> tuple[bool, str]:
    """Set a threshold live. Returns whether anything changed, and what it is now in words. Raises OptionError."""
    name = check_alert(alert)
    if threshold is None:
        text = _OFF
    elif threshold == "declared":
        text = ""
    elif isinstance(threshold, str):
        raise OptionError(f"alerts.{name}", threshold, "it must be a number, None for no alert, or declared")
    else:
        text = f"{check_threshold(name, threshold):.12g}"
    return await calls.change(
        calls.scripts.alert_set(alert=f"{queue}/{name}", threshold=text)
    ), text or "declared"


def _declared(entry: QueueEntry, name: AlertName) -> Threshold:
    if name not in entry.alerts:
        return None
    value = entry.alerts[name]
    return _OFF if value is None else value


def _live(raw: bytes | None) -> Threshold:
    if not raw:
        return None
    return _OFF if raw == _OFF.encode() else float(raw)
