"""What must hold of a queue between any two calls, as functions that judge a view and yield what is broken.

A rule of `JOB_RULES` judges jobs: all that it may look at is a `View`, which is of one instant, so what it yields is
broken and not on its way. A new one is a function with the decorator `of_jobs`, and belongs to no list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from jobs_core.schedules.store import ACTIVE, NEVER_MS, schedule_times
from jobs_core.wire import BIG, EXPIRES, LOG_BYTES, LOG_LINES, OWN_ID, parse_log_count, parse_state

if TYPE_CHECKING:
    from jobs_admin._check.view import View

__all__ = [
    "JOB_RULES",
    "TEXTS",
    "Wrong",
    "judge_active",
    "judge_head",
    "judge_key",
    "judge_schedule",
    "judge_slots",
]

TEXTS: dict[str, str] = {
    "unknown_key": "a key that no queue has",
    "key_type": "a key of another type than it must have",
    "key_ttl": "a key that would expire",
    "ghost": "an id without a record",
    "homeless": "a record that is in no home: the job would never run",
    "two_homes": "a job that is in two homes",
    "fence": "a fence that is beyond the stamp of the queue, or that two deliveries have",
    "stamp": "a record that is beyond the stamp of the queue",
    "owner": "a job that runs for an owner whom the queue holds for done, or does not know",
    "idle": "an owner among the idle who is dead",
    "totals": "the totals do not add up",
    "bytes": "the bytes of a home are counted wrongly",
    "result": "a result of no job that is kept, and without a time to go",
    "result_due": "a time to go without a result",
    "leftover": "something that is kept of a job that is gone",
    "waiter": "somebody who awaits a job that has ended",
    "cancel": "a wish to stop that does not name the delivery it is about",
    "parked": "parked jobs are counted wrongly by name",
    "letters": "dead letters are counted wrongly by the queue that they come from",
    "own_id": "an id of the caller's own that is not remembered, or one remembered of no job",
    "envelope": "a large envelope that is missing, or that nobody has",
    "expiring": "a job that is to expire though it started, ended or has no expiry",
    "unique": "a unique key that is held by a job which is over, or has another one",
    "blocked": "a job that waits for others which do not know of it, or have ended: it would never run",
    "flow": "a flow that is counted or listed wrongly: it would never end, or never go",
    "stuck": "somebody waits for a job that is nowhere, and would wait for ever",
    "session": "a session that will never be forgotten",
    "keyed": "a waiting job that is not found by its key, or one found there that does not wait",
    "ring": "a key whose jobs would never have their turn, or one without jobs that has",
    "slots": "jobs that run are counted wrongly",
    "schedule": "a schedule without its row, state or place: it would never fire, or nobody would look",
    "log": "a job's log that is counted wrongly, not entered, or over its caps",
    "stream": "a stream that is ahead of what the queue knows, so nothing more is entered, or far over its cap",
    "applied": "effects that are remembered as applied though their outbox has them no more",
    "measure": "minutes or a histogram that would never go, or that are too large",
    "audit": "the audit is far over its cap, or has an entry that does not say what was done",
    "watched": "a schedule that waits for the end of a job which is over",
}


class Wrong(msgspec.Struct, frozen=True):
    """One breach: its code, what it is about (a job id, or the name of a key, an owner, a session), details."""

    code: str
    about: str
    detail: str = ""


Rule = Callable[["View"], Iterator[Wrong]]
JOB_RULES: list[Rule] = []


def of_jobs(rule: Rule) -> Rule:
    """Let a rule judge every job."""
    JOB_RULES.append(rule)
    return rule


@of_jobs
def one_home(view: View) -> Iterator[Wrong]:
    """Hold that a job is in one home, exactly as long as it has a record (I1, I2)."""
    for job_id in view.ids:
        homes = view.homes(job_id)
        if len(homes) > 1:
            yield Wrong("two_homes", job_id, ", ".join(homes))
        if homes and job_id not in view.records:
            yield Wrong("ghost", job_id, homes[0])
        if not homes and job_id in view.records:
            yield Wrong("homeless", job_id)


@of_jobs
def fences(view: View) -> Iterator[Wrong]:
    """Hold that whoever runs has a fence of its own, up to the stamp, and an owner who may still settle it (I3, I10)."""
    stamp = int(view.meta.get("stamp", b"0"))
    for owner, held in view.active:
        twice = {fence for fence, n in Counter(held.values()).items() if n > 1}
        for job_id, fence in held.items():
            if fence > stamp or fence in twice:
                yield Wrong("fence", job_id, f"{fence:.0f}")
            if view.owners.get(owner, -2) < -1:
                yield Wrong("owner", job_id, owner)
    for job_id, header in view.records.items():
        if header.stamp_us > stamp:
            yield Wrong("stamp", job_id, str(header.stamp_us))


@of_jobs
def results(view: View) -> Iterator[Wrong]:
    """Hold that a result belongs to a job that is kept, or has a time to go; a time to go has a result."""
    told, due = view.hashes["result"], view.zsets["result.due"]
    for job_id in view.ids:
        if job_id in told and job_id not in due and not view.ended(job_id):
            yield Wrong("result", job_id)
        if job_id in due and job_id not in told:
            yield Wrong("result_due", job_id)


@of_jobs
def leftovers(view: View) -> Iterator[Wrong]:
    """Hold that what is kept of a job goes with it, and that nobody awaits what has ended."""
    for side in ("state", "history", "progress", "checkpoint"):
        for job_id in view.hashes[side]:
            if job_id not in view.records:
                yield Wrong("leftover", job_id, side)
    for job_id in view.hashes["logs"].keys() | view.there["log:"].keys():
        gone = job_id not in view.records and job_id not in view.hashes["result"]
        if gone and job_id not in view.hashes["trash.logs"]:
            yield Wrong("leftover", job_id, "logs")
    for job_id in view.hashes["waiters"]:
        # Who awaits a flow is judged with it.
        if not job_id.startswith("\1") and (job_id not in view.records or view.ended(job_id)):
            yield Wrong("waiter", job_id)


@of_jobs
def followed(view: View) -> Iterator[Wrong]:
    """Hold that whom to tell of a job's end, and what it waits for itself, is kept as long as it is there."""
    for side, entered in (("follows", view.hashes["follows"]), ("joins", view.zsets["joins"])):
        for job_id in entered:
            if job_id not in view.records:
                yield Wrong("leftover", job_id, side)


@of_jobs
def waiting_for(view: View) -> Iterator[Wrong]:
    """Hold that a blocked job waits for somebody, and that what it waits for is counted (F57)."""
    joins, blocked = view.zsets["joins"], view.zsets["blocked"]
    for job_id in view.ids:
        found = view.joins.get(job_id)
        if job_id in joins and (found is None or not found.n):
            yield Wrong("flow", job_id, "nothing is counted of what it waits for")
        elif job_id in joins and job_id in view.zsets["early"]:
            yield Wrong("flow", job_id, "it is there, and held for one that is still to come")
        elif found is not None and (said := found.miscounted()):
            yield Wrong("flow", job_id, said)
        if job_id in blocked and job_id in view.records and job_id not in view.unique:
            if job_id not in joins:
                yield Wrong("blocked", job_id, "it waits for nobody")
            elif found is not None and found.done:
                yield Wrong("blocked", job_id, "what it waits for has ended")


@of_jobs
def cancels(view: View) -> Iterator[Wrong]:
    """Hold that a wish to stop names the delivery that runs, and that the job's own entry knows of it."""
    running = {job_id: fence for _, held in view.active for job_id, fence in held.items()}
    for job_id, fence in view.hashes["cancels"].items():
        if running.get(job_id) != float(fence):
            yield Wrong("cancel", job_id, fence.decode())
    for job_id in running:
        marked = parse_state(view.hashes["state"].get(job_id)).cancel
        if bool(marked) != (job_id in view.hashes["cancels"]):
            yield Wrong("cancel", job_id, "marked" if marked else "not marked")


@of_jobs
def logs(view: View) -> Iterator[Wrong]:
    """Hold that the log of a job is counted as it is, and within its caps (I13)."""
    counted, there = view.hashes["logs"], view.there["log:"]
    for job_id in counted.keys() | there.keys():
        if job_id not in view.records and job_id not in view.hashes["result"]:
            continue  # It is left over, or on its way out.
        if job_id not in counted:
            if job_id not in view.hashes["trash.logs"]:
                yield Wrong("log", job_id, "not entered")
            continue
        lines, size, _ = parse_log_count(counted[job_id])
        if lines != there.get(job_id, 0):
            yield Wrong("log", job_id, f"{lines} lines counted, {there.get(job_id, 0)} there")
        elif lines > LOG_LINES or size > LOG_BYTES:
            yield Wrong("log", job_id, f"{lines} lines, {size} bytes")


@of_jobs
def watched(view: View) -> Iterator[Wrong]:
    """Hold that a schedule waits only for runs that are there."""
    for job_id in view.hashes["sched.watch"]:
        if job_id not in view.records or view.ended(job_id):
            yield Wrong("watched", job_id)


@of_jobs
def own_ids(view: View) -> Iterator[Wrong]:
    """Hold that an id of the caller's own is remembered for as long as its job is there, and others are not."""
    for job_id in view.ids:
        alive = view.zsets["tomb"].get(job_id) == float("inf")
        header = view.records.get(job_id)
        if alive != (header is not None and bool(header.flags & OWN_ID)):
            yield Wrong("own_id", job_id)


@of_jobs
def envelopes(view: View) -> Iterator[Wrong]:
    """Hold that a large envelope lies apart exactly where the record says so."""
    for job_id in view.ids:
        header = view.records.get(job_id)
        if header is None and job_id in view.hashes["trash.rec"]:
            continue
        if (job_id in view.there["big:"]) != (header is not None and bool(header.flags & BIG)):
            yield Wrong("envelope", job_id)


@of_jobs
def expiries(view: View) -> Iterator[Wrong]:
    """Hold that only jobs which never started, and have an expiry, are to expire, and at the time they say."""
    for job_id, till in view.zsets["expiring"].items():
        header = view.records.get(job_id)
        waits = any(job_id in view.zsets[home] for home in ("waiting", "delayed", "unroutable", "blocked"))
        if header is None or not waits or not header.flags & EXPIRES or header.expires_ms != till:
            yield Wrong("expiring", job_id)


def unique_keys(view: View) -> Iterator[Wrong]:
    """Hold that whoever holds a unique key is there and has it, or holds it for a time, and the same of who is next."""
    active = {job_id for _, held in view.active for job_id in held}
    for key, job_id in view.holders.items():
        if job_id not in view.ids:
            continue  # It came in between.
        mode, own = view.unique.get(job_id, ("", ""))
        holds = own == key and not view.ended(job_id) and not (mode == "s" and job_id in active)
        if not holds and key not in view.until:
            yield Wrong("unique", key, job_id)
    for key, job_id in view.behind.items():
        if job_id in view.ids and (
            view.unique.get(job_id, ("", ""))[1] != key or job_id not in view.zsets["blocked"]
        ):
            yield Wrong("unique", key, job_id)
        elif key not in view.holders:
            yield Wrong("blocked", job_id, key)
    for key in view.until:
        if key not in view.holders:
            yield Wrong("unique", key, "nobody")


def blocked_jobs(view: View) -> Iterator[Wrong]:
    """Hold that a job with a unique key that waits behind another one is let in when that one ends."""
    for job_id in view.zsets["blocked"]:
        _, key = view.unique.get(job_id, ("", ""))
        found = view.joins.get(job_id)
        waits = job_id in view.zsets["joins"] and found is not None and not found.done
        if key and view.behind.get(key) != job_id and not waits:
            yield Wrong("blocked", job_id, key)


@of_jobs
def by_key(view: View) -> Iterator[Wrong]:
    """Hold that in a queue indexed by key what waits, and nothing else, is found by its key."""
    flow = view.meta.get("flow", b"").split()
    if not flow or flow[5] != b"2":
        return
    for job_id in view.records:
        if (job_id in view.keyed) != (job_id in view.zsets["waiting"]):
            yield Wrong("keyed", job_id)


def judge_key(key: str, found: tuple[float | None, float | None, int, int, int]) -> Iterator[Wrong]:
    """Hold that a key is in the ring or parked as long as it has waiting jobs, and nothing is left of it after.

    `found` is its turn in the ring, until when (ms) it is parked, how many of its jobs run and wait, and how many of
    these are in no home.
    """
    turn, parked, running, waiting, lost = found
    if lost:
        yield Wrong("keyed", key, f"{lost} jobs of the key do not wait")
    if waiting and turn is None and parked is None:
        yield Wrong("ring", key, f"{waiting} jobs wait")
    if not waiting and (turn is not None or parked == float("inf")):
        yield Wrong("ring", key, "no job waits")
    if turn is not None and parked is not None:
        yield Wrong("ring", key, "it has its turn and is parked")
    if running < 0:
        yield Wrong("slots", key, str(running))


def judge_schedule(
    schedule_id: str, row: int | None, state: bytes | None, place: float | None
) -> Iterator[Wrong]:
    """Hold that a schedule has a row, a state and a place, which is in time exactly if it is to fire (I7)."""
    missing = [name for name, part in (("row", row), ("state", state), ("place", place)) if part in {None, 0}]
    if missing or state is None or place is None:
        yield Wrong("schedule", schedule_id, f"no {', no '.join(missing)}")
        return
    _, next_ms, _, status = schedule_times(state)
    if (status == ACTIVE and next_ms > 0) != (place < NEVER_MS):
        yield Wrong("schedule", schedule_id, f"its next fire is {next_ms}, its place {place:.0f}")


def judge_head(said: bytes | None, head: float | None) -> Iterator[Wrong]:
    """Hold that somebody looks for schedules where one is to fire."""
    if head is not None and head < NEVER_MS and not int(said or 0):
        yield Wrong("schedule", "", "nobody would look")


def judge_active(queue: str, said: int, there: int) -> Iterator[Wrong]:
    """Hold that the jobs that run over all workers are counted, where they are (-1: they are not)."""
    if said not in {-1, there}:
        yield Wrong("slots", queue, f"{said} counted, {there} run")


def judge_slots(said: dict[str, int], there: dict[str, int]) -> Iterator[Wrong]:
    """Hold that the jobs that run are counted by key (F69)."""
    for key in sorted(said.keys() | there.keys()):
        if said.get(key, 0) != there.get(key, 0):
            yield Wrong("slots", key, f"{said.get(key, 0)} counted, {there.get(key, 0)} run")
