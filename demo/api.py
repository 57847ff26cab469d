"""Talk to the example API as any of its clients would."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

import aiohttp
import msgspec

from demo.processes import DemoFailed
from demo.workload import Kind, Work

_PATHS: Mapping[Kind, str] = {
    "mails": "/emails",
    "webhooks": "/webhooks",
    "pictures": "/images",
    "reports": "/reports",
}
_BATCH = 50
_AT_ONCE = 8
_TRIES = 10
_IDS = 250


class Sent(msgspec.Struct, frozen=True):
    """A job that the API took."""

    kind: Kind
    number: int
    queue: str
    job_id: str


class Record(msgspec.Struct, frozen=True):
    """What the demo reads of a job's record."""

    id: str
    queue: str
    state: str
    attempts_made: int
    stalled: int
    created_at: datetime
    releases: int = 0
    finished_at: datetime | None = None
    wait_ms: float | None = None
    run_ms: float | None = None
    failed_reason: str | None = None

    @property
    def interrupted(self) -> bool:
        """Tell whether its worker died under it: one of its jobs is charged with that, and the others are released."""
        return self.stalled + self.releases > 0

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will happen to the job."""
        return self.state in {"completed", "failed", "cancelled", "expired"}


class _Accepted(msgspec.Struct):
    id: str
    queue: str


class _Item(msgspec.Struct):
    status: int
    job: _Accepted | None = None
    problem: msgspec.Raw = msgspec.Raw(b"null")


class _Count(msgspec.Struct):
    queue: str
    completed: int


class _Records(msgspec.Struct):
    jobs: list[Record]


async def send(
    session: aiohttp.ClientSession, work: Sequence[Work], taken: Callable[[Sequence[Sent]], None]
) -> None:
    """Post all the work, the mails in arrays and the rest one by one, and tell what was taken as it is.

    Raises DemoFailed when the API refuses something, or cannot enqueue for long.
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def post(batch: Sequence[Work]) -> None:
        async with slots:
            taken(await _post(session, batch))

    async with asyncio.TaskGroup() as group:
        for batch in _batches(work):
            group.create_task(post(batch))


async def statuses(
    session: aiohttp.ClientSession, queue: str, job_ids: Sequence[str]
) -> Mapping[str, Record]:
    """Return the records of jobs by id; one that the API does not know is missing. Raises DemoFailed."""
    found: dict[str, Record] = {}
    for start in range(0, len(job_ids), _IDS):
        query = [("id", job_id) for job_id in job_ids[start : start + _IDS]]
        async with session.get(f"/jobs/{queue}", params=query) as response:
            body = await response.read()
            if response.status != 200:
                raise DemoFailed(f"GET /jobs/{queue} answered {response.status}: {_text(body)}")
        found.update((record.id, record) for record in msgspec.json.decode(body, type=_Records).jobs)
    return found


async def dashboard_counts(dashboard: str, token: str) -> Mapping[str, int]:
    """Return how many jobs the dashboard says each queue has completed. Raises DemoFailed."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{dashboard}/api/queues") as response,
    ):
        body = await response.read()
        if response.status != 200:
            raise DemoFailed(f"GET {dashboard}/api/queues answered {response.status}: {_text(body)}")
    return {count.queue: count.completed for count in msgspec.json.decode(body, type=list[_Count])}


def _batches(work: Sequence[Work]) -> Sequence[Sequence[Work]]:
    batches: list[Sequence[Work]] = []
    for kind, group in groupby(work, key=lambda one: one.kind):
        pieces = list(group)
        size = _BATCH if kind == "mails" else 1
        batches += [pieces[start : start + size] for start in range(0, len(pieces), size)]
    return batches


async def _post(session: aiohttp.ClientSession, batch: Sequence[Work]) -> Sequence[Sent]:
    """Post one payload, or an array of them."""
    path = _PATHS[batch[0].kind]
    if len(batch) == 1:
        status, body = await _post_json(session, path, batch[0].payload)
        if status == 202:
            return [_sent(batch[0], msgspec.json.decode(body, type=_Accepted))]
    else:
        status, body = await _post_json(session, path, [work.payload for work in batch])
        if status == 207:
            items = msgspec.json.decode(body, type=list[_Item])
            return [_taken(work, item, path) for work, item in zip(batch, items, strict=True)]
    raise DemoFailed(f"POST {path} answered {status}: {_text(body)}")


async def _post_json(session: aiohttp.ClientSession, path: str, content: object) -> tuple[int, bytes]:
    """Post, and come again when the API asks for that. Returns status and body."""
    data = msgspec.json.encode(content)
    for _ in range(_TRIES):
        async with session.post(path, data=data, headers={"Content-Type": "application/json"}) as response:
            status, body = response.status, await response.read()
        if status != 503:
            return status, body
        await asyncio.sleep(float(response.headers.get("Retry-After", "1")))
    raise DemoFailed(f"POST {path} was answered with 503 {_TRIES} times")


def _taken(work: Work, item: _Item, path: str) -> Sent:
    if item.job is None:
        problem = _text(bytes(item.problem))
        raise DemoFailed(
            f"POST {path} refused {work.kind} number {work.number} with {item.status}: {problem}"
        )
    return _sent(work, item.job)


def _sent(work: Work, accepted: _Accepted) -> Sent:
    return Sent(work.kind, work.number, accepted.queue, accepted.id)


def _text(body: bytes) -> str:
    return body.decode(errors="replace")[:1000]
