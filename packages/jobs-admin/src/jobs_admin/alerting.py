"""Judges the alerts of all queues once a minute, by whichever process comes first, and has each crossing told once.

Who claims the minute reads the figures, writes down what they come to in one step, and enqueues a job `alert-admin` for each
crossing, under an id that follows from it. Whoever dies in between leaves the crossing among those that are still to be
told, and the judge of a later minute enqueues the same job: the queue takes it once.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from jobs_admin._alerts import Firing, Seen, decode_firing, decode_seen, encode_firing, encode_seen, in_force
from jobs_admin._numbers import sum_totals
from jobs_core.alerts import ALERTS
from jobs_core.drafts import make_draft
from jobs_core.options import resolve
from jobs_core.queues.notifications import ALERT_ADMIN, AlertAdmin
from jobs_core.registry import list_queues, list_workers
from jobs_core.wire import pack_drafts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobs_core.alerts import AlertName
    from jobs_core.registry import QueueEntry
    from jobs_core.scripts import AlertRound, Scripts, Tally

__all__ = ["Crossing", "judge_each_minute", "judge_minute"]

# A threshold that was crossed is crossed back below so large a part of it, and growth is over after so many minutes without.
_BACK = 0.8
_CALM = 3
# Minutes that nobody judged: over so many nothing is said of what went on between them.
_MOST_GAP = 3
_WINDOW = 10
_FEWEST_ENDED = 20
_MINUTES = frozenset({"growing", "no_workers"})
_MINUTE_S = 60.0
_SPREAD_S = 2.0


class Crossing(msgspec.Struct, frozen=True):
    """An alert that fired or recovered (`fired`), in words; `sent` tells whether a job carries it to people."""

    queue: str
    alert: str
    fired: bool
    value: float
    threshold: float
    message: str
    sent: bool

    @property
    def event(self) -> str:
        """Under which name a log tells of it."""
        return "alert_fired" if self.fired else "alert_recovered"

    def fields(self) -> dict[str, str | float]:
        """Return what a log line tells of it."""
        return {
            "queue": self.queue,
            "alert": self.alert,
            "value": self.value,
            "threshold": self.threshold,
            "message": self.message,
            "sent": self.sent,
        }


async def judge_each_minute(
    scripts: Scripts, on_crossing: Callable[[Crossing], None], on_failure: Callable[[Exception], None]
) -> None:
    """Judge soon after the start and soon after each minute begins, unless somebody else was first; never returns."""
    # A worker that is the first of all lists the queue of notifications meanwhile: else only the log would tell.
    await asyncio.sleep(random.uniform(_SPREAD_S, 2 * _SPREAD_S))
    while True:
        try:
            for each in await judge_minute(scripts) or ():
                on_crossing(each)
        except Exception as error:  # noqa: BLE001 - told; whatever went wrong in one minute, the next is judged
            on_failure(error)
        await asyncio.sleep(_MINUTE_S - time.time() % _MINUTE_S + random.uniform(0, _SPREAD_S))


async def judge_minute(scripts: Scripts) -> list[Crossing] | None:
    """Judge this minute; None where somebody else does, or has. Returns the crossings that were told.

    Raises what the scripts raise; what was not told by then is told by the judge of a later minute.
    """
    begun = await scripts.alert_claim()
    if not begun.minute:
        return None
    entries = await list_queues(scripts.client, scripts.prefix)
    seen, verdicts = await _judged(scripts, begun, entries)
    crossed = await scripts.alert_judge(minute=begun.minute, queues=seen, alerts=verdicts)
    told = {crossing: decode_firing(packed) for crossing, packed in begun.untold.items()}
    for crossing in crossed or ():
        told[crossing] = decode_firing(verdicts[crossing.split(":")[0]][1])
    # Where nobody ever served the queue of notifications a job of it would wait for good.
    sends = any(entry.queue == ALERT_ADMIN.queue.name for entry in entries)
    return [await _tell(scripts, crossing, firing, send=sends) for crossing, firing in told.items()]


async def _judged(
    scripts: Scripts, begun: AlertRound, entries: Sequence[QueueEntry]
) -> tuple[dict[str, bytes], dict[str, tuple[bool, bytes]]]:
    """Return what is to be remembered of each queue, and whether each alert fires, with what is told of it."""
    workers = [each for each in await list_workers(scripts.client, scripts.prefix) if not each.silent]
    seen: dict[str, bytes] = {}
    past = {queue: decode_seen(packed) for queue, packed in begun.seen.items()}
    # A queue that was not there while others were judged a moment ago began with nothing.
    lately = max((each.minute for each in past.values()), default=0)
    blank = Seen(lately, 0, ended=((lately, 0, 0),)) if begun.minute - lately <= _MOST_GAP else None
    # One of a queue that is gone, or of a kind that there is no more, is over.
    verdicts = {alert: (False, _gone(packed)) for alert, packed in begun.firing.items()}
    tallies = await scripts.tally([entry.queue for entry in entries])
    for entry in entries:
        tally = tallies[entry.queue]
        serving = sum(entry.queue in each.queues for each in workers)
        if not serving and tally.sizes["waiting"]:
            # A worker inside an application is not among those listed, but it holds a lease.
            owners = await scripts.owners(entry.queue)
            serving = sum(not each.dead and each.lease_ms > 0 for each in owners)
        now = remember(past.get(entry.queue, blank), begun.minute, tally, serving)
        seen[entry.queue] = encode_seen(now)
        for name in ALERTS:
            alert, threshold = f"{entry.queue}/{name}", in_force(name, entry, begun.live)
            fires = fires_now(name, now, threshold, active=alert in begun.firing)
            if fires or alert in begun.firing:
                value, limit = now.values[name], 0.0 if threshold is None else threshold
                message = _message(entry.queue, name, value, threshold, paused=tally.paused_ms is not None)
                verdicts[alert] = (fires, encode_firing(Firing(value, limit, message)))
    return seen, verdicts


def remember(before: Seen | None, minute: int, tally: Tally, workers: int) -> Seen:
    """Return what is remembered of a queue after one more minute."""
    waiting, totals = tally.sizes["waiting"], sum_totals(tally.totals)
    completed, failed = totals.get("completed", 0), totals.get("failed", 0)
    growing = calm = alone = 0
    ended: tuple[tuple[int, int, int], ...] = ()
    gap = 1
    if before is not None and (gap := minute - before.minute) <= _MOST_GAP:
        grew = waiting > before.waiting
        growing = before.growing + gap if grew else 0
        calm = 0 if grew else before.calm + gap
        alone = before.alone
        ended = tuple(
            each
            for each in before.ended
            # Totals that were greater are those of before the queue was obliterated.
            if each[0] >= minute - _WINDOW and each[1] <= completed and each[2] <= failed
        )
    lonely = waiting > 0 and workers == 0 and tally.paused_ms is None
    # The first look says nothing of the minute before it: the jobs may have come in its last second.
    alone = (alone + gap if alone else 1) if lonely else 0
    ended = (*ended, (minute, completed, failed))
    done, bad = completed - ended[0][1], failed - ended[0][2]
    values = {
        "waiting": waiting,
        "failed": tally.sizes["failed"],
        "growing": growing,
        "oldest": (tally.longest_wait_ms or 0) / 1000,
        "failure_rate": round(bad / (done + bad), 3) if done + bad >= _FEWEST_ENDED else 0.0,
        "no_workers": max(alone - 1, 0),
        "unroutable": tally.sizes["unroutable"],
    }
    return Seen(minute, waiting, growing, calm, alone, ended, values)


def fires_now(name: AlertName, now: Seen, threshold: float | None, *, active: bool) -> bool:
    """Tell whether an alert fires; one that does goes on until it is well below, so that it does not come and go."""
    if threshold is None:
        return False
    value = now.values[name]
    if name == "growing":
        return value >= threshold or (active and now.calm < _CALM and now.waiting > 0)
    if name in _MINUTES:
        return value >= threshold or (active and value > 0)
    return value > (threshold * _BACK if active else threshold)


def _message(queue: str, name: AlertName, value: float, threshold: float | None, *, paused: bool) -> str:
    # In full: a million jobs are not 1e+06.
    count, most = f"{value:.12g}", "off" if threshold is None else f"{threshold:.12g}"
    one = value == 1
    match name:
        case "waiting":
            text = f"{count} {'job waits' if one else 'jobs wait'} (alert above {most})"
        case "failed":
            text = f"{count} failed {'job is' if one else 'jobs are'} kept (alert above {most})"
        case "growing":
            grew = f"has grown for {_minutes(count)} running" if value else "grows no more"
            text = f"the backlog {grew} (alert from {_minutes(most)} on)"
        case "oldest":
            text = f"the oldest job has waited for {count} s (alert above {most} s)"
        case "failure_rate":
            text = f"{value:.0%} of the jobs of the last 10 minutes failed (alert above {most})"
        case "no_workers":
            waited = f"jobs have waited for {_minutes(count)} and no worker serves them"
            text = f"{waited if value else 'no job waits without a worker'} (alert from {_minutes(most)} on)"
        case "unroutable":
            text = (
                f"{count} {'job is' if one else 'jobs are'} parked that no worker knows (alert above {most})"
            )
    return f"queue {queue}: {text}{', paused' if paused else ''}"


def _minutes(count: str) -> str:
    return f"{count} minute" if count == "1" else f"{count} minutes"


def _gone(packed: bytes) -> bytes:
    """Return what is told of an alert whose queue is gone."""
    firing = decode_firing(packed.partition(b" ")[2])
    return encode_firing(msgspec.structs.replace(firing, message=f"{firing.message}; it is no longer judged"))


async def _tell(scripts: Scripts, crossing: str, firing: Firing, *, send: bool) -> Crossing:
    """Have a crossing told by a job of ours, once however often this is called, and forget it."""
    alert, kind, ms = crossing.split(":")
    queue, _, name = alert.rpartition("/")
    fired = kind == "fired"
    if send:
        details: Mapping[str, str | float] = {
            "queue": queue,
            "alert": name,
            "state": kind,
            "value": firing.value,
            "threshold": firing.threshold,
            "at": datetime.fromtimestamp(int(ms) // 1000, UTC).isoformat(),
        }
        payload = AlertAdmin(
            error=f"{queue}: {name} {kind}",
            message=firing.message,
            severity="error" if fired else "info",
            details=details,
        )
        resolved = resolve(ALERT_ADMIN, {"priority": "high"})
        draft = make_draft(ALERT_ADMIN, payload, resolved, job_id=f"alert:{crossing}")
        await scripts.enqueue(
            ALERT_ADMIN.queue.name, session=f"alert-{secrets.token_hex(8)}", seq=1, jobs=pack_drafts([draft])
        )
    await scripts.alert_told(ids=[crossing])
    return Crossing(queue, name, fired, firing.value, firing.threshold, firing.message, send)
