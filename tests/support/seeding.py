"""Puts jobs into every state, with real records and without a worker, for tests of what looks at them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.support.engine import draft

from jobs_core.options import JobOptions, resolve
from jobs_core.payloads import JsonValue
from jobs_core.queue import JobType, Queue
from jobs_core.registry import QueueEntry, announce_queue
from jobs_core.scripts import MAX_ITEMS, Group
from jobs_core.wire import (
    OWN_ID,
    AttemptInfo,
    Envelope,
    ErrorInfo,
    FinishInfo,
    encode_envelope,
    encode_finish,
    pack_drafts,
    pack_history_entry,
)

if TYPE_CHECKING:
    from jobs_core.scripts import Claim, Scripts

MAIL: JsonValue = {"to": "ada"}
STARTED_MS = 1_700_000_000_000


class Seeder:
    """Does what producers and workers do, one step at a time."""

    def __init__(self, scripts: Scripts, queue: str) -> None:
        self.scripts = scripts
        self.queue = queue
        self.owner = f"owner-{secrets.token_hex(4)}"
        self._session = secrets.token_hex(4)
        self._seqs: dict[str, int] = {}

    def named(self, queue: str) -> Seeder:
        """Return a seeder of another queue."""
        return Seeder(self.scripts, queue)

    async def add(
        self,
        *ids: str,
        name: str = "send",
        data: JsonValue = MAIL,
        trace: dict[str, str] | None = None,
        **options: object,
    ) -> None:
        """Enqueue jobs."""
        job: JobType[JsonValue, JsonValue] = Queue(self.queue).dynamic_job(name)
        chosen: JobOptions = {**options}  # pyright: ignore[reportAssignmentType] - tests name options freely
        resolved = resolve(job, chosen)
        envelope = encode_envelope(
            Envelope(resolved.policy, job.encode(data), resolved.metadata, resolved.tags, trace)
        )
        unique = resolved.rule.value(name, data).decode() if resolved.rule is not None else ""
        drafts = [
            draft(
                job_id,
                name=job.wire_name,
                priority=resolved.priority,
                delay_ms=resolved.delay_ms,
                run_at_ms=resolved.run_at_ms,
                flags=OWN_ID,
                envelope=envelope,
                unique=unique,
                options=resolved.decide,
            )
            for job_id in ids
        ]
        await announce_queue(self.scripts.client, self.scripts.prefix, QueueEntry(queue=self.queue))
        for at in range(0, len(drafts), MAX_ITEMS):
            await self.scripts.enqueue(
                self.queue,
                session=self._session,
                seq=self._next(self._session),
                jobs=pack_drafts(drafts[at : at + MAX_ITEMS]),
            )

    async def claim(self, want: int = 100, *, owner: str = "") -> Claim:
        """Take jobs."""
        owner = owner or self.owner
        return await self.scripts.claim(
            self.queue, session=owner, seq=self._next(owner), owner=owner, register=True, want=want, free=want
        )

    async def settle(self, verb: str, claim: Claim, *, keep: int = -1, delay_ms: int = 0) -> None:
        """Settle what was claimed; 2 s run, 1 s wait each."""
        error = ErrorInfo("ValueError", "no such mailbox", "Traceback …")
        items: list[str | int | bytes] = []
        for job in claim.jobs:
            info = encode_finish(
                FinishInfo(
                    state={"complete": "completed", "fail": "failed"}.get(verb, verb),
                    name="send@1",
                    priority=3,
                    created_ms=STARTED_MS,
                    run_at_ms=0,
                    started_ms=STARTED_MS,
                    wait_us=1_000_000,
                    run_us=2_000_000,
                    attempts_made=1,
                    attempts=3,
                    stalled=0,
                    worker="worker-1",
                    result=b'{"sent":true}' if verb == "complete" else None,
                    error=None if verb == "complete" else error,
                )
            )
            if verb == "retry":
                info = pack_history_entry(AttemptInfo(1, STARTED_MS, 2_000_000, "worker-1", error, 1_000_000))
            items += [job.id, job.fence, delay_ms if verb == "retry" else 1, info]
        count = len(claim.jobs)
        group = Group(
            verb=verb,
            name="send@1",
            items=[*items],
            keep_count=keep,
            result_ttl_ms=3_600_000,
            run_us=2_000_000 * count,
            wait_us=1_000_000 * count,
        )
        settled = await self.scripts.settle(
            self.queue, session=self.owner, seq=self._next(self.owner), owner=self.owner, groups=[group]
        )
        assert settled.verdict == b"1" * count

    async def finish(self, verb: str, *ids: str, keep: int = -1) -> None:
        """Enqueue, claim and settle jobs."""
        await self.add(*ids)
        await self.settle(verb, await self.claim(), keep=keep, delay_ms=60_000)

    def _next(self, session: str) -> int:
        self._seqs[session] = self._seqs.get(session, 0) + 1
        return self._seqs[session]
