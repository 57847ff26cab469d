"""Why a job does not run: what is wrong with the server, the queue or the job, each with its mend."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from jobs_admin import _serving
from jobs_admin._doctor_schedules import examine_schedules
from jobs_admin._limits import held_back
from jobs_admin._numbers import utc
from jobs_admin._pauses import pauses
from jobs_admin.records import Finding, Severity
from jobs_core.boot import audit_server
from jobs_core.commands import read_scales
from jobs_core.flows.modes import STATES, Sign
from jobs_core.names import nearest
from jobs_core.records import job_name
from jobs_core.registry import list_queues, list_workers
from jobs_core.states import State
from jobs_core.wire import parse_header, parse_key

if TYPE_CHECKING:
    from jobs_admin._calls import Calls
    from jobs_core.boot import Audit
    from jobs_core.records import JobRecord
    from jobs_core.registry import QueueEntry, WorkerEntry
    from jobs_core.scripts import Located, Owner, Tally

_SLOW_MS = 20.0
_CLOCK_MS = 1000
_FULL = 0.9
_PINGS = 5
_NAMED = 5
_MENDS = {
    "persistence": "CONFIG SET appendonly yes, and the same in its configuration file.",
    "eviction": "CONFIG SET maxmemory-policy noeviction, and unset JOBS_ALLOW_EVICTION.",
    "node_away": "Start it again, or let a replica take over: CLUSTER FAILOVER on that.",
}


async def examine_server(calls: Calls, prefix: str) -> list[Finding]:
    """Look at the server (version, eviction, persistence, memory, clock, latency) and who works on it."""
    audit = await calls.read(audit_server(calls.client, prefix))
    workers = await calls.read(list_workers(calls.client, prefix))
    latency_ms, offset_ms = await _clocks(calls)
    info = calls.client.info()
    return [
        Finding("server_reached", "ok", f"{info.address} answers in {latency_ms:.2f} ms")
        if latency_ms <= _SLOW_MS
        else Finding(
            "server_slow",
            "warning",
            f"{info.address} takes {latency_ms:.0f} ms for an answer",
            "Run workers near the server; each turn of a worker costs a round trip.",
        ),
        *_audited(audit),
        _clock(offset_ms),
        *_memory(audit),
        _workers(workers),
    ]


async def examine_queue(calls: Calls, prefix: str, queue: str, declared: Collection[str]) -> list[Finding]:
    """Look at a queue: is it paused, who serves it, do they know its jobs, have they free slots."""
    entries = await calls.read(list_queues(calls.client, prefix))
    tally = await calls.tally(queue)
    names = {entry.queue for entry in entries} | set(declared)
    if not tally.used and queue not in names:
        hint = " or ".join(f"`{name}`" for name in nearest(queue, names))
        return [
            Finding(
                "queue_unknown",
                "warning",
                f"nobody ever used a queue {queue}" + (f"; did you mean {hint}?" if hint else ""),
                "Check the name, REDIS_URL and JOBS_PREFIX (`jobsctl queues` lists what there is).",
            )
        ]
    findings = [
        *_gate(queue, tally),
        *await _held(calls, queue, tally),
        *await _served(calls, prefix, queue, tally, entries),
        *await examine_schedules(calls, queue),
    ]
    if tally.sizes["waiting"]:
        findings += await held_back(calls, queue)
    if tally.sizes["delayed"] and not tally.sizes["waiting"]:
        due = (await calls.read(calls.scripts.glance([queue])))[queue].next_due_ms
        if due is not None:
            findings.append(
                Finding(
                    "not_due", "info", f"{_jobs(tally.sizes['delayed'])} not yet due, the next in {_for(due)}"
                )
            )
    if failed := tally.sizes["failed"]:
        text = f"{_jobs(failed)} failed for good and kept"
        findings.append(
            Finding(
                "failed_kept",
                "info",
                text,
                f"jobsctl list {queue} --state failed; jobsctl retry-failed {queue}",
            )
        )
    if not any(finding.severity == "warning" for finding in findings):
        wait, run = tally.sizes["waiting"], tally.sizes["active"]
        text = f"nothing keeps jobs of {queue} from running: {wait} wait, {run} run"
        findings.insert(0, Finding("nothing_found", "ok", text))
    return findings


async def examine_job(calls: Calls, prefix: str, record: JobRecord, located: Located) -> list[Finding]:
    """Look at one job: what it waits for, or what became of it."""
    queue, job_id = record.queue, record.id
    if record.state.final:
        return [_ended(record)]
    if record.state is State.ACTIVE:
        return [await _running(calls, record)]
    if record.state is State.BLOCKED:
        return _blocked(record)
    findings: list[Finding] = []
    wire_name = parse_header(located.record).name
    entries = await calls.read(list_queues(calls.client, prefix))
    tally = await calls.tally(queue)
    if record.state is State.DELAYED and record.run_at is not None:
        left = max(record.run_at.timestamp() * 1000 - await calls.server_ms(), 0)
        why = (
            f"; attempt {record.attempts_made} failed: {record.failed_reason}" if record.attempts_made else ""
        )
        text = f"job {job_id} is due in {_for(left)}, at {record.run_at:%Y-%m-%d %H:%M:%S} UTC{why}"
        findings.append(Finding("not_due", "info", text, f"To run it now: jobsctl promote {queue} {job_id}"))
    if record.state is State.WAITING:
        before = await calls.place(queue, job_id)
        if before is not None:
            findings.append(Finding("waiting", "info", f"job {job_id} waits; {_jobs(before)} before it"))
        findings += await held_back(calls, queue, parse_key(located.record))
    findings += _gate(queue, tally)
    findings += await _held(calls, queue, tally, job=job_name(wire_name), key=parse_key(located.record))
    findings += await _served(calls, prefix, queue, tally, entries, wire_name=wire_name)
    return findings


def _blocked(record: JobRecord) -> list[Finding]:
    """Name the jobs that one waits for, and how to go on from there."""
    waited = record.waits_for
    mend = f"jobsctl flow show {record.id} --queue {record.queue}"
    if not waited:
        return [Finding("blocked", "info", f"job {record.id} waits for other jobs to end", mend)]
    shown = ", ".join(f"{each.id} of {each.queue} ({each.state})" for each in waited[:_NAMED])
    more = f" and {len(waited) - _NAMED} more" if len(waited) > _NAMED else ""
    if len(waited) == 1:
        text = f"job {record.id} waits until job {shown} has ended"
        mend = f"jobsctl doctor {waited[0].queue} {waited[0].id}"
    else:
        text = f"job {record.id} waits until {_jobs(len(waited))} have ended: {shown}{more}"
    findings = [Finding("blocked", "info", text, mend)]
    gone = [each for each in waited if each.state == STATES[Sign.MISSING]][:_NAMED]
    for each in gone:
        text = f"nothing is known of job {each.id} of {each.queue}, which job {record.id} waits for"
        mend = "Wait some seconds, since its end may be on its way; then: jobsctl check --repair"
        findings.append(Finding("blocked_on_missing", "warning", text, mend))
    return findings


def _gate(queue: str, tally: Tally) -> Iterator[Finding]:
    if tally.paused_ms is not None:
        by = f" by {tally.pause_actor}" if tally.pause_actor else ""
        why = f": {tally.pause_reason}" if tally.pause_reason else ""
        till = tally.paused_until_ms
        end = f" until {utc(till):%Y-%m-%d %H:%M:%S} UTC" if till else ""
        text = f"queue {queue} is paused since {utc(tally.paused_ms):%Y-%m-%d %H:%M:%S} UTC{end}{by}{why}"
        yield Finding("paused", "warning", text, f"jobsctl resume {queue}")


async def _held(
    calls: Calls, queue: str, tally: Tally, *, job: str | None = None, key: str = ""
) -> list[Finding]:
    """Say which job names and keys are paused for themselves; of one job only what concerns it."""
    found: list[Finding] = []
    for each in await pauses(calls, queue) if tally.pauses else ():
        if job is not None and each.name != (job if each.scope == "job" else key):
            continue
        by = f" by {each.paused_by}" if each.paused_by else ""
        why = f": {each.pause_reason}" if each.pause_reason else ""
        end = f" until {each.paused_until:%Y-%m-%d %H:%M:%S} UTC" if each.paused_until else ""
        text = f"{each.scope} {each.name} of queue {queue} is paused{end}{by}{why}"
        mend = f"jobsctl resume {queue} --{each.scope} {each.name}"
        found.append(Finding(f"{each.scope}_paused", "warning" if job else "info", text, mend))
    return found


async def _served(
    calls: Calls, prefix: str, queue: str, tally: Tally, entries: Sequence[QueueEntry], *, wire_name: str = ""
) -> list[Finding]:
    workers = await calls.read(list_workers(calls.client, prefix))
    owners = await calls.read(calls.scripts.owners(queue))
    scales = await calls.read(read_scales(calls.client, prefix))
    entry = next((each for each in entries if each.queue == queue), None)
    weight = entry.profile if entry else ""
    declared = dict.fromkeys(entry.jobs if entry else (), 0)
    names = {wire_name: tally.parked.get(wire_name, 0)} if wire_name else {**declared, **tally.parked}
    return [
        *_serving.by_class(queue, weight, workers),
        *_serving.by_number(queue, scales.get(queue)),
        *_serving.by_name(queue, names, workers),
        *_leases(queue, owners),
        *_serving.by_slots(queue, tally.sizes["waiting"], workers),
    ]


def _leases(queue: str, owners: Sequence[Owner]) -> Iterator[Finding]:
    for owner in owners:
        if owner.lease_ms < 0 and owner.active:
            yield Finding(
                "worker_silent",
                "warning",
                f"worker child {owner.owner} went silent and holds {_jobs(owner.active)} of {queue}",
                "Any worker that serves the queue takes them over within 30 s; start one if none runs.",
            )


def _ended(record: JobRecord) -> Finding:
    at = f" at {record.finished_at:%Y-%m-%d %H:%M:%S} UTC" if record.finished_at else ""
    if record.state is State.FAILED:
        text = (
            f"job {record.id} failed for good{at}, after {record.attempts_made} of {record.attempts} attempts"
        )
        reason = f": {record.failed_reason}" if record.failed_reason else ""
        return Finding("failed", "info", text + reason, f"jobsctl retry {record.queue} {record.id}")
    return Finding(record.state.value, "ok", f"job {record.id} is {record.state}{at}")


async def _running(calls: Calls, record: JobRecord) -> Finding:
    owners = await calls.read(calls.scripts.owners(record.queue))
    since = f" since {record.processed_at:%Y-%m-%d %H:%M:%S} UTC" if record.processed_at else ""
    for owner in owners:
        if owner.active and await calls.holds(record.queue, owner.owner, record.id):
            if owner.lease_ms >= 0:
                return Finding("running", "ok", f"job {record.id} runs{since} in worker child {owner.owner}")
            return Finding(
                "worker_silent",
                "warning",
                f"job {record.id} ran{since} in worker child {owner.owner}, which went silent",
                "Any worker that serves the queue takes it over within 30 s; start one if none runs.",
            )
    return Finding("running", "ok", f"job {record.id} has just been running{since}")


async def _clocks(calls: Calls) -> tuple[float, float]:
    """Return the best round trip, and how far the server's clock is ahead of this machine's, both in ms; of a cluster the worst node's."""
    best, offset = float("inf"), 0.0
    for _ in range(_PINGS):
        before, started = time.time(), time.perf_counter()
        replies = cast("dict[str, list[bytes]]", await calls.read(calls.client.call_each("TIME")))
        took = time.perf_counter() - started
        if took < best:
            offsets = [int(s) + int(us) / 1e6 - (before + took / 2) for s, us in replies.values()]
            best, offset = took, max(offsets, key=abs)
    return best * 1000, offset * 1000


def _clock(offset_ms: float) -> Finding:
    if abs(offset_ms) <= _CLOCK_MS:
        return Finding("clock", "ok", f"this machine's clock is {abs(offset_ms):.0f} ms off the server's")
    side = "behind" if offset_ms > 0 else "ahead of"
    return Finding(
        "clock_offset",
        "warning",
        f"this machine's clock is {_for(abs(offset_ms))} {side} the server's",
        "Let both follow a time server. Leases and delays go by the server's clock, run_at by the caller's.",
    )


def _audited(audit: Audit) -> Iterator[Finding]:
    facts = next(iter(audit.facts.values()))
    said: set[str] = set()
    for refusal in audit.refusals:
        said.add(code := _subject(refusal.reason))
        yield Finding(code, "error", refusal.reason, refusal.remedy)
    for warning in audit.warnings:
        said.add(code := _subject(warning))
        yield Finding(code, "warning", warning, _MENDS.get(code, ""))
    fine = {
        "server_version": f"{facts.server} {facts.version}",
        "eviction": f"maxmemory-policy is {facts.eviction}",
        "persistence": f"the server keeps its data ({facts.persistence})",
        "role": "it is a primary" if facts.role in {"", "master"} else f"it is a {facts.role}",
    }
    for code, text in fine.items():
        if code not in said:
            yield Finding(code, "ok", text)


def _subject(text: str) -> str:
    """Return the code of what the audit found."""
    subjects = {
        "too old": "server_version",
        "maxmemory-policy": "eviction",
        "append-only": "persistence",
        "the ACL of": "rights",
        "does not answer": "node_away",
    }
    return next((code for words, code in subjects.items() if words in text), "role")


def _memory(audit: Audit) -> Iterator[Finding]:
    for node, facts in audit.facts.items():
        if facts.maxmemory and facts.used_memory > facts.maxmemory * _FULL:
            of = f" by {node}" if len(audit.facts) > 1 else ""
            yield Finding(
                "memory",
                "warning",
                f"{facts.used_memory / facts.maxmemory:.0%} of {facts.maxmemory / 2**20:,.0f} MiB are used{of}",
                "Raise maxmemory, or remove what is kept: jobsctl clean. A full server takes no more jobs.",
            )


def _workers(workers: Sequence[WorkerEntry]) -> Finding:
    silent = [worker.id for worker in workers if worker.silent]
    if silent:
        text = f"{len(silent)} of {len(workers)} workers went silent: {', '.join(silent[:5])}"
        return Finding(
            "worker_silent", "warning", text, "Look at their logs; their jobs start elsewhere within 30 s."
        )
    if not workers:
        return Finding("no_worker", "info", "no worker runs", "jobsctl worker")
    severity: Severity = "ok"
    return Finding("workers", severity, f"{len(workers)} worker{'s' if len(workers) > 1 else ''} running")


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


def _for(ms: float) -> str:
    seconds = ms / 1000
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
