"""Put the payloads of one job type into its queue, and give its results."""

import asyncio
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jobs_api_example.bodies import is_array, read_body, split_array
from jobs_api_example.options import read_options
from jobs_api_example.problems import Problem, problem_of
from jobs_core.errors import JobsError, OptionError
from jobs_core.options import JobOptions
from jobs_core.queue import JobType
from jobs_producer import Producer

_P = TypeVar("_P")
_R = TypeVar("_R")


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was taken. `created` is false where the id the caller gave is that of an earlier job."""

    id: str
    queue: str
    name: str
    status_url: str
    created: bool = True


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one payload of an array: `job` with status 202, else `problem`."""

    status: int
    job: Accepted | None = None
    problem: Problem | None = None


class Served(Protocol):
    """Serve some job type."""

    path: str
    queue: str

    async def post(self, request: Request) -> Response:
        """Enqueue the body (202), or each item of an array (207, in the order given)."""
        ...

    async def result(self, producer: Producer, job_id: str, *, wait: float) -> bytes:
        """Wait so many seconds for the result and return it as JSON. Raises ResultError."""
        ...


class Endpoint(Generic[_P, _R]):
    """Serve one job type at `path`; a `Served`."""

    def __init__(self, path: str, job_type: JobType[_P, _R]) -> None:
        self.path = path
        self.queue = job_type.queue.name
        self._job_type = job_type

    async def post(self, request: Request) -> Response:
        """Enqueue the body (202), or each item of an array (207, in the order given)."""
        body = await read_body(request)
        options = read_options(request.query_params)
        if is_array(body):
            items = split_array(body)
            if "job_id" in options:
                raise OptionError("job_id", options["job_id"], "it means one job, not an array of them")
            # Calls that wait at the same time share a round trip: no bulk call is needed.
            outcomes = await asyncio.gather(*(self._item(request, item, options) for item in items))
            return Response(msgspec.json.encode(outcomes), 207, media_type="application/json")
        accepted = await self._enqueue(request, body, options)
        return Response(
            msgspec.json.encode(accepted),
            202,
            headers={"Location": accepted.status_url},
            media_type="application/json",
        )

    async def result(self, producer: Producer, job_id: str, *, wait: float) -> bytes:
        """Wait so many seconds for the result and return it as JSON. Raises ResultError."""
        result = await producer.handle(self._job_type, job_id).result(timeout=wait)
        return self._job_type.encode_result(result)

    async def _item(self, request: Request, item: msgspec.Raw, options: JobOptions) -> Item:
        try:
            return Item(status=202, job=await self._enqueue(request, item, options))
        except JobsError as error:
            problem = problem_of(error)
            return Item(status=problem.status, problem=problem)

    async def _enqueue(self, request: Request, body: bytes | msgspec.Raw, options: JobOptions) -> Accepted:
        producer: Producer = request.state.producer
        payload = self._job_type.decode(bytes(body))
        handle = await producer.enqueue(self._job_type, payload, **options)
        return Accepted(
            id=handle.id,
            queue=handle.queue,
            name=handle.name,
            status_url=status_url(handle.queue, handle.id),
            created=handle.created,
        )


def status_url(queue: str, job_id: str) -> str:
    """Return the path that tells what became of a job; the caller's own ids may hold any character."""
    return f"/jobs/{queue}/{quote(job_id)}"
