"""A queue with typed jobs, and what settles them in the place of a worker: for tests of the producer alone."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from jobs_core.keys import big_key
from jobs_core.options import decode_policy
from jobs_core.queue import LIGHT, Queue
from jobs_core.scripts import Group
from jobs_core.wire import BIG, ErrorInfo, FinishInfo, decode_envelope, encode_finish, parse_header

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable
    from jobs_core.scripts import Claimed, Scripts


class Send(Struct, frozen=True):
    """A payload."""

    to: str
    body: str = ""
    weight: float | None = None


class Receipt(Struct, frozen=True):
    """A result."""

    sent: bool


MAIL = Queue("mail", profile=LIGHT)
SEND = MAIL.job("send", payload=Send, result=Receipt)
NOTE = MAIL.job("note", payload=Send)


class Calls(list[list[str]]):
    """The ids in each call that adds jobs, and the bytes of its records in `sizes`."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []


class Settler:
    """Takes jobs of a queue and ends them, one call at a time, with what is frozen on them."""

    def __init__(self, scripts: Scripts, queue: str = "mail") -> None:
        self.scripts = scripts
        self.queue = queue
        self.owner = f"owner-{secrets.token_hex(4)}"
        self._seq = 0

    async def claim(self, want: int = 100) -> list[Claimed]:
        """Take jobs."""
        self._seq += 1
        claim = await self.scripts.claim(
            self.queue,
            session=f"{self.owner}:claim",
            seq=self._seq,
            owner=self.owner,
            register=True,
            want=want,
            free=want,
        )
        return claim.jobs

    async def complete(self, want: int = 100, *, result: bytes | None = b'{"sent":true}') -> list[str]:
        """Complete the next jobs, and tell their ids."""
        return await self._settle("complete", await self.claim(want), result, None)

    async def fail(self, want: int = 100, *, error: str = "no such mailbox") -> list[str]:
        """Fail the next jobs for good, and tell their ids."""
        return await self._settle("fail", await self.claim(want), None, ErrorInfo("ValueError", error))

    async def end(self, jobs: list[Claimed]) -> list[str]:
        """Complete jobs that were taken, and tell their ids."""
        return await self._settle("complete", jobs, b'{"sent":true}', None)

    async def _settle(
        self, verb: str, jobs: list[Claimed], result: bytes | None, error: ErrorInfo | None
    ) -> list[str]:
        self._seq += 1
        groups = [_group(verb, job, await self._envelope(job), result, error) for job in jobs]
        settled = await self.scripts.settle(
            self.queue, session=f"{self.owner}:settle", seq=self._seq, owner=self.owner, groups=groups
        )
        assert settled.verdict == b"1" * len(jobs)
        return [job.id for job in jobs]

    async def _envelope(self, job: Claimed) -> bytes:
        header = parse_header(job.record)
        if not header.flags & BIG:
            return job.record[header.size :]
        key = big_key(self.scripts.key(self.queue), job.id)
        return cast("bytes", await self.scripts.client.call("GET", key))


def _group(verb: str, job: Claimed, envelope: bytes, result: bytes | None, error: ErrorInfo | None) -> Group:
    header = parse_header(job.record)
    policy = decode_policy(decode_envelope(envelope).policy)
    info = FinishInfo(
        state={"complete": "completed", "fail": "failed"}[verb],
        name=header.name,
        priority=header.priority,
        created_ms=header.stamp_us // 1000,
        run_at_ms=header.due_ms,
        started_ms=job.fence // 1000,
        wait_us=1000,
        run_us=2000,
        attempts_made=1,
        attempts=policy.attempts,
        stalled=0,
        worker="worker-1",
        result=result,
        error=error,
    )
    keep = policy.keep_completed if verb == "complete" else policy.keep_failed
    items: list[Encodable] = [job.id, job.fence, header.flags, encode_finish(info)]
    return Group(
        verb=verb,
        name=header.name,
        items=items,
        keep_count=keep.count,
        keep_age_ms=keep.age_ms,
        keep_bytes=keep.bytes,
        result_ttl_ms=policy.result_ttl_ms,
        run_us=2000,
        wait_us=1000,
    )
